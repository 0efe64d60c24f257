"""Downloading checkpoints into torch's own cache folder: `load_state_dict_from_url` and what it is made of.

A broken download is kept as `<file>.partial` and resumed by the next call; a file only gets its name once it is whole
and its checksum is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import sys
from pathlib import PurePosixPath
from typing import IO, Any, Final
from urllib.parse import unquote, urlparse

from rushlight.serialization import load as _load
from rushlight.serialization.atomic import sync_folder
from rushlight.serialization.zip_reader import ZipReader

__all__ = ["download_url_to_file", "get_dir", "load_state_dict_from_url", "set_dir"]

# "bfd8deac" in resnet18-bfd8deac.pth
HASH_REGEX: Final = re.compile(r"-([a-f0-9]{8,})\.")
READ_DATA_CHUNK: Final = 128 * 1024
# Seconds without a byte before a connection counts as broken, and how often a broken one is taken up again.
TIMEOUT: Final = 60.0
ATTEMPTS: Final = 4

_hub_dir: str | None = None


def get_dir() -> str:
    """The folder downloads are kept in: what `set_dir` set, else `$TORCH_HOME/hub`, where TORCH_HOME defaults to
    `$XDG_CACHE_HOME/torch` and XDG_CACHE_HOME to `~/.cache`. An installed torch uses the same one."""
    if _hub_dir is not None:
        return _hub_dir
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    home = os.getenv("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Keep downloads in the folder `d` from now on."""
    global _hub_dir
    _hub_dir = os.path.expanduser(os.fspath(d))


