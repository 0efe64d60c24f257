"""The safetensors format, checked against the safetensors package in both directions and with damaged headers."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest

from rushlight.base.device import CPU, device
from rushlight.base.dtypes import by_name
from rushlight.serialization import bridge, load, load_safetensors, safetensors_metadata, save_safetensors

DTYPES = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64".split()


def cases(tensor):
    found = {name: tensor(np.arange(6).reshape(2, 3).astype(by_name(name).np)) for name in DTYPES}
    return {
        **found,
        "zero": tensor(np.float32(1.5)),
        "empty": tensor(np.zeros((0, 3), "f4")),
        "naïve name": tensor([1, 2], "i8"),
    }


def test_round_trip(tensor, values, tmp_path):
    path = tmp_path / "x.safetensors"
    tensors = cases(tensor)
    save_safetensors(tensors, path, metadata={"format": "pt", "who": "mé"})
    for got in (
        load_safetensors(path),
        load(path),
        load(io.BytesIO(path.read_bytes())),
        load_safetensors(path, mmap=True),
    ):
        assert got.keys() == tensors.keys()
        for name, want in tensors.items():
            assert got[name].dtype is want.dtype and tuple(got[name].shape) == tuple(want.shape)
            np.testing.assert_array_equal(values(got[name]), values(want))
    assert safetensors_metadata(path) == {"format": "pt", "who": "mé"}
    assert load_safetensors(path, device="cuda:0")["int8"].device is device("cuda:0")
    assert load(path, map_location="cuda:1")["int8"].device is device("cuda:1")


def test_the_package_reads_ours(tensor, values, tmp_path):
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    package = pytest.importorskip("safetensors.torch")
    save_safetensors(cases(tensor), tmp_path / "x.safetensors", metadata={"format": "pt"})
    got = package.load_file(tmp_path / "x.safetensors")
    for name, want in cases(tensor).items():
        assert str(got[name].dtype) == str(want.dtype)
        assert got[name].to(torch.complex128).tolist() == values(want).astype(complex).tolist()


def test_we_read_the_packages(values, tmp_path):
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    package = pytest.importorskip("safetensors.torch")
    want = {name: torch.arange(6).reshape(3, 2).to(getattr(torch, name)) for name in DTYPES}
    want |= {"zero": torch.tensor(2.5), "empty": torch.empty(2, 0)}
    package.save_file(want, tmp_path / "x.safetensors", metadata={"a": "b"})
    got = load(tmp_path / "x.safetensors")
    assert got.keys() == want.keys() and safetensors_metadata(tmp_path / "x.safetensors") == {"a": "b"}
    for name, tensor in want.items():
        assert values(got[name]).astype(complex).tolist() == tensor.to(torch.complex128).tolist()


def test_strided_tensors_are_written_row_major(tensor, values, tmp_path):
    turned = bridge.tensor_from_array(values(tensor(np.arange(6.0).reshape(2, 3))).T, CPU)
    save_safetensors({"t": turned}, tmp_path / "x.safetensors")
    assert values(load_safetensors(tmp_path / "x.safetensors")["t"]).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_what_cannot_be_saved(tensor, values, tmp_path):
    path = tmp_path / "x.safetensors"
    base = tensor(np.arange(6.0))
    parts = {"a": bridge.tensor_from_array(values(base)[:3], CPU), "b": bridge.tensor_from_array(values(base)[3:], CPU)}
    save_safetensors(parts, path)  # one memory, but no overlap
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="'a' and 'whole' share memory|'whole' and 'a' share memory"):
        save_safetensors({"a": parts["a"], "whole": base}, path)
    for bad, message in (
        ([base], "must be a dict"),
        ({1: base}, "name of a tensor"),
        ({"__metadata__": base}, "name of a tensor"),
        ({"x": 1}, "must be a tensor, got int"),
        ({"x": tensor(1j)}, "complex128"),
        ({"x": bridge.make_meta_tensor(by_name("int8"), (2,))}, "meta"),
    ):
        with pytest.raises(ValueError, match=message):
            save_safetensors(bad, path)
    with pytest.raises(ValueError, match="must map text to text"):
        save_safetensors({"x": base}, path, metadata={"step": 3})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def file_of(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


EMPTY = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
TWICE = b'{"a":%b,"a":%b}' % (json.dumps(EMPTY).encode(), json.dumps(EMPTY).encode())
BAD = {
    "no header": (b"\x01\x02", "only 2 bytes"),
    "header too long": (file_of(b"{}", length=100), "declares a header of 100 bytes"),
    "header over 100 MB": (struct.pack("<Q", 2**40) + b"{}", "at most 100000000"),
    "not JSON": (file_of(b"{nope}"), "cannot be read"),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "cannot be read"),
    "deep": (file_of(b'{"a":' + b"[" * 100_000), "cannot be read"),
    "long number": (file_of(b'{"a":' + b"9" * 5000 + b"}"), "cannot be read"),
    "NaN": (file_of(b'{"a":NaN}'), "NaN is no JSON"),
    "list": (file_of(b"[]"), "no JSON object"),
    "space first": (file_of(b' {"x":1}'), "no JSON object"),
    "twice": (file_of(TWICE), "occurs twice"),
    "no dict": (file_of({"a": 3}), "not exactly dtype, shape"),
    "extra key": (file_of({"a": {**entry(), "x": 1}}, bytes(8)), "not exactly"),
    "dtype": (file_of({"a": entry("F7")}, bytes(8)), "has dtype 'F7'"),
    "dtype kind": (file_of({"a": entry(["F32"])}, bytes(8)), "not supported"),
    "negative": (file_of({"a": entry(shape=[-2])}, bytes(8)), "no list of sizes"),
    "float size": (file_of({"a": entry(shape=[2.0])}, bytes(8)), "no list of sizes"),
    "bool size": (file_of({"a": entry(shape=[True, 2])}, bytes(8)), "no list of sizes"),
    "overflow": (file_of({"a": entry(shape=[2**62, 2**62])}, bytes(8)), "does not fit between"),
    "huge": (file_of({"a": entry(shape=[2**64])}, bytes(8)), "no list of sizes"),
    "size": (file_of({"a": entry(shape=[3])}, bytes(8)), "does not fit between"),
    "order": (file_of({"a": entry(offsets=[8, 0])}, bytes(8)), "does not fit between"),
    "three offsets": (file_of({"a": entry(offsets=[0, 8, 8])}, bytes(8)), "does not fit between"),
    "gap": (file_of({"a": entry(offsets=[4, 12])}, bytes(12)), "starts at byte 4"),
    "overlap": (file_of({"a": entry(), "b": entry(offsets=[4, 12])}, bytes(12)), "starts at byte 4 .* end at 8"),
    "truncated": (file_of({"a": entry()}, bytes(7)), "describes 8 bytes of data, but 7"),
    "more data": (file_of({"a": entry()}, bytes(9)), "but 9 are there"),
    "metadata": (file_of({"__metadata__": {"a": 1}}), "metadata is something else"),
    "metadata list": (file_of({"__metadata__": ["a"]}), "metadata is something else"),
}


@pytest.mark.parametrize("name", BAD)
def test_headers_with_faults(name, tmp_path):
    data, message = BAD[name]
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match=rf"x\.safetensors.*{message}"):
        load_safetensors(path)


def test_map_location_is_a_device_only(tensor, tmp_path):
    save_safetensors({"a": tensor([1.0])}, tmp_path / "x.safetensors")
    with pytest.raises(RuntimeError, match="dict map_location is not supported"):
        load(tmp_path / "x.safetensors", map_location={"cpu": "cpu"})
    with pytest.raises(RuntimeError, match="callable map_location is not supported"):
        load(tmp_path / "x.safetensors", map_location=lambda storage, location: storage)
