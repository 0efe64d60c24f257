"""Truncated, damaged, oversized and foreign files: each has its own clear error, and none makes the reader hang or
crash."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import random
import struct
import tarfile
import time
import zipfile

import numpy as np
import pytest

from rushlight.serialization import load, save, save_safetensors, zip_reader

CLEAN = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError)


@pytest.fixture
def state(tensor):
    return {
        "w": tensor(np.arange(12, dtype="f4").reshape(3, 4)),
        "b": tensor([1, 2], "i8"),
        "names": ["a", "b"],
        "lr": 0.5,
    }


@pytest.fixture
def checkpoint(state, saved):
    return saved(state)


# Files that are something else.


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page"),
        (b"\xef\xbb\xbf  <html>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML document"),
        (b'{"error": "not found"}', "JSON text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git-lfs pointer.*git lfs pull"),
        (gzip.compress(b"x", mtime=0), "gzip-compressed"),
        (bz2.compress(b"x"), "bzip2-compressed"),
        (lzma.compress(b"x"), "xz-compressed"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
        (b"\x93NUMPY\x01\x00", "numpy.load"),
        (b"GGUF\x03\x00", "GGUF"),
        (bytes(4096), "filled with zeros"),
        (b"hello, world\n", "neither of the formats"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
    ],
)
def test_foreign_files_are_recognised(data, message, loaded, tmp_path):
    with pytest.raises(RuntimeError, match=f"(?s)is .*{message}"):
        loaded(data)
    path = tmp_path / "model.pth"
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match=r"model\.pth"):
        load(path)


def test_tar_files_of_the_first_torch(loaded):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    with pytest.raises(RuntimeError, match="tar archive. torch before 0.2"):
        loaded(buffer.getvalue())


def test_plain_pickles_are_named(loaded):
    with pytest.raises(RuntimeError, match="(?s)Invalid magic number.*plain pickle of a dict.*pickle.load"):
        loaded(pickle.dumps({"a": 1}))
    with pytest.raises(RuntimeError, match="unknown protocol version"):
        loaded(pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(1002))


def zipped(*records: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in records:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["doc/a.txt", "doc/b.txt"], r"no data.pkl \(it holds doc/a.txt, doc/b.txt"),
        (["x.npy", "y.npy"], "numpy.load"),
        (["m/archive_format"], "torch.export"),
        (["weights.pth"], "unzip it first"),
        ([], "it holds nothing"),
        (["m/data.pkl", "m/constants.pkl", "m/code/x.py"], "TorchScript archive.*state_dict"),
    ],
)
def test_other_zip_archives(names, message, loaded):
    data = zipped(*((name, b"") for name in names))
    if not names:
        with pytest.raises(RuntimeError, match="neither of the formats"):
            loaded(data)
        return
    with pytest.raises(RuntimeError, match=message):
        loaded(data)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/../../b", "/etc/passwd", "..\\x", "C:\\x", "c:/x", "\\x", "a/.."]
)
def test_names_that_point_outside(name, loaded):
    with pytest.raises(RuntimeError, match="points outside the archive"):
        loaded(zipped(("archive/data.pkl", b"\x80\x02N."), (name, b"x")))


def test_names_that_only_look_odd(loaded):
    assert loaded(zipped(("a:b ..c/data.pkl", b"\x80\x02N."), ("a:b ..c/...", b"x"))) is None


# Archives with faults.


def test_compressed_archives_are_read(checkpoint, loaded, values):
    source = zipfile.ZipFile(io.BytesIO(checkpoint))
    data = zipped(*((name, source.read(name)) for name in source.namelist()), compression=zipfile.ZIP_DEFLATED)
    assert values(loaded(data)["w"]).tolist() == np.arange(12).reshape(3, 4).tolist()


def test_archives_without_a_folder(checkpoint, loaded, values):
    source = zipfile.ZipFile(io.BytesIO(checkpoint))
    data = zipped(*((name.partition("/")[2], source.read(name)) for name in source.namelist()))
    assert values(loaded(data)["b"]).tolist() == [1, 2]


def test_changed_bytes_are_found(checkpoint, loaded):
    at = checkpoint.index(np.arange(12, dtype="f4").tobytes())
    changed = checkpoint[:at] + b"\x01" + checkpoint[at + 1 :]
    with pytest.raises(RuntimeError, match="checksum of 'archive/data/0' does not match"):
        loaded(changed)
    at = checkpoint.index(b"names")
    with pytest.raises(RuntimeError, match="checksum of 'archive/data.pkl' does not match"):
        loaded(checkpoint[:at] + b"X" + checkpoint[at + 1 :])


def test_truncated_archives_say_so(checkpoint, loaded):
    with pytest.raises(RuntimeError, match="only the first part: the download or copy broke off"):
        loaded(checkpoint[: len(checkpoint) // 2])


def directory_entry(data: bytes, name: bytes) -> int:
    """Where the directory's entry of a record starts."""
    at = len(data)
    while True:
        at = data.rindex(b"PK\x01\x02", 0, at)
        if data[at + 46 :].startswith(name):
            return at


