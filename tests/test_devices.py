"""Device objects, the default device, and devices that are not there: emulated in host memory, and never pretended."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import rushlight as rl
from rushlight.utils.data import DataLoader, TensorDataset, random_split

SOURCE = Path(rl.__file__).resolve().parents[1]
EMULATED = ["cuda", "mps", "xpu"]


def in_fresh_process(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), **variables}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


@pytest.fixture(autouse=True)
def default_device(capfd):
    """The CPU is the default device again after each test; notices on stderr are swallowed."""
    yield
    rl.set_default_device(None)


# ---------------------------------------------------------------- device objects

PARSED = {
    "cpu": ("cpu", None), "cuda": ("cuda", None), "cuda:0": ("cuda", 0), "cuda:12": ("cuda", 12), "mps": ("mps", None),
    "mps:0": ("mps", 0), "meta": ("meta", None), "cpu:0": ("cpu", 0), "xpu:1": ("xpu", 1),
}  # fmt: skip


@pytest.mark.parametrize("text", PARSED)
def test_parsing_and_printing(text, oracle):
    d, theirs = rl.device(text), oracle.torch.device(text)
    assert (d.type, d.index) == PARSED[text] == (theirs.type, theirs.index)
    assert repr(d) == repr(theirs) and str(d) == str(theirs)


def test_other_ways_to_name_a_device():
    assert rl.device("cuda", 1) == rl.device("cuda:1") == rl.device(1) == rl.device(type="cuda", index=1) == rl.device(rl.device("cuda:1"))


def test_equality_hash_and_identity():
    assert rl.device("cuda") != rl.device("cuda:0") and rl.device("cpu") != "cpu"
    assert len({rl.device("cpu"), rl.device("cpu"), rl.device("cuda:0"), rl.device("cuda", 0)}) == 2


@pytest.mark.parametrize("text", PARSED)
def test_copies_are_the_same_device(text):
    d = rl.device(text)
    assert pickle.loads(pickle.dumps(d)) == d and copy.deepcopy(d) == d and hash(copy.copy(d)) == hash(d)


@pytest.mark.parametrize("value", ["nowhere", "cuda:x", "cuda:-1", "cuda:", ":0", ""])
def test_wrong_names(value, oracle):
    with pytest.raises(RuntimeError):
        oracle.torch.device(value)
    with pytest.raises(RuntimeError, match="Invalid device string"):
        rl.device(value)


def test_wrong_types():
    with pytest.raises(TypeError):
        rl.device(None)
    with pytest.raises(TypeError):
        rl.device(1.5)
    with pytest.raises(RuntimeError, match="must not include an index"):
        rl.device("cuda:0", 1)


# ---------------------------------------------------------------- the default device

FACTORIES = {
    "zeros": lambda: rl.zeros(2), "ones": lambda: rl.ones(2), "empty": lambda: rl.empty(2), "full": lambda: rl.full((2,), 1.0),
    "tensor": lambda: rl.tensor([1.0]), "as_tensor": lambda: rl.as_tensor([1.0]), "arange": lambda: rl.arange(3),
    "linspace": lambda: rl.linspace(0, 1, 3), "eye": lambda: rl.eye(2), "rand": lambda: rl.rand(2), "randn": lambda: rl.randn(2),
    "randint": lambda: rl.randint(3, (2,)), "randperm": lambda: rl.randperm(3), "zeros_like": lambda: rl.zeros_like(rl.ones(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("where", ["mps", "cuda:1", "meta"])
def test_factories_use_the_default_device(name, where):
    rl.set_default_device(where)
    expected = rl.device("mps:0") if where == "mps" else rl.device(where)
    assert FACTORIES[name]().device == expected == rl.get_default_device()


def test_a_device_is_a_context_manager():
    with rl.device("cuda"):
        assert rl.ones(1).device == rl.device("cuda:0")
        with rl.device("cpu"):
            assert rl.ones(1).device == rl.device("cpu")
        assert rl.ones(1).is_cuda
    assert rl.ones(1).is_cpu
    with pytest.raises(ZeroDivisionError), rl.device("mps"):
        1 / 0  # noqa: B018
    assert rl.get_default_device() == rl.device("cpu")


def test_an_explicit_device_wins():
    rl.set_default_device("mps")
    assert rl.ones(1, device="cpu").is_cpu and rl.tensor([1.0], device="cuda").is_cuda


def test_arrays_stay_on_the_host():
    rl.set_default_device("mps")
    assert rl.from_numpy(np.zeros(2)).is_cpu


def test_the_default_device_is_the_threads_own():
    seen = []
    rl.set_default_device("mps")
    thread = threading.Thread(target=lambda: seen.append(rl.ones(1).device))
    thread.start()
    thread.join()
    assert seen == [rl.device("cpu")]


# ---------------------------------------------------------------- moving


@pytest.mark.parametrize("kind", EMULATED)
def test_moving_copies(kind):
    x = rl.ones(2)
    there = x.to(kind)
    assert there.device == rl.device(kind, 0) and there is not x and there.to(kind) is there
    back = there.cpu()
    back[0] = 5
    assert there.tolist() == [1.0, 1.0] == x.tolist() and back.is_cpu


def test_ways_to_move():
    x = rl.ones(2)
    assert x.cuda().device == rl.device("cuda:0") and x.cuda(1).device == rl.device("cuda:1")
    assert x.to(rl.ones(1, device="mps")).is_mps and x.to("cuda", rl.float16).dtype is rl.float16
    assert x.to(device="mps", dtype=rl.int64).dtype is rl.int64 and x.cpu() is x and x.to("cpu:0").device == rl.device("cpu")
    assert x.cuda().to("mps").is_mps
    assert x.get_device() == -1 and x.cuda(1).get_device() == 1
    assert x.cuda().type() == "torch.cuda.FloatTensor"


def test_moving_is_differentiable():
    x = rl.ones(2, requires_grad=True)
    (x.to("cuda") * 3).sum().backward()
    assert x.grad.is_cpu and x.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("kind", EMULATED)
def test_results_stay_on_the_device(kind):
    x = rl.arange(6.0, device=kind).reshape(2, 3)
    for y in (x + 1, x @ x.T, x.sum(), x[0], x.argmax(), rl.cat([x, x]), x.clone(), rl.randn_like(x), x > 2, x.new_zeros(2), x.detach()):
        assert y.device == x.device
    assert repr(x.sum()) == f"tensor(15., device='{kind}:0')"


def test_mixing_devices_is_an_error():
    there, here = rl.ones(2, device="cuda"), rl.ones(2)
    for call in (
        lambda: there + here,
        lambda: rl.ones(2, 2, device="mps") @ rl.ones(2, 2),
        lambda: rl.cat([there, here]),
        lambda: there + rl.ones(2, device="cuda:1"),
        lambda: rl.nn.functional.linear(rl.ones(1, 2), rl.ones(3, 2, device="mps")),
    ):
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device, but found at least two devices"):
            call()
    assert (there + rl.tensor(1.0)).is_cuda and (rl.tensor(1.0) + there).is_cuda and (there * 2).is_cuda


def test_indices_may_be_on_the_cpu():
    there = rl.arange(4.0, device="mps")
    assert there[rl.tensor([1, 2])].is_mps


def test_numpy_needs_the_cpu():
    there = rl.ones(2, device="mps")
    for call in (there.numpy, lambda: np.asarray(there)):
        with pytest.raises(TypeError, match=r"can't convert mps:0 device type tensor to numpy. Use Tensor.cpu\(\)"):
            call()
    assert there.cpu().numpy().tolist() == there.tolist() == [1.0, 1.0]


def test_nothing_becomes_available():
    rl.ones(1, device="cuda"), rl.ones(1, device="mps")
    assert not rl.cuda.is_available() and not rl.backends.mps.is_available() and rl.cuda.device_count() == 0


# ---------------------------------------------------------------- what is said once


def test_the_notice_comes_once_per_device_type():
    done = in_fresh_process(
        "import rushlight as t\nt.ones(1, device='mps'); t.ones(1).to('mps'); t.ones(1, device='mps')\n"
        "t.ones(1, device='cuda:0'); t.ones(1, device='cuda:1'); t.ones(1, device='meta')"
    )
    assert done.returncode == 0 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and "no MPS" in lines[0] and "no CUDA" in lines[1]
    assert all(line.startswith("rushlight: ") and "live in host memory" in line for line in lines)


def test_a_device_object_alone_says_nothing():
    done = in_fresh_process("import rushlight as t; t.device('cuda'); t.cuda.is_available(); t.cuda.manual_seed_all(1)")
    assert done.returncode == 0 and done.stderr == ""


def test_strict_devices():
    done = in_fresh_process("import rushlight as t; t.ones(1, device='cuda')", RUSHLIGHT_STRICT_DEVICE="1")
    assert done.returncode == 1 and "DeviceUnavailableError" in done.stderr and "RUSHLIGHT_STRICT_DEVICE=1 forbids" in done.stderr
    done = in_fresh_process("import rushlight as t; t.ones(1, device='meta'); t.ones(1)", RUSHLIGHT_STRICT_DEVICE="1")
    assert done.returncode == 0, done.stderr
    done = in_fresh_process("import rushlight as t; t.ones(1, device='cuda')", RUSHLIGHT_STRICT_DEVICE="yes")
    assert "is not one of 0, 1" in done.stderr


def test_double_becomes_float_on_mps_with_one_warning():
    done = in_fresh_process(
        "import warnings, rushlight as t\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    x = t.ones(2, dtype=t.float64)\n"
        "    made = [x.to('mps'), t.zeros(2, dtype=t.float64, device='mps'), t.tensor([1.5], dtype=t.float64, device='mps')]\n"
        "assert [m.dtype for m in made] == [t.float32] * 3, made\n"
        "assert len(seen) == 1 and 'mps has no float64' in str(seen[0].message), seen\n"
        "assert x.to('cuda').dtype is t.float64\n"
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- training under an emulated default device


def test_training_under_default_device_mps():
    rl.set_default_device("mps")
    rl.manual_seed(0)
    model = rl.nn.Linear(3, 1)
    assert model.weight.device == rl.device("mps:0")
    data = TensorDataset(rl.randn(8, 3), rl.randn(8, 1))
    for optimizer in (rl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), rl.optim.Adam(model.parameters())):
        before = model.weight.detach().clone()
        for x, y in DataLoader(data, batch_size=4, shuffle=True):
            assert x.is_mps
            optimizer.zero_grad()
            rl.nn.functional.mse_loss(model(x), y).backward()
            assert model.weight.grad.is_mps
            optimizer.step()
        assert not rl.equal(before, model.weight)
    assert len(random_split(data, [6, 2])[0]) == 6


def test_numbers_are_those_of_the_cpu():
    rl.manual_seed(3)
    here = rl.randn(20), rl.randperm(9), rl.nn.functional.dropout(rl.ones(9))
    rl.manual_seed(3)
    with rl.device("mps"):
        there = rl.randn(20), rl.randperm(9), rl.nn.functional.dropout(rl.ones(9))
    assert all(rl.equal(a, b.cpu()) for a, b in zip(here, there, strict=True))


def test_generators_have_a_device():
    generator = rl.Generator(device="mps").manual_seed(5)
    assert generator.device == rl.device("mps") and rl.Generator().device == rl.device("cpu")
    assert rl.randn(3, generator=generator, device="mps").is_mps
    with pytest.raises(RuntimeError, match="Expected a 'mps' device type for generator but found 'cpu'"):
        rl.randn(3, generator=rl.Generator(), device="mps")


def test_modules_move():
    model = rl.nn.Sequential(rl.nn.Linear(2, 2), rl.nn.BatchNorm1d(2)).to("cuda")
    assert {p.device for p in model.state_dict().values()} == {rl.device("cuda:0")}
    assert {p.device for p in model.cpu().parameters()} == {rl.device("cpu")}


# ---------------------------------------------------------------- meta: shapes without values


def test_meta_tensors_have_shapes_and_no_values():
    x = rl.empty(2, 3, device="meta")
    assert repr(x) == "tensor(..., device='meta', size=(2, 3))"
    y = (x @ x.T).sum(0) + 1
    assert y.is_meta and y.shape == (2,) and y.dtype is rl.float32
    assert x.to(rl.float64).dtype is rl.float64 and rl.zeros_like(x).is_meta
    assert rl.zeros_like(x, device="cpu").tolist() == [[0.0] * 3] * 2


def test_meta_tensors_can_not_be_read():
    x = rl.ones(1, device="meta")
    for call in (x.cpu, x.tolist, lambda: x.to("cuda")):
        with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
            call()
    with pytest.raises(TypeError, match="can't convert meta device type tensor to numpy"):
        x.numpy()
    for call in (x.item, lambda: bool(x), lambda: float(x)):
        with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
            call()
    with pytest.raises(RuntimeError, match="same device"):
        x + rl.ones(1)


def test_gradients_of_meta_tensors():
    x = rl.ones(2, 3, device="meta", requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.is_meta and x.grad.shape == (2, 3)
