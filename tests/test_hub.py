"""Downloads into torch's cache folder, against a server on this machine that can break off, refuse ranges or change
its file."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import re
import sys
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from rushlight import hub
from rushlight.hub import download_url_to_file, get_dir, load_state_dict_from_url, set_dir
from rushlight.serialization import save

DATA = bytes(range(256)) * 2000


class Files(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; `server.plan` says for each request in turn how many body bytes to send before breaking
    off."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(dict(self.headers))
        content, wanted = server.content, self.headers.get("Range")
        if self.path == "/missing.pth":
            self.send_error(404)
            return
        start = 0
        if wanted and server.ranges and self.headers.get("If-Range") == server.etag:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted).group(1))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start + server.shift}-{len(content) - 1}/{len(content)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.send_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        limit = server.plan.pop(0) if server.plan else len(content)
        self.wfile.write(content[start : start + limit])
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    served.daemon_threads = True
    served.content, served.plan, served.requests = DATA, [], []
    served.ranges, served.etag, served.send_length, served.shift = True, '"v1"', True, 0
    served.url = f"http://127.0.0.1:{served.server_port}/"
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join(5)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """No proxy between us and the server, quick failures, and the user's own cache left alone."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hub, "TIMEOUT", 5.0)
    monkeypatch.setattr(hub, "_hub_dir", None)


def test_the_cache_folder(monkeypatch, tmp_path):
    assert get_dir() == str(tmp_path / "home" / "hub")
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert get_dir() == str(tmp_path / "cache" / "torch" / "hub")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert get_dir() == os.path.expanduser("~/.cache/torch/hub")
    set_dir("~/elsewhere")
    assert get_dir() == os.path.expanduser("~/elsewhere")