def patched(data: bytes, at: int, layout: str, *values: int) -> bytes:
    piece = struct.pack(layout, *values)
    return data[:at] + piece + data[at + len(piece) :]


def test_declared_sizes_are_checked(checkpoint, loaded):
    entry = directory_entry(checkpoint, b"archive/data/0")
    for size in (1 << 20, 0xFFFFFFFE):
        with pytest.raises(RuntimeError, match="does not fit in its place"):
            loaded(patched(checkpoint, entry + 20, "<2L", size, size))
    with pytest.raises(RuntimeError, match="two different sizes"):
        loaded(patched(checkpoint, entry + 20, "<2L", 48, 49))
    with pytest.raises(RuntimeError, match="lacks its 64-bit size"):
        loaded(patched(checkpoint, entry + 20, "<2L", 0xFFFFFFFF, 0xFFFFFFFF))
    with pytest.raises(RuntimeError, match="should have 48 bytes, but its record has 44"):
        loaded(patched(checkpoint, entry + 20, "<2L", 44, 44))
    with pytest.raises(RuntimeError, match="bytes out of 48 compressed ones, which is impossible"):
        loaded(patched(patched(checkpoint, entry + 10, "<H", 8), entry + 24, "<L", 10**8))
    with pytest.raises(RuntimeError, match="compressed by method 99"):
        loaded(patched(checkpoint, entry + 10, "<H", 99))
    with pytest.raises(RuntimeError, match="encrypted"):
        loaded(patched(checkpoint, entry + 8, "<H", 1))


def test_records_must_not_overlap_or_repeat(checkpoint, loaded):
    first, second = directory_entry(checkpoint, b"archive/data/0"), directory_entry(checkpoint, b"archive/data/1")
    with pytest.raises(RuntimeError, match="does not fit in its place|reaches into the next"):
        loaded(patched(checkpoint, second + 42, "<L", struct.unpack_from("<L", checkpoint, first + 42)[0]))
    with pytest.raises(RuntimeError, match="'archive/data/0' twice"):
        loaded(checkpoint[: second + 46] + b"archive/data/0" + checkpoint[second + 60 :])
    with pytest.raises(RuntimeError, match="not where the directory says"):
        loaded(patched(checkpoint, first + 42, "<L", struct.unpack_from("<L", checkpoint, first + 42)[0] + 1))


def test_a_deflate_bomb_stops_at_its_declared_size(loaded, monkeypatch):
    data = zipped(("archive/data.pkl", bytes(10**6)), compression=zipfile.ZIP_DEFLATED)
    entry = directory_entry(data, b"archive/data.pkl")
    with pytest.raises(RuntimeError, match="checksum"):
        loaded(patched(data, entry + 24, "<L", 1000))
    with pytest.raises(RuntimeError, match="breaks off|cannot be decompressed"):
        loaded(patched(data, entry + 24, "<L", 10**6 + 1))


