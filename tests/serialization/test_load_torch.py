"""Files that an installed torch has written, read by `load`."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import sys
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest

from rushlight.base.device import device
from rushlight.base.dtypes import by_name
from rushlight.core.generator import Generator
from rushlight.ops.storage import UntypedStorage
from rushlight.serialization import Placeholder, get_unsafe_globals_in_checkpoint, load

torch = pytest.importorskip("torch", reason="parity tests need torch")

DTYPES = ("float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128").split()
FORMATS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}


def as_float64(tensor: Any) -> np.ndarray:
    wide = torch.complex128 if tensor.is_complex() else torch.float64
    return tensor.detach().to(wide).numpy()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(name, form, torch_saved, loaded, values):
    data = torch.arange(-3, 9).to(getattr(torch, name)).reshape(3, 4)
    got = loaded(torch_saved(data, **FORMATS[form]))
    assert got.dtype is by_name(name) and tuple(got.shape) == (3, 4)
    np.testing.assert_array_equal(values(got).astype(as_float64(data).dtype), as_float64(data))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(protocol, form, torch_saved, loaded, values):
    data = {"x": torch.arange(3.0), "bytes": b"\x00\xffabc", "text": "ü" * 300, "big": 2**70, "none": None}
    got = loaded(torch_saved(data, pickle_protocol=protocol, **FORMATS[form]))
    assert values(got["x"]).tolist() == [0, 1, 2]
    assert {k: v for k, v in got.items() if k != "x"} == {k: v for k, v in data.items() if k != "x"}


@pytest.mark.parametrize("form", FORMATS)
def test_shared_storages_stay_shared(form, torch_saved, loaded, values):
    base = torch.arange(12.0).reshape(3, 4)
    got = loaded(torch_saved([base, base[1], base.t(), base[:, ::2], torch.ones(2)], **FORMATS[form]))
    values(got[0])[1, 2] = 99
    assert values(got[1])[2] == 99 and values(got[2])[2, 1] == 99 and values(got[3])[1, 1] == 99
    assert got[0]._storage is got[1]._storage and got[0]._storage is not got[4]._storage
    assert values(got[4]).tolist() == [1, 1]


@pytest.mark.parametrize("form", FORMATS)
def test_strides_empty_and_zero_dim(form, torch_saved, loaded, values):
    cases = [
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.tensor(3.5),
        torch.empty(0, 3),
        torch.ones(1).expand(5),
    ]
    for got, want in zip(loaded(torch_saved(cases, **FORMATS[form])), cases, strict=True):
        assert tuple(got.shape) == tuple(want.shape)
        np.testing.assert_array_equal(values(got), want.numpy())
        if want.numel() > 1:
            assert tuple(s // 4 for s in values(got).strides) == want.stride()


def test_plain_objects(torch_saved, loaded):
    data = collections.OrderedDict(
        size=torch.Size([2, 3]),
        device=torch.device("cuda", 1),
        dtype=torch.bfloat16,
        set={1, 2},
        slice=slice(1, None, 2),
        z=1 + 2j,
        counter=collections.Counter("aab"),
        nested=[(1, [2.5, {"k": True}])],
        array=bytearray(b"xy"),
        frozen=frozenset({3}),
    )
    got = loaded(torch_saved(data))
    assert type(got) is collections.OrderedDict and list(got) == list(data)
    assert (
        repr(got["size"]) == "torch.Size([2, 3])"
        and got["device"] is device("cuda", 1)
        and got["dtype"] is by_name("bfloat16")
    )
    for key in ("set", "slice", "z", "counter", "nested", "array", "frozen"):
        assert got[key] == data[key] and type(got[key]) is type(data[key])


def test_state_dict_keeps_its_metadata(torch_saved, loaded, values):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    state = model.state_dict()
    got = loaded(torch_saved(state))
    assert list(got) == list(state) and got._metadata["1"] == {"version": 2}
    for key, want in state.items():
        np.testing.assert_array_equal(values(got[key]), want.numpy())


def test_optimizer_state(torch_saved, loaded, values):
    layer = torch.nn.Linear(2, 1)
    adam = torch.optim.Adam(layer.parameters(), lr=0.25)
    layer(torch.ones(1, 2)).sum().backward()
    adam.step()
    got = loaded(torch_saved(adam.state_dict()))
    assert got["param_groups"][0]["lr"] == 0.25 and got["param_groups"][0]["params"] == [0, 1]
    np.testing.assert_array_equal(values(got["state"][0]["exp_avg"]), adam.state_dict()["state"][0]["exp_avg"].numpy())


@pytest.mark.parametrize("protocol", [2, 5])
def test_numpy_arrays_and_scalars(protocol, torch_saved, loaded):
    record = np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", ">f8", (2,))])
    data = {
        "array": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big": np.arange(3, dtype=">i2"),
        "text": np.array(["ab", "c"]),
        "empty": np.zeros((0, 4)),
        "zero": np.array(5),
        "record": record,
        "time": np.array(["2020-01-02"], "M8[D]"),
        "objects": np.array([1, "x", None], dtype=object),
        "bool": np.array([True, False]),
        "half": np.float16(1.5),
        "int": np.int64(-7),
        "b": np.bool_(True),
        "dtype": np.dtype(">f4"),
        "kind": np.float32,
    }
    got = loaded(torch_saved(data, pickle_protocol=protocol))
    for key, want in data.items():
        assert type(got[key]) is type(want), key
        if isinstance(want, np.ndarray):
            # What NumPy's own unpickling gives: it brings some byte orders into the machine's.
            assert got[key].dtype == pickle.loads(pickle.dumps(want, protocol)).dtype and got[key].flags.writeable, key
            np.testing.assert_array_equal(got[key], want)
        else:
            assert got[key] == want, key


def test_generator_and_rng_state(torch_saved, loaded, values):
    generator = torch.Generator().manual_seed(7)
    torch.rand(5, generator=generator)
    got = loaded(torch_saved({"generator": generator, "state": generator.get_state()}))
    assert isinstance(got["generator"], Generator) and got["generator"].initial_seed() == 7
    np.testing.assert_array_equal(got["generator"].get_state_bytes(), values(got["state"]))
    assert values(got["state"]).tolist() == generator.get_state().tolist()


def test_requires_grad_and_attributes(torch_saved, loaded):
    leaf = torch.ones(2, requires_grad=True)
    marked = torch.ones(2)
    marked.label = "mine"
    got = loaded(torch_saved([leaf, leaf * 2, torch.ones(1), marked]))
    assert [t.requires_grad for t in got] == [True, True, False, False]
    assert got[3].label == "mine"


def test_conjugate_and_negative_views_are_made_real(torch_saved, loaded, values):
    z = torch.tensor([1 + 2j, 3 - 1j])
    neg = torch.tensor([1 + 2j, 3 - 1j]).conj().imag
    got = loaded(torch_saved([z.conj(), neg]))
    assert values(got[0]).tolist() == [1 - 2j, 3 + 1j] and values(got[1]).tolist() == [-2, 1]


def test_untyped_storage_in_a_checkpoint(torch_saved, loaded):
    got = loaded(torch_saved(torch.tensor([1, 2], dtype=torch.uint8).untyped_storage()))
    assert got.nbytes() == 2 and got.tolist() == [1, 2] and isinstance(got, UntypedStorage)


def test_meta_tensors(torch_saved, loaded):
    got = loaded(torch_saved(torch.empty(2, 3, device="meta")))
    assert got.device.type == "meta" and tuple(got.shape) == (2, 3)


@pytest.mark.parametrize("name", ["uint16", "float8_e4m3fn"])
def test_a_dtype_that_is_missing_is_named(name, torch_saved, loaded, values):
    data = torch_saved({"odd": torch.ones(2).to(getattr(torch, name)), "plain": torch.ones(2)})
    if hasattr(torch, name) and _known(name):
        pytest.skip(f"rushlight has {name} by now")
    with pytest.raises(pickle.UnpicklingError, match=f"torch.{name} are not supported: convert"):
        loaded(data)
    got = loaded(data, unknown="placeholder")
    assert isinstance(got["odd"], Placeholder) and values(got["plain"]).tolist() == [1, 1]


def _known(name: str) -> bool:
    try:
        by_name(name)
    except KeyError:
        return False
    return True


@pytest.mark.filterwarnings("ignore")
def test_unsupported_kinds_of_tensors_are_named(torch_saved, loaded):
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    with pytest.raises(pickle.UnpicklingError, match="quantized tensors are not supported: call .dequantize"):
        loaded(torch_saved(quantized))
    with pytest.raises(pickle.UnpicklingError, match="sparse tensors are not supported: call .to_dense"):
        loaded(torch_saved(torch.eye(2).to_sparse()))


def test_unknown_class_and_placeholder(torch_saved, loaded, values):
    data = torch_saved({"model": torch.nn.Transformer.__mro__[1].__new__(Custom), "loss": Custom(), "w": torch.ones(2)})
    with pytest.raises(pickle.UnpicklingError, match=r"(?s)Custom.*add_safe_globals.*placeholder"):
        loaded(data)
    got = loaded(data, unknown="placeholder")
    assert values(got["w"]).tolist() == [1, 1]
    held = got["loss"]
    assert held.name.endswith("test_load_torch.Custom") and values(held.state["weight"]).tolist() == [0, 1, 2]
    assert values(held.weight).tolist() == [0, 1, 2] and "Custom" in repr(held) and "weight" in repr(held)
    assert get_unsafe_globals_in_checkpoint(io.BytesIO(data)) == [held.name]


class Custom:
    def __init__(self) -> None:
        self.weight = torch.arange(3.0)

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("a class from a file must not be touched")


# Where storages go.


def test_map_location_forms(torch_saved, loaded):
    data = _with_location(torch_saved({"x": torch.ones(2)}), b"cuda:0")
    assert loaded(data)["x"].device is device("cuda:0")
    for form in (
        "cpu",
        b"cpu",
        device("cpu"),
        {"cuda:0": "cpu"},
        lambda storage, location: storage,
        lambda storage, location: storage.cpu(),
    ):
        assert loaded(data, map_location=form)["x"].device is device("cpu")
    assert loaded(data, map_location={"cuda:0": "cuda:1"})["x"].device is device("cuda:1")
    assert loaded(data, map_location={"cuda:7": "cpu"})["x"].device is device("cuda:0")
    assert loaded(data, map_location=lambda storage, location: None)["x"].device is device("cuda:0")
    assert loaded(data, map_location="meta")["x"].device.type == "meta"


def test_map_location_function_sees_storage_and_location(torch_saved, loaded):
    seen = []
    loaded(
        torch_saved([torch.ones(3), torch.zeros(2)]),
        map_location=lambda storage, location: seen.append((storage.nbytes(), location)),
    )
    assert seen == [(12, "cpu"), (8, "cpu")]


def test_map_location_errors(torch_saved, loaded):
    data = torch_saved({"x": torch.ones(2)})
    with pytest.raises(RuntimeError, match="don't know how to restore data location .* 'tpu:9'"):
        loaded(data, map_location="tpu:9")
    with pytest.raises(TypeError, match="map_location.*int"):
        loaded(data, map_location=3)
    with pytest.raises(TypeError, match="returned a int"):
        loaded(data, map_location=lambda storage, location: 3)


def _with_location(data: bytes, location: bytes) -> bytes:
    """The archive with every "cpu" tag replaced."""
    source = zipfile.ZipFile(io.BytesIO(data))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("data.pkl"):
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X" + struct.pack("<I", len(location)) + location)
            archive.writestr(name, content)
    return target.getvalue()


# Files as torch has written them over the years.


def test_big_endian_files(torch_saved, loaded, values):
    data = [
        torch.tensor([1.5, -2]),
        torch.tensor([3, 4], dtype=torch.int16),
        torch.tensor([1 + 2j]),
        torch.tensor([1.5], dtype=torch.bfloat16),
    ]
    source = zipfile.ZipFile(io.BytesIO(torch_saved(data)))
    widths = {"data/0": 4, "data/1": 2, "data/2": 4, "data/3": 2}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            width = widths.get(name.partition("/")[2])
            if width:
                content = np.frombuffer(content, f"u{width}").byteswap().tobytes()
            archive.writestr(name, b"big" if name.endswith("byteorder") else content)
    got = loaded(target.getvalue())
    assert [values(t).astype(complex).tolist() for t in got] == [[1.5, -2], [3, 4], [1 + 2j], [1.5]]


def test_unknown_byte_order(torch_saved, loaded):
    data = torch_saved([torch.ones(2)])
    odd = data.replace(b"little", b"middle").replace(
        struct.pack("<I", zlib.crc32(b"little")), struct.pack("<I", zlib.crc32(b"middle"))
    )
    with pytest.raises(ValueError, match="Unknown endianness type: middle"):
        loaded(odd)


def test_parameters_of_torch_before_0_4(loaded, values):
    """`Parameter(tensor)` followed by its state, as resnet18-5c106cde.pth has it, with a storage that is part of
    another."""
    body = (
        b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00wq\x02ctorch.nn.parameter\nParameter\nq\x03ctorch._utils\n_rebuild_tensor\n"
        b"q\x04((X\x07\x00\x00\x00storageq\x05ctorch\nFloatStorage\nq\x06X\x02\x00\x00\x0077q\x07X\x06\x00\x00\x00cuda:0q\x08K\x04"
        b"X\x02\x00\x00\x0078K\x01K\x02\x87tQK\x00K\x02\x85K\x01\x85tRq\x09\x85Rq\x0a\x88\x89h\x00)R\x87bu."
    )
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    data = b"".join(parts) + body + pickle.dumps(["77"], 2) + struct.pack("<q4f", 4, 1, 2, 3, 4)
    got = loaded(data, map_location="cpu")["w"]
    assert values(got).tolist() == [2, 3] and got.requires_grad and type(got).__name__ == "Parameter"


def test_python_2_strings(loaded):
    body = b"\x80\x02}q\x00U\x01aU\x02\xc3\xa9s."
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
    data = b"".join(parts) + body + pickle.dumps([], 2)
    assert loaded(data) == {"a": "é"}
    assert loaded(data, encoding="bytes") == {b"a": b"\xc3\xa9"}
    assert loaded(data, encoding="latin1") == {"a": "Ã©"}
    with pytest.raises(pickle.UnpicklingError, match="UnicodeDecodeError"):
        loaded(data, encoding="ascii")


def test_several_legacy_objects_in_one_file(torch_saved, values):
    buffer = io.BytesIO(
        torch_saved(torch.ones(2), **FORMATS["legacy"]) + torch_saved([torch.zeros(3)], **FORMATS["legacy"])
    )
    assert values(load(buffer)).tolist() == [1, 1] and values(load(buffer)[0]).tolist() == [0, 0, 0]


def test_archive_behind_other_bytes(torch_saved, values):
    buffer = io.BytesIO(b"header" + torch_saved(torch.ones(2)))
    buffer.seek(6)
    assert values(load(buffer)).tolist() == [1, 1]


# mmap.


def test_mmap_reads_lazily_and_never_writes_back(tmp_path, values):
    path = tmp_path / "m.pth"
    torch.save({"a": torch.arange(100.0), "b": torch.arange(3, dtype=torch.int8), "e": torch.empty(0)}, path)
    before = path.read_bytes()
    got = load(path, mmap=True)
    assert values(got["a"]).tolist() == list(range(100)) and values(got["b"]).tolist() == [0, 1, 2]
    values(got["a"])[0] = 5
    del got
    assert path.read_bytes() == before
    assert values(load(str(path), mmap=True)["a"])[0] == 0


def test_mmap_needs_a_path_and_the_zip_format(tmp_path):
    path = tmp_path / "old.pth"
    torch.save(torch.ones(2), path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used with files saved with"):
        load(path, mmap=True)
    with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
        load(io.BytesIO(path.read_bytes()), mmap=True)


# Arguments.


def test_arguments(torch_saved, loaded, tmp_path):
    data = torch_saved(torch.ones(1))
    loaded(data, weights_only=False, pickle_module=pickle)
    with pytest.raises(RuntimeError, match="Can not safely load weights when explicit pickle_module"):
        loaded(data, weights_only=True, pickle_module=pickle)
    with pytest.raises(RuntimeError, match="pickle_module=.* is not supported"):
        loaded(data, pickle_module=sys)
    with pytest.raises(TypeError, match="unexpected keyword argument 'mapp'"):
        loaded(data, mapp=1)
    with pytest.raises(ValueError, match="'unknown' must be 'error' or 'placeholder'"):
        loaded(data, unknown="ignore")
    with pytest.raises(AttributeError, match="path or a file object"):
        load(3)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.pth")
    with pytest.raises(EOFError, match="empty"):
        loaded(b"")
    with pytest.raises(io.UnsupportedOperation, match="pre-load the data into a buffer"):
        load(Unseekable(data))


class Unseekable(io.BytesIO):
    def seek(self, *args: Any) -> int:
        raise io.UnsupportedOperation("no seeking")
