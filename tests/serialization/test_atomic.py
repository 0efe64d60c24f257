"""Saving is one step: a failure at any moment leaves the old file and nothing else."""

from __future__ import annotations

import io
import os
import stat

import numpy as np
import pytest

from rushlight.serialization import atomic, load, save, zip_writer
from rushlight.serialization.atomic import atomic_write


class Unpicklable:
    def __reduce__(self):
        raise OSError("no")


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "model.pth"
    save({"epoch": 1}, path)
    return path


def only(path):
    """The old file is whole and alone in its folder."""
    assert load(path) == {"epoch": 1}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_new_and_replaced(old):
    save({"epoch": 2}, old)
    assert load(old) == {"epoch": 2} and load(str(old)) == {"epoch": 2} and load(os.fspath(old)) == {"epoch": 2}
    assert [p.name for p in old.parent.iterdir()] == [old.name]


def test_an_object_that_cannot_be_pickled(old):
    with pytest.raises(OSError, match="no"):
        save([Unpicklable()], old)
    only(old)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_in_the_middle(old, monkeypatch, tensor, error):
    write = zip_writer.ZipWriter.write_record

    def fail(self, name, data):
        if name.startswith("data/"):
            raise error
        write(self, name, data)

    monkeypatch.setattr(zip_writer.ZipWriter, "write_record", fail)
    with pytest.raises(type(error)):
        save({"x": tensor(np.ones(100))}, old)
    only(old)


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_failure_at_the_end(old, monkeypatch, step):
    def fail(*args, **kwargs):
        raise OSError(f"{step} failed")

    monkeypatch.setattr(atomic.os, step, fail)
    with pytest.raises(OSError, match=f"{step} failed"):
        save({"epoch": 2}, old)
    monkeypatch.undo()
    only(old)


def test_data_reach_the_disk_before_the_name(old, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(atomic.os, name, lambda *args, name=name, real=real: (calls.append(name), real(*args))[1])
    save({"epoch": 2}, old)
    assert calls[:2] == ["fsync", "replace"]


def test_without_folder_synchronisation(old, monkeypatch):
    """Windows has no O_DIRECTORY."""
    monkeypatch.delattr(atomic.os, "O_DIRECTORY")
    save({"epoch": 3}, old)
    assert load(old) == {"epoch": 3}


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes and links")
def test_modes_and_links_are_kept(old, tmp_path):
    os.chmod(old, 0o640)
    link = tmp_path / "latest.pth"
    link.symlink_to(old.name)
    save({"epoch": 4}, link)
    assert link.is_symlink() and load(old) == {"epoch": 4} and stat.S_IMODE(old.stat().st_mode) == 0o640
    mask = os.umask(0o077)
    try:
        save({}, tmp_path / "private.pth")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "private.pth").stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="needs /dev/null")
def test_devices_are_written_straight():
    save({"a": 1}, "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_folders_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        save({}, tmp_path)
    with pytest.raises(RuntimeError, match="does not exist: make it first"), atomic_write(tmp_path / "a" / "b"):
        pass


def test_file_objects_are_written_where_they_stand(tmp_path):
    buffer = io.BytesIO(b"head")
    buffer.seek(4)
    save({"a": 1}, buffer)
    assert buffer.getvalue()[:6] == b"headPK"
    buffer.seek(4)
    assert load(buffer) == {"a": 1}
    with open(tmp_path / "raw.pth", "wb", buffering=0) as file:
        save({"a": 2}, file)
    assert load(tmp_path / "raw.pth") == {"a": 2}


def test_streams_that_cannot_seek():
    class Stream:
        def __init__(self) -> None:
            self.data = b""

        def write(self, piece) -> int:
            piece = bytes(piece)[:1000]  # takes less than it is given
            self.data += piece
            return len(piece)

    stream = Stream()
    save({"x": "y" * 5000}, stream)
    assert load(io.BytesIO(stream.data)) == {"x": "y" * 5000}
