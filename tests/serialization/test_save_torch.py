"""Files that `save` writes, read by an installed torch and by `load`."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile

import numpy as np
import pytest

from rushlight import nn
from rushlight.base.device import CPU, device
from rushlight.base.dtypes import by_name
from rushlight.core.generator import Generator
from rushlight.core.public import Tensor
from rushlight.serialization import Placeholder, bridge, load, register_global, safe_globals, save, zip_writer

torch = pytest.importorskip("torch", reason="parity tests need torch")

DTYPES = ("float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128").split()
FORMATS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", DTYPES)
def test_torch_reads_every_dtype(name, form, tensor, saved, torch_loaded):
    element = by_name(name)
    got = torch_loaded(saved(tensor(np.arange(6).reshape(2, 3).astype(element.np)), **FORMATS[form]))
    assert got.dtype is getattr(torch, name)
    assert torch.equal(got, torch.arange(6).reshape(2, 3).to(got.dtype))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(protocol, form, tensor, saved, torch_loaded, loaded, values):
    data = saved(
        {"x": tensor([1.0, 2.0]), "text": "ü", "size": tensor([[1.0]]).shape}, pickle_protocol=protocol, **FORMATS[form]
    )
    got = loaded(data)
    assert values(got["x"]).tolist() == [1, 2] and got["text"] == "ü" and repr(got["size"]) == "torch.Size([1, 1])"
    if protocol < 4:  # torch's weights_only reader knows protocol 2 (and what 3 has in common with it)
        assert torch_loaded(data)["x"].tolist() == [1, 2]
    else:
        assert torch.load(io.BytesIO(data), weights_only=False)["x"].tolist() == [1, 2]


@pytest.mark.parametrize("form", FORMATS)
def test_shared_memory_is_written_once(form, tensor, saved, torch_loaded, loaded, values):
    base = tensor(np.arange(12.0, dtype="f4").reshape(3, 4))
    views = [
        base,
        *(
            bridge.tensor_from_array(values(base)[key], CPU)
            for key in ((1,), (slice(None), 2), (slice(None), slice(1, None, 2)))
        ),
    ]
    views.append(bridge.tensor_from_array(values(base).T, CPU))
    data = saved(views, **FORMATS[form])
    got = torch_loaded(data)
    assert len({t.untyped_storage().data_ptr() for t in got}) == 1 and got[0].untyped_storage().nbytes() == 48
    for want, other in zip(views, got, strict=True):
        np.testing.assert_array_equal(values(want), other.numpy())
        assert tuple(s // 4 for s in values(want).strides) == other.stride()
    again = loaded(data)
    values(again[0])[1, 2] = 50
    assert values(again[1])[2] == 50 and values(again[2])[1] == 50


@pytest.mark.parametrize("mmap", [False, True])
def test_what_was_loaded_is_saved_as_it_was(mmap, tmp_path, torch_saved, torch_loaded, loaded, saved):
    base = torch.arange(12.0).reshape(3, 4)
    path = tmp_path / "x.pth"
    path.write_bytes(
        torch_saved({"a": base, "b": base[1:], "storage": torch.ones(3, dtype=torch.uint8).untyped_storage()})
    )
    got = torch_loaded(saved(load(path, mmap=mmap)))
    assert got["a"].untyped_storage().data_ptr() == got["b"].untyped_storage().data_ptr()
    assert got["a"].untyped_storage().nbytes() == 48 and torch.equal(got["b"], base[1:])
    assert got["storage"]._untyped_storage.tolist() == [1, 1, 1]


def test_windows_on_memory(tensor, saved, torch_loaded, values):
    """Views made by as_strided lie on the memory of their base."""
    base = tensor(np.arange(6.0))
    window = bridge.tensor_from_array(np.lib.stride_tricks.as_strided(values(base)[1:], (2, 2), (8, 16)), CPU)
    got = torch_loaded(saved([window, base]))
    assert got[0].tolist() == [[1, 3], [2, 4]] and got[0].untyped_storage().nbytes() == 48
    assert got[0].untyped_storage().data_ptr() == got[1].untyped_storage().data_ptr()


class Marked(Tensor):
    pass


def test_subclasses(tensor, saved, loaded):
    own = tensor([1.0])
    own.__class__ = Marked
    own.label = "x"
    data = saved(own)
    with pytest.raises(pickle.UnpicklingError, match="Marked"):
        loaded(data)
    with safe_globals([Marked]):
        again = loaded(data)
    assert type(again) is Marked and again.label == "x"
    assert type(loaded(data, unknown="placeholder")) is Tensor


def test_memory_of_any_order(tensor, saved, torch_loaded, values):
    """Dense memory in channels-last order, Fortran order, reversed rows and a broadcast array."""
    last = np.empty_like(np.zeros((2, 4, 5, 3), "f4").transpose(0, 3, 1, 2))
    last[...] = np.random.rand(*last.shape)
    arrays = [
        last,
        np.asfortranarray(np.random.rand(3, 4)),
        np.arange(6.0)[::-1],
        np.broadcast_to(np.float32(2), (3, 2)),
        np.zeros((0, 2)),
        np.array(4.0),
    ]
    assert not (last.flags.c_contiguous or last.flags.f_contiguous) and last.base is None
    got = torch_loaded(saved([bridge.tensor_from_array(array, CPU) for array in arrays]))
    for want, other in zip(arrays, got, strict=True):
        assert tuple(other.shape) == want.shape
        np.testing.assert_array_equal(want, other.numpy())
    assert got[0].is_contiguous(memory_format=torch.channels_last) and got[0].untyped_storage().nbytes() == last.nbytes


def test_one_memory_as_two_dtypes_is_refused(tensor, saved, values):
    floats = tensor([1.0, 2.0], "f4")
    with pytest.raises(RuntimeError, match="view the same data as different types.*clone"):
        saved([floats, bridge.tensor_from_array(values(floats).view(np.int32), CPU)])


def test_the_bytes_are_torchs(tensor, saved, torch_saved):
    """The same objects give the same archive, except for the identity that torch derives from its records."""
    base = torch.arange(6.0).reshape(2, 3)
    mine = tensor(np.arange(6, dtype="f4").reshape(2, 3))
    one = saved(collections.OrderedDict(a=mine, e=tensor(np.zeros(0, "f4")), n=[1, 2.5, "x"], d=by_name("int8")))
    two = torch_saved(collections.OrderedDict(a=base, e=torch.empty(0), n=[1, 2.5, "x"], d=torch.int8))
    assert len(one) == len(two)
    at = two.index(b"serialization_idFB") + len(b"serialization_idFB")
    assert one[:at] == two[:at]
    ours, theirs = zipfile.ZipFile(io.BytesIO(one)), zipfile.ZipFile(io.BytesIO(two))
    assert [(i.filename, i.header_offset, i.file_size) for i in ours.infolist()] == [
        (i.filename, i.header_offset, i.file_size) for i in theirs.infolist()
    ]
    assert ours.testzip() is None


def test_storages_start_at_multiples_of_64(tensor, saved):
    data = saved([tensor(np.full(n, n, "f4")) for n in range(1, 6)])
    archive = zipfile.ZipFile(io.BytesIO(data))
    for n in range(1, 6):
        assert data.index(np.full(n, n, "f4").tobytes() + b"PK") % 64 == 0
        assert archive.read(f"archive/data/{n - 1}") == np.full(n, n, "f4").tobytes()
    assert archive.read("archive/.storage_alignment") == b"64" and archive.read("archive/byteorder") == b"little"
    assert archive.read("archive/version") == b"3\n" and archive.read("archive/.format_version") == b"1"


def test_the_same_object_gives_the_same_file(tensor, saved):
    assert saved({"x": tensor([1.0])}) == saved({"x": tensor([1.0])})


def test_more_than_4_gib_in_small(monkeypatch, tensor, saved, torch_loaded, loaded, values):
    """With the limit lowered, sizes and offsets take their 64-bit form, which every reader must understand."""
    monkeypatch.setattr(zip_writer, "LARGE", 300)
    data = saved({"a": tensor(np.arange(200.0)), "b": tensor([1.0])})
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    assert torch_loaded(data)["a"].tolist() == list(range(200)) and torch_loaded(data)["b"].tolist() == [1]
    assert values(loaded(data)["a"]).tolist() == list(range(200))


def test_devices_and_grad(tensor, saved, torch_loaded, loaded):
    leaf = tensor([1.0, 2.0]).requires_grad_(True)
    far = bridge.tensor_from_array(np.ones(2, "f4"), device("cuda:0"))
    got = torch_loaded(saved([leaf, far]), map_location={"cuda:0": "cpu"})
    assert got[0].requires_grad and got[1].tolist() == [1, 1]
    again = loaded(saved([leaf, far]))
    assert again[0].requires_grad and again[1].device is device("cuda:0")


def test_meta_tensors(saved, torch_loaded):
    got = torch_loaded(saved(bridge.make_meta_tensor(by_name("float32"), (2, 3))))
    assert got.is_meta and got.shape == (2, 3) and got.stride() == (3, 1)


def test_plain_objects(saved, torch_loaded):
    data = {
        "device": device("cuda", 1),
        "dtype": by_name("int16"),
        "set": {1},
        "z": 2j,
        "bytes": b"\xff",
        "counter": collections.Counter("aab"),
    }
    got = torch_loaded(saved(data))
    assert got["device"] == torch.device("cuda:1") and got["dtype"] is torch.int16
    assert {k: got[k] for k in ("set", "z", "bytes", "counter")} == {
        k: data[k] for k in ("set", "z", "bytes", "counter")
    }


def test_attributes_of_tensors(tensor, saved, torch_loaded, loaded):
    marked = tensor([1.0])
    marked.label = "mine"
    assert torch_loaded(saved(marked)).label == "mine" and loaded(saved(marked)).label == "mine"


def test_generators(saved, loaded):
    generator = Generator().manual_seed(11)
    generator.raw32(3)
    theirs = torch.load(io.BytesIO(saved(generator)), weights_only=False)
    assert theirs.initial_seed() == 11 and theirs.get_state().tolist() == generator.get_state_bytes().tolist()
    assert loaded(saved(generator)).raw32(5).tolist() == generator.raw32(5).tolist()


def test_numpy_arrays(saved, loaded):
    data = {"a": np.arange(6.0).reshape(2, 3), "s": np.float32(1.5)}
    with torch.serialization.safe_globals(
        [
            np._core.multiarray._reconstruct,
            np.ndarray,
            np.dtype,
            np._core.multiarray.scalar,
            np.dtypes.Float64DType,
            np.dtypes.Float32DType,
        ]
    ):
        theirs = torch.load(io.BytesIO(saved(data)), weights_only=True)
    np.testing.assert_array_equal(theirs["a"], data["a"])
    np.testing.assert_array_equal(loaded(saved(data))["a"], data["a"])


def test_registered_classes_are_written_under_torchs_names(tensor, saved, loaded):
    class NonDynamicallyQuantizableLinear:  # a class of torch's that rushlight has no use for
        def __init__(self) -> None:
            self.scale = tensor([2.0])

    name = "NonDynamicallyQuantizableLinear"
    register_global("torch.nn.modules.linear", name, NonDynamicallyQuantizableLinear)
    layer = NonDynamicallyQuantizableLinear()
    data = saved(layer)
    theirs = torch.load(io.BytesIO(data), weights_only=False)
    assert type(theirs) is getattr(torch.nn.modules.linear, name) and theirs.__dict__["scale"].tolist() == [2]
    again = loaded(data)
    assert type(again) is NonDynamicallyQuantizableLinear and again.scale.requires_grad is False
    with pytest.raises(pickle.UnpicklingError, match="may not be called"):
        loaded(_record(f"ctorch.nn.modules.linear\n{name}\n)R.".encode()))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_whole_modules_in_every_protocol(protocol, form, saved, loaded):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Conv2d(1, 2, 3, padding="same"), nn.Upsample(scale_factor=2))
    data = saved(model, pickle_protocol=protocol, **FORMATS[form])
    theirs, ours = torch.load(io.BytesIO(data), weights_only=False), loaded(data, weights_only=False)
    assert repr(theirs) == repr(ours) == repr(model) and type(theirs[0].weight) is torch.nn.Parameter
    for name, value in model.state_dict().items():
        assert theirs.state_dict()[name].tolist() == ours.state_dict()[name].tolist() == value.tolist()
    assert theirs[2](torch.ones(1, 1, 4, 4)).shape == (1, 2, 4, 4)


def _record(body: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + body)
        archive.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def test_what_cannot_be_saved(saved, tmp_path):
    with pytest.raises(pickle.PicklingError, match="cannot save Placeholder"):
        saved(Placeholder("some.Class"))
    with pytest.raises((AttributeError, pickle.PicklingError)):
        saved(lambda: 0)
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(RecursionError, match="nested too deep"):
        saved(deep)
    with pytest.raises(AttributeError, match="expected 'f' to be string, path, or a file-like object"):
        save({}, 3)
    with pytest.raises(ValueError, match="'pickle_protocol' must be 0 to"):
        saved({}, pickle_protocol=99)
    with pytest.raises(RuntimeError, match="Parent directory .* does not exist"):
        save({}, tmp_path / "none" / "x.pth")


def test_names_inside_the_archive(tmp_path):
    for name, folder in (
        ("my model.v2.pth", "my model.v2"),
        ("plain", "plain"),
        ("möd.pth", "archive"),
        (".pth", ".pth"),
    ):
        save({"a": 1}, tmp_path / name)
        assert zipfile.ZipFile(tmp_path / name).namelist()[0] == f"{folder}/data.pkl"
        assert torch.load(tmp_path / name, weights_only=True) == {"a": 1}