def load_state_dict_from_url(
    url: str,
    model_dir: str | os.PathLike[str] | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """Load a checkpoint from a URL, downloading it unless it is in the cache folder already.

    model_dir: the cache folder, `<get_dir()>/checkpoints` by default. map_location: see `load`. check_hash: compare
    the SHA-256 of the file with the digits in its name (`resnet18-f37072fd.pth`). file_name: the name in the cache, by
    default that in the URL.

    Raises `RuntimeError` when the download fails (the message says what to do by hand) or the checksum is wrong, and
    what `load` raises.
    """
    folder = os.fspath(model_dir) if model_dir is not None else os.path.join(get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    name = file_name if file_name is not None else PurePosixPath(unquote(urlparse(url).path)).name
    if not name or os.path.basename(name) != name or name in (".", ".."):
        raise ValueError(f"load_state_dict_from_url(): {url!r} does not end in a file name; pass file_name='model.pth'")
    cached = os.path.join(folder, name)
    if not os.path.exists(cached):
        print(f'Downloading: "{url}" to {cached}', flush=True)
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, cached, found.group(1) if found else None, progress=progress)
    inner = _sole_member(cached)
    return _load(cached if inner is None else inner, map_location=map_location, weights_only=weights_only)


def _sole_member(path: str) -> IO[bytes] | None:
    """The only file of a zip archive that holds just one, as early checkpoints were published; None for any other
    file."""
    with open(path, "rb") as file:
        if file.read(2) != b"PK":
            return None
        file.seek(0)
        archive = ZipReader(file, path)
        names = [name for name in archive.records if not name.endswith("/")]
        return io.BytesIO(archive.read(names[0])) if len(names) == 1 and not names[0].endswith("data.pkl") else None


def download_url_to_file(
    url: str, dst: str | os.PathLike[str], hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Download `url` to the file `dst`.

    hash_prefix: what the SHA-256 of the file must start with, in hexadecimal. progress: show a bar on stderr.

    The data goes to `<dst>.partial` first; when the connection breaks it is taken up where it stopped, in this call
    and, if the server never comes back, in the next one. `dst` is only replaced by a whole file.
    Raises `RuntimeError` when the download fails or the checksum is wrong.
    """
    target = os.path.abspath(os.path.expanduser(os.fspath(dst)))
    # Late: these take longer to import than NumPy.
    import http.client

    download = _Download(url, target, progress)
    try:
        download.run()
    except (OSError, http.client.HTTPException) as error:
        raise RuntimeError(_failure_message(url, target, error, download.has_part())) from error
    digest = _sha256(download.partial)
    if hash_prefix is not None and not digest.startswith(hash_prefix.lower()):
        download.forget()
        raise RuntimeError(
            f'invalid hash value (expected "{hash_prefix}", got "{digest}"): {url} did not send the file that is '
            "published "
            "under this name, so it was thrown away. Try again; if it stays so, the server or something on the way "
            "(a proxy?) sends other data"
        )
    os.replace(download.partial, target)
    sync_folder(os.path.dirname(target))
    download.forget()


def _failure_message(url: str, target: str, error: BaseException, received: bool) -> str:
    if hasattr(error, "code"):  # urllib.error.HTTPError
        what = f"the server answered {error.code} ({getattr(error, 'reason', '')})"
    else:
        what = str(getattr(error, "reason", error)) or type(error).__name__
    kept = " What was received is kept, and the next call goes on from there." if received else ""
    return (
        f"could not download {url}: {what}.{kept} Without a connection to that server: download the file elsewhere (in a "
        f"browser, say) and put it at {target}; it is then used from there"
    )


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Broken(OSError):
    """The connection ended before all bytes had come."""


class _Download:
    """One file on its way: `<target>.partial` holds what has come, `<target>.partial.json` which version of the file
    it is part of."""

    def __init__(self, url: str, target: str, progress: bool) -> None:
        self.url = url
        self.partial = target + ".partial"
        self.notes = target + ".partial.json"
        self.label = os.path.basename(target)
        self.progress = progress
        folder = os.path.dirname(target)
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"download_url_to_file(): the folder {folder} does not exist: make it first (os.makedirs)"
            )

    def run(self) -> None:
        """Fetch until the file is whole. A connection that breaks is taken up again as long as something comes."""
        import http.client

        failures = 0
        while True:
            before = self._have()
            try:
                self._fetch()
                return
            except (_Broken, TimeoutError, ConnectionError, http.client.IncompleteRead):
                failures = failures + 1 if self._have() <= before else 1
                if failures >= ATTEMPTS:
                    raise

    def forget(self) -> None:
        """Remove what is left of the download."""
        for path in (self.partial, self.notes):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def has_part(self) -> bool:
        """Whether something was received that can be gone on from."""
        return self._have() > 0 and self._version() is not None

    def _have(self) -> int:
        try:
            return os.path.getsize(self.partial)
        except FileNotFoundError:
            return 0

    def _version(self) -> str | None:
        """The mark (ETag or date) of the version that the partial file is part of, when it is this URL's."""
        try:
            with open(self.notes, encoding="utf-8") as file:
                notes = json.load(file)
            return str(notes["version"]) if notes["url"] == self.url and notes["version"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _fetch(self) -> None:
        """One request: from the start, or for the rest of a version that the server can recognise."""
        import urllib.error
        import urllib.request

        have, version = self._have(), self._version()
        headers = {"User-Agent": "torch.hub", "Accept-Encoding": "identity"}
        if have and version:
            # If-Range: the rest if the file is still the same, else all of it.
            headers |= {"Range": f"bytes={have}-", "If-Range": version}
        else:
            have = 0
        try:
            response = urllib.request.urlopen(urllib.request.Request(self.url, headers=headers), timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 416 or not have:
                    raise
                if _total_of(error.headers.get("Content-Range")) == have:
                    return  # the partial file was the whole one
            self.forget()
            response = urllib.request.urlopen(
                urllib.request.Request(self.url, headers={"User-Agent": "torch.hub"}), timeout=TIMEOUT
            )
        with response:
            self._receive(response, have)

    def _receive(self, response: Any, have: int) -> None:
        """Write the body behind what is there already, or anew when the server sent the file from its start."""
        resumed = response.status == 206 and _start_of(response.headers.get("Content-Range")) == have
        if response.status == 206 and not resumed:
            self.forget()
            raise _Broken("the server sent another part of the file than was asked for")
        length = response.headers.get("Content-Length")
        total = None if length is None or not length.isdecimal() else int(length) + (have if resumed else 0)
        if not resumed:
            self._note_version(response)
        with (
            open(self.partial, "ab" if resumed else "wb") as file,
            _progress_bar(total, have if resumed else 0, self.label, self.progress) as bar,
        ):
            while chunk := response.read(READ_DATA_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
            received = file.tell()
        if total is not None and received < total:
            raise _Broken(f"the connection broke off after {received} of {total} bytes")

    def _note_version(self, response: Any) -> None:
        etag = response.headers.get("ETag") or ""
        # A weak ETag promises the same meaning, not the same bytes.
        version = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.partial)
        with open(self.notes, "w", encoding="utf-8") as file:
            json.dump({"url": self.url, "version": version}, file)


def _start_of(content_range: str | None) -> int | None:
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range or "")
    return int(found.group(1)) if found else None


def _total_of(content_range: str | None) -> int | None:
    found = re.fullmatch(r"bytes \*/(\d+)", content_range or "")
    return int(found.group(1)) if found else None


class _PlainBar:
    """Progress without tqdm: one line on stderr that is rewritten at most once per percent."""

    def __init__(self, total: int | None, done: int, label: str, shown: bool) -> None:
        self.total = total
        self.done = done
        self.label = label
        self.shown = shown
        self.last = ""

    def __enter__(self) -> _PlainBar:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.shown and self.last:
            sys.stderr.write("\n")

    def update(self, count: int) -> None:
        self.done += count
        text = f"{self.done / 2**20:.0f} MiB" if not self.total else f"{100 * self.done / self.total:.0f}%"
        if self.shown and text != self.last:
            self.last = text
            sys.stderr.write(f"\r{self.label}: {text}")
            sys.stderr.flush()


def _progress_bar(total: int | None, done: int, label: str, shown: bool) -> Any:
    """tqdm's bar when it is installed, else a plain one."""
    try:
        from tqdm import tqdm
    except ImportError:
        return _PlainBar(total, done, label, shown)
    return tqdm(total=total, initial=done, disable=not shown, unit="B", unit_scale=True, unit_divisor=1024)