def test_the_cache_folder_is_torchs(monkeypatch, tmp_path):
    torch_hub = pytest.importorskip("torch", reason="parity tests need torch").hub
    for variables in ({}, {"XDG_CACHE_HOME": str(tmp_path)}, {"TORCH_HOME": "~/t"}):
        for name in ("XDG_CACHE_HOME", "TORCH_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert get_dir() == torch_hub.get_dir()


def test_download(server, tmp_path, capsys):
    target = tmp_path / "x.bin"
    download_url_to_file(server.url + "x.bin", target)
    assert target.read_bytes() == DATA and os.listdir(tmp_path) == ["x.bin"]
    assert "100%" in capsys.readouterr().err
    download_url_to_file(server.url + "x.bin", str(target), progress=False)
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out == ""


def test_progress_without_tqdm(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin")
    err = capsys.readouterr().err
    assert "\rx.bin: 100%" in err and err.endswith("\n") and err.count("\r") <= 101


@pytest.mark.parametrize("plan", [[100_000], [1, 200_000, 300_000], [0]])
def test_a_broken_connection_is_taken_up_again(plan, server, tmp_path):
    server.plan = list(plan)
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", hashlib.sha256(DATA).hexdigest(), progress=False)
    assert (tmp_path / "x.bin").read_bytes() == DATA and os.listdir(tmp_path) == ["x.bin"]
    if plan != [0]:
        assert server.requests[1]["Range"] == f"bytes={plan[0]}-" and server.requests[1]["If-Range"] == '"v1"'
    assert len(server.requests) == len(plan) + 1


def test_the_next_call_goes_on(server, tmp_path):
    server.plan = [100_000, 0, 0, 0]
    with pytest.raises(
        RuntimeError,
        match=r"(?s)could not download .*broke off after 100000 of 512000 bytes.*next call goes on.*x\.bin",
    ):
        download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    assert sorted(os.listdir(tmp_path)) == ["x.bin.partial", "x.bin.partial.json"]
    server.requests.clear()
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    assert (
        (tmp_path / "x.bin").read_bytes() == DATA
        and server.requests[0]["Range"] == "bytes=100000-"
        and len(server.requests) == 1
    )


def interrupted(server: Any, tmp_path: Any) -> None:
    """A download of which 100000 bytes have come."""
    server.plan = [100_000, 0, 0, 0]
    with pytest.raises(RuntimeError):
        download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    server.requests.clear()
    server.plan = []


def test_a_server_without_ranges(server, tmp_path):
    interrupted(server, tmp_path)
    server.ranges = False
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    assert (tmp_path / "x.bin").read_bytes() == DATA


def test_a_file_that_changed_meanwhile(server, tmp_path):
    interrupted(server, tmp_path)
    server.content, server.etag = DATA[::-1], '"v2"'
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    assert (tmp_path / "x.bin").read_bytes() == DATA[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_a_file_without_a_version_starts_anew(server, tmp_path, etag):
    server.etag = etag
    interrupted(server, tmp_path)
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    assert (tmp_path / "x.bin").read_bytes() == DATA and "Range" not in server.requests[0]


def test_another_url_is_another_file(server, tmp_path):
    interrupted(server, tmp_path)
    download_url_to_file(server.url + "other.bin", tmp_path / "x.bin", progress=False)
    assert "Range" not in server.requests[0] and (tmp_path / "x.bin").read_bytes() == DATA


def test_a_partial_file_that_was_whole(server, tmp_path):
    interrupted(server, tmp_path)
    (tmp_path / "x.bin.partial").write_bytes(DATA)
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    assert (tmp_path / "x.bin").read_bytes() == DATA and len(server.requests) == 1


def test_a_partial_file_that_is_too_long(server, tmp_path):
    interrupted(server, tmp_path)
    (tmp_path / "x.bin.partial").write_bytes(DATA + b"more")
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    assert (tmp_path / "x.bin").read_bytes() == DATA


def test_a_server_that_sends_another_part(server, tmp_path):
    interrupted(server, tmp_path)
    server.shift = 5
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    assert (tmp_path / "x.bin").read_bytes() == DATA and "Range" not in server.requests[1]


def test_without_a_length(server, tmp_path):
    server.send_length = False
    download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    assert (tmp_path / "x.bin").read_bytes() == DATA


def test_a_wrong_checksum_throws_the_file_away(server, tmp_path):
    (tmp_path / "x.bin").write_bytes(b"old")
    with pytest.raises(RuntimeError, match='invalid hash value .expected "deadbeef", got "[0-9a-f]{64}".'):
        download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", "deadbeef", progress=False)
    assert (tmp_path / "x.bin").read_bytes() == b"old" and os.listdir(tmp_path) == ["x.bin"]


def test_errors_say_what_to_do(server, tmp_path):
    with pytest.raises(
        RuntimeError,
        match=r"(?s)could not download http.*missing\.pth: the server answered 404 .Not Found.. Without a.*put it at .*m\.pth",
    ):
        download_url_to_file(server.url + "missing.pth", tmp_path / "m.pth", progress=False)
    server.shutdown()
    server.server_close()
    with pytest.raises(RuntimeError, match=r"(?s)could not download .*x\.bin: .*efused.*put it at .*x\.bin"):
        download_url_to_file(server.url + "x.bin", tmp_path / "x.bin", progress=False)
    with pytest.raises(FileNotFoundError, match="does not exist: make it first"):
        download_url_to_file(server.url + "x.bin", tmp_path / "none" / "x.bin")


# Checkpoints.


def checkpoint(obj: Any) -> bytes:
    buffer = io.BytesIO()
    save(obj, buffer)
    return buffer.getvalue()


def test_load_state_dict_from_url(server, tmp_path, capsys):
    server.content = checkpoint({"step": 3})
    digest = hashlib.sha256(server.content).hexdigest()
    name = f"net-{digest[:8]}.pth"
    folder = tmp_path / "home" / "hub" / "checkpoints"
    assert load_state_dict_from_url(server.url + name + "?x=1", progress=False, check_hash=True) == {"step": 3}
    assert capsys.readouterr().out == f'Downloading: "{server.url}{name}?x=1" to {folder / name}\n'
    assert load_state_dict_from_url(server.url + name, progress=False) == {"step": 3} and len(server.requests) == 1
    assert capsys.readouterr().out == ""
    assert load_state_dict_from_url(server.url, model_dir=tmp_path, file_name="own.pth", progress=False) == {"step": 3}
    assert (tmp_path / "own.pth").exists()


def test_the_hash_in_the_name_is_checked(server, tmp_path):
    server.content = checkpoint({})
    with pytest.raises(RuntimeError, match='invalid hash value .expected "0123abcd"'):
        load_state_dict_from_url(server.url + "net-0123abcd.pth", progress=False, check_hash=True, model_dir=tmp_path)
    assert os.listdir(tmp_path) == []
    assert load_state_dict_from_url(server.url + "net-0123abcd.pth", progress=False, model_dir=tmp_path) == {}


def test_a_checkpoint_that_was_zipped(server, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net.pth", checkpoint({"zipped": True}))
    server.content = buffer.getvalue()
    assert load_state_dict_from_url(server.url + "net.zip", progress=False, model_dir=tmp_path) == {"zipped": True}


def test_a_web_page_instead_of_a_checkpoint(server, tmp_path):
    server.content = b"<!DOCTYPE html><html>log in</html>"
    with pytest.raises(RuntimeError, match="a web page"):
        load_state_dict_from_url(server.url + "net.pth", progress=False, model_dir=tmp_path)


def test_urls_without_a_file_name(server, tmp_path):
    for path in ("", "a/..", "%2e%2e"):
        with pytest.raises(ValueError, match="does not end in a file name"):
            load_state_dict_from_url(server.url + path, model_dir=tmp_path)
    with pytest.raises(ValueError, match="does not end in a file name"):
        load_state_dict_from_url(server.url + "x.pth", model_dir=tmp_path, file_name="../x.pth")