def test_the_end_records(checkpoint, loaded):
    end = checkpoint.rindex(b"PK\x05\x06")
    with pytest.raises(RuntimeError, match="split over several files"):
        loaded(patched(checkpoint, end + 4, "<H", 3))
    end64 = checkpoint.rindex(b"PK\x06\x06")
    for count in (2**60, 9, 7):
        with pytest.raises(RuntimeError, match="declares .* entries|breaks off|more than the 7 entries"):
            loaded(patched(checkpoint, end64 + 32, "<Q", count))
    with pytest.raises(RuntimeError, match="reaches past its end"):
        loaded(patched(checkpoint, end64 + 48, "<Q", 2**62))
    with pytest.raises(RuntimeError, match="end record is not where it should be|should be at bytes"):
        loaded(patched(checkpoint, checkpoint.rindex(b"PK\x06\x07") + 8, "<Q", 2**62))


def test_missing_records(checkpoint, loaded):
    source = zipfile.ZipFile(io.BytesIO(checkpoint))
    data = zipped(*((name, source.read(name)) for name in source.namelist() if not name.endswith("data/1")))
    with pytest.raises(RuntimeError, match="record of storage 1 is missing"):
        loaded(data)


def pickled_tensor(
    storage: bytes = b"K\x02",
    offset: bytes = b"K\x00",
    size: bytes = b"K\x02\x85",
    stride: bytes = b"K\x01\x85",
    kind: bytes = b"FloatStorage",
    location: bytes = b"cpu",
) -> bytes:
    body = (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n"
        + kind
        + b"\nX\x01\x00\x00\x000X"
        + struct.pack("<I", len(location))
        + location
        + storage
        + b"tQ"
        + offset
        + size
        + stride
        + b"\x89ccollections\nOrderedDict\n)RtR."
    )
    return zipped(("archive/data.pkl", body), ("archive/data/0", struct.pack("<2f", 1, 2)), ("archive/version", b"3\n"))


@pytest.mark.parametrize(
    "fault",
    [
        {"storage": b"K\x03"},
        {"storage": b"J\xff\xff\xff\x7f"},
        {"storage": b"J\xff\xff\xff\xff"},
        {"storage": b"N"},
        {"offset": b"K\x01"},
        {"offset": b"J\xff\xff\xff\xff"},
        {"offset": b"G" + bytes(8)},
        {"size": b"K\x03\x85"},
        {"size": b"J\xff\xff\xff\xff\x85"},
        {"size": b"\x8a\x09" + b"\xff" * 8 + b"\x7f\x85"},
        {"size": b"K\x01K\x02\x86"},
        {"size": b"]"},
        {"size": b"N\x85"},
        {"stride": b"K\x02\x85"},
        {"stride": b"J\xff\xff\xff\xff\x85"},
        {"stride": b"N"},
        {"kind": b"float32"},
        {"kind": b"Tensor"},
        {"size": b"(" + b"K\x01" * 70 + b"t", "stride": b"(" + b"K\x01" * 70 + b"t"},
        {"location": b"nowhere"},
        {"size": b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85", "stride": b"K\x00\x85"},
    ],
)
def test_tensors_must_stay_in_their_storage(fault, loaded, values):
    assert values(loaded(pickled_tensor())).tolist() == [1, 2]
    with pytest.raises(CLEAN):
        loaded(pickled_tensor(**fault))


def test_broadcast_tensors_may_repeat_their_storage(loaded, values):
    assert values(loaded(pickled_tensor(size=b"K\x05\x85", stride=b"K\x00\x85"))).tolist() == [1] * 5


# The old format.


def legacy(data: bytes, count: int, more: bytes) -> bytes:
    body = pickled_tensor_legacy(count)
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    return head + body + pickle.dumps(["0"], 2) + more + data


def pickled_tensor_legacy(count: int) -> bytes:
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ"
        + struct.pack("<i", count)
        + b"NtQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR."
    )


