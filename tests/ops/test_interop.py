"""NumPy, DLPack, pickle, copy, print and iteration."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import rushlight as rl

DTYPES = "float64 float32 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128".split()

PROGRAMS = """
torch.ones(2, requires_grad=True).numpy()
torch.ones(2, requires_grad=True).numpy(force=True)
torch.ones(2, device="meta").numpy()
np.array(torch.ones(2, requires_grad=True))
np.asarray(torch.ones(2), dtype=np.int32), np.array(torch.arange(3)), np.asarray(torch.ones(2, 3).t()).strides
np.array(torch.ones(2), dtype=np.int32, copy=False)
a = torch.ones(2); n = a.numpy(); n += 1; a
a = torch.ones(2); np.asarray(a).__array_interface__["data"][0] == a.data_ptr()
a = torch.ones(2); np.array(a).__array_interface__["data"][0] == a.data_ptr()
torch.ones(2) * np.ones(2), np.ones(2) == torch.ones(2), np.float64(2) * torch.ones(2), torch.ones(2) * np.float32(2)
np.sin(torch.ones(2)), np.add(torch.ones(2), 1), np.greater(torch.ones(2), 0), np.maximum(np.ones(2), torch.ones(2))
torch.tensor(1.5).tolist(), torch.ones(2, 1).bfloat16().tolist(), torch.ones(0, 2).tolist()
torch.tensor([True]).tolist(), torch.tensor([1j]).tolist()
torch.ones(2, device="meta").tolist()
torch.ones((), device="meta").item()
torch.ones(2, requires_grad=True).__dlpack__()
a = torch.ones(2); b = torch.from_dlpack(a); b += 1; a
torch.from_dlpack(np.ones(2)), np.from_dlpack(torch.ones(2)), type(torch.ones(2).__dlpack__()).__name__
tuple(map(int, torch.ones(2).__dlpack_device__()))
torch.from_dlpack([1])
copy.deepcopy(torch.ones(2, requires_grad=True) * 2)
copy.deepcopy(torch.ones(2, requires_grad=True)), copy.copy(torch.ones(2, requires_grad=True))
a = torch.ones(2); copy.copy(a) is a, copy.copy(a).data_ptr() == a.data_ptr()
a = torch.ones(2); copy.deepcopy(a).data_ptr() == a.data_ptr()
a = torch.arange(6.).view(2, 3).t(); c = copy.deepcopy([a, a[0], a]); c[1][0] = 50; c, c[0].stride(), c[2] is c[0], a
a = torch.ones(2, requires_grad=True); (a * 1).backward(torch.ones(2)); b = copy.deepcopy(a); b.grad[0] = 9; a.grad
a = torch.ones(2, requires_grad=True); (a * 1).backward(torch.ones(2)); b = copy.deepcopy(a); b.grad[0] = 9; b.grad
a = torch.ones(2, requires_grad=True); (a * 1).backward(torch.ones(2)); b = copy.deepcopy(a); b.grad[0] = 9; b.requires_grad
pickle.loads(pickle.dumps(torch.ones(2, requires_grad=True)))
pickle.loads(pickle.dumps(torch.ones(2, requires_grad=True) * 2))
a = pickle.loads(pickle.dumps(torch.arange(6.).view(2, 3)[1:])); a, a.stride(), a.storage_offset()
pickle.loads(pickle.dumps(torch.ones(1, 2, 3, 4).to(memory_format=torch.channels_last))).stride()
pickle.loads(pickle.dumps(torch.ones(2, 3).t().clone())).stride()
pickle.loads(pickle.dumps(torch.tensor(3))), pickle.loads(pickle.dumps(torch.ones(2, 0)))
pickle.loads(pickle.dumps(torch.tensor([True, False])[1:])), pickle.loads(pickle.dumps(torch.ones(2, device="meta")))
a = torch.ones(2); a.foo = [1]; b = copy.deepcopy(a); c = pickle.loads(pickle.dumps(a)); b.foo, c.foo, b.foo is a.foo
copy.deepcopy(torch.ones(2, device="meta", requires_grad=True)).requires_grad
copy.deepcopy(torch.ones(2, 3).t().clone()).stride()
list(torch.tensor(1))
list(torch.arange(2)), reversed(torch.arange(3)), reversed(torch.tensor(3)), [r.tolist() for r in torch.ones(2, 2)]
a, b = torch.ones(2, requires_grad=True) * 2; a
len(torch.tensor(3))
f"{torch.tensor(3.14159):.2f}", f"{torch.ones(2)} {torch.tensor(2)} {torch.tensor(2.5):5.1f} {torch.tensor(3):03d}"
f"{torch.ones(2):.2f}"
torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True) * 2, torch.ones(2, dtype=torch.float64)
torch.ones(2, 0), torch.arange(2000.).view(50, 40), torch.ones(2).half(), torch.tensor([1 + 2j])
torch.ones(2, device="meta")
S = type("S", (torch.Tensor,), {}); torch.ones(2).as_subclass(S)
str(torch.ones(2)), torch.ones(2).__repr__(tensor_contents="...")
torch.tensor(1.) in [torch.tensor(1.)], len({torch.ones(1), torch.ones(1)}), torch.is_nonzero(torch.tensor(0))
torch.is_nonzero(torch.tensor([2.]))
torch.is_nonzero(torch.ones(2))
""".strip().splitlines()


@pytest.mark.parametrize("program", PROGRAMS)
def test_torch(program, same_program):
    same_program(program)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize(
    "program",
    ["pickle.loads(pickle.dumps(x))", "copy.deepcopy(x)", "x.tolist()", "pickle.loads(pickle.dumps(x)).stride()"],
)
def test_every_dtype(program, name, same_program):
    same_program(f"x = torch.arange(6).view(2, 3).to(torch.{name}).t(); {program}")


def test_ndarray_times_tensor_is_a_tensor():
    for found in (np.ones(2) * rl.ones(2), np.ones(2) - rl.ones(2), np.ones((2, 2)) @ rl.ones(2).double()):
        assert type(found) is rl.Tensor and found.dtype is rl.float64


def test_bfloat16_becomes_an_array_of_ml_dtypes():
    t = rl.ones(2).bfloat16()
    array = t.numpy()
    array[0] = 3
    assert array.dtype.name == "bfloat16" and t.tolist() == [3, 1]
    with pytest.raises(BufferError, match="float"):
        t.__dlpack__()


def test_views_pickled_together_share_memory_and_versions():
    a = rl.arange(6.0).view(2, 3)
    c, d = pickle.loads(pickle.dumps((a, a[1])))
    version = c._version
    d[0] = 50
    assert c.tolist() == [[0, 1, 2], [50, 4, 5]] and c._version > version
    assert a.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_pickle_keeps_subclasses_and_devices():
    s = rl.ones(2).as_subclass(Marked)
    s.note = "kept"
    again = pickle.loads(pickle.dumps(s))
    assert type(again) is Marked and again.note == "kept"
    assert type(copy.deepcopy(s)) is Marked
    moved = pickle.loads(pickle.dumps(rl.ones(2, device="cuda:1")))
    assert str(moved.device) == "cuda:1"


class Marked(rl.Tensor):
    """A subclass that pickle can find by name."""


Marked.__module__ = "pickled_tensors"
sys.modules.setdefault("pickled_tensors", type(sys)("pickled_tensors")).Marked = Marked


def test_pickles_do_not_mention_torch():
    data = pickle.dumps(
        (rl.ones(2), rl.ones(2, requires_grad=True), rl.ones(2).bfloat16(), rl.float32, rl.channels_last)
    )
    assert b"torch" not in data
    code = (
        "import sys, pickle; x = pickle.loads(sys.stdin.buffer.read()); assert 'torch' not in sys.modules; print(x[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "tensor([1., 1.])"


def test_returned_arrays_can_be_reshaped_without_harm():
    t = rl.arange(6.0)
    t.numpy().shape = (2, 3)
    assert t.shape == (6,) and t.numpy().shape == (6,)


def test_emulated_tensors_do_not_pass_for_host_memory():
    t = rl.ones(2, device="cuda")
    for act in (t.numpy, t.__dlpack__, t.__dlpack_device__, lambda: np.asarray(t)):
        with pytest.raises((TypeError, BufferError), match="cpu"):
            act()
    assert t.numpy(force=True).tolist() == t.tolist() == [1, 1]


def test_dir_shows_the_surface():
    t = rl.ones(2)
    t.mine = 1
    names = dir(t)
    assert {"mine", "backward", "to", "shape"} <= set(names) and "_array" not in names