def test_legacy_faults(loaded, values):
    floats = struct.pack("<2f", 1, 2)
    assert values(loaded(legacy(floats, 2, struct.pack("<q", 2)))).tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="promises .* bytes of tensors, but has only"):
        loaded(legacy(floats, 2**30, struct.pack("<q", 2)))
    with pytest.raises(RuntimeError, match="storage of 2 elements is followed by the data of 3"):
        loaded(legacy(floats, 2, struct.pack("<q", 3)))
    with pytest.raises(RuntimeError, match="4 bytes of one are missing"):
        loaded(legacy(floats[:4], 2, struct.pack("<q", 2)))
    with pytest.raises(RuntimeError, match="breaks off before the data"):
        loaded(legacy(b"", 2, b"\x02\x00"))
    with pytest.raises(pickle.UnpicklingError, match="reaches element 1 of a storage that has 1"):
        loaded(legacy(floats[:4], 1, struct.pack("<q", 1)))
    lost = legacy(b"", 2, b"").replace(pickle.dumps(["0"], 2), pickle.dumps([], 2))
    with pytest.raises(pickle.UnpicklingError, match="no data for 1 of its storages"):
        loaded(lost)
    with pytest.raises(pickle.UnpicklingError, match="list of keys"):
        loaded(lost.replace(pickle.dumps([], 2), pickle.dumps(["0", "0"], 2)))


# Everything at random.


def attempt(data: bytes) -> None:
    """A clean error or an object, and that soon."""
    start = time.process_time()
    try:
        load(io.BytesIO(data))
    except CLEAN as error:
        assert len(str(error)) < 2000 and not isinstance(error, (RecursionError, NotImplementedError))
    assert time.process_time() - start < 2


@pytest.fixture(params=["zip", "legacy", "pickle inside", "safetensors"])
def sample(request, state, saved, tmp_path):
    """A file of each kind; "pickle inside" has its checksums made right again, so that faults reach the pickle."""
    if request.param == "safetensors":
        save_safetensors({"w": state["w"], "b": state["b"]}, tmp_path / "x.safetensors")
        return (tmp_path / "x.safetensors").read_bytes(), lambda data: data
    if request.param == "legacy":
        return saved(state, _use_new_zipfile_serialization=False), lambda data: data
    whole = saved({**state, "np": np.arange(3), "o": {"k": (1, 2)}})
    if request.param == "zip":
        return whole, lambda data: data
    source = zipfile.ZipFile(io.BytesIO(whole))
    rest = [(name, source.read(name)) for name in source.namelist() if not name.endswith("data.pkl")]
    return source.read("archive/data.pkl"), lambda data: zipped(("archive/data.pkl", data), *rest)


def test_truncation_everywhere(sample):
    data, finish = sample
    for length in range(0, len(data), 3):
        attempt(finish(data[:length]))


def test_random_damage(sample):
    data, finish = sample
    rng = random.Random(1)
    for _ in range(600):
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        attempt(finish(bytes(damaged)))


def test_random_insertions_and_cuts(sample):
    data, finish = sample
    rng = random.Random(2)
    for _ in range(300):
        a, b = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
        piece = data[a : min(b, a + 50)]
        at = rng.randrange(len(data))
        attempt(
            finish(
                data[:at]
                + (piece if rng.random() < 0.5 else bytes(rng.randrange(256) for _ in range(5)))
                + data[at + rng.randrange(3) :]
            )
        )


def test_readers_need_no_readinto(checkpoint, values):
    class Plain:
        def __init__(self, data: bytes) -> None:
            inner = io.BytesIO(data)
            self.read, self.readline, self.seek, self.tell = inner.read, inner.readline, inner.seek, inner.tell

    assert values(load(Plain(checkpoint))["b"]).tolist() == [1, 2]


def test_large_records_are_read_in_pieces(monkeypatch, tensor, values, tmp_path):
    monkeypatch.setattr(zip_reader, "_CHUNK", 100)
    save(tensor(np.arange(1000.0)), tmp_path / "x.pth")
    assert values(load(tmp_path / "x.pth")).tolist() == list(range(1000))
