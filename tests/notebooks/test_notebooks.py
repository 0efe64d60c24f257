"""Five people's notebooks print under rushlight what they print under PyTorch."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _load(name):
    """A module beside this file, which pytest's importlib mode does not put on the path."""
    spec = importlib.util.spec_from_file_location(f"notebooks_{name}", HERE / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


compare = _load("compare")
programs = pytest.mark.parametrize("program", compare.PROGRAMS, ids=lambda path: path.stem)

# torch itself is imported in processes of its own: here its presence is enough.
needs_torch = pytest.mark.skipif(
    not (importlib.util.find_spec("torch") and importlib.util.find_spec("torchvision")),
    reason="parity tests need torch and torchvision",
)


@pytest.fixture(scope="module")
def torch_home(tmp_path_factory):
    return tmp_path_factory.mktemp("torch_home")


@pytest.fixture(scope="module")
def under_torch(torch_home):
    """Each program's run under PyTorch; after it the checkpoint is in ``torch_home``."""
    return dict(zip(compare.PROGRAMS, compare.run("torch", compare.PROGRAMS, torch_home), strict=True))


@needs_torch
@programs
def test_torch_runs_every_cell_but_those_on_mps(program, under_torch):
    failed = [result.number for result in under_torch[program].cells if result.error]
    assert failed == ([35, 38, 39, 41] if program.stem == "frozen_resnet_default_device_mps" else [])


@needs_torch
@programs
def test_rushlight_shows_what_torch_shows(program, under_torch, torch_home):
    [under_rushlight] = compare.run("rushlight", [program], torch_home)
    found = compare.differences(compare.expected_run(program, under_torch[program]), under_rushlight)
    assert not found, "\n".join(found)


@needs_torch
@pytest.mark.parametrize("program", ["prediction_printed.py", "gradient_shapes.ipynb"])
def test_the_run_command_runs_it(program, under_torch, torch_home):
    path = HERE / "programs" / program
    printed = compare.run_as_command(path, torch_home)
    if path.suffix == ".ipynb":
        assert "torch.Size([1, 1000])" in printed and "Parameter Name: fc.bias\nGradient: torch.Size([1000])" in printed
    else:
        assert printed.count("SGD (") == 2 and printed.startswith("tensor([[[[")


# The harness itself --------------------------------------------------------------------------------------------------


def test_notebook_file_is_what_nbformat_asks_for():
    nbformat = pytest.importorskip("nbformat")
    written = json.loads((HERE / "programs" / "gradient_shapes.ipynb").read_text(encoding="utf-8"))
    nbformat.validate(written)
    assert (written["nbformat"], written["nbformat_minor"]) == (4, 5)


@programs
def test_cells_are_read(program):
    cells = compare.read_cells(program)
    assert len(cells) == {"frozen_resnet_default_device_mps": 5, "gradient_shapes": 11, "gradients_of_q": 9,
                          "prediction_printed": 7, "resnet_step_pretrained_flag": 5}[program.stem]  # fmt: skip
    for cell in cells:
        compile(cell.source, str(program), "exec")
        assert not cell.author_output.startswith("#")


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("tensor([0.1234, 2.0000])", "tensor([0.1235, 2.0000])", True),
        ("tensor([0.1234, 2.0000])", "tensor([0.1237, 2.0000])", False),
        ("tensor([-0.0000, 2.0000])", "tensor([ 0.0000, 2.0000])", True),
        ("tensor([0.1234, 2.0000])", "tensor([0.1234,  2.0000])", False),
        ("tensor([1.0000e-04, 2.0000e+00])", "tensor([1.3000e-04, 2.0000e+00])", True),
        ("tensor([1.0000e-04, 2.0000e+00])", "tensor([3.0000e-04, 2.0000e+00])", False),
        ("tensor(-501.7170, grad_fn=<SumBackward0>)", "tensor(-501.7174, grad_fn=<SumBackward0>)", True),
        ("tensor(-501.7170, grad_fn=<SumBackward0>)", "tensor(-501.7270, grad_fn=<SumBackward0>)", False),
        ("tensor(-501.7170, grad_fn=<SumBackward0>)", "tensor(-501.7170, grad_fn=<MeanBackward0>)", False),
        ("torch.Size([64, 3])", "torch.Size([64, 4])", False),
        ("<f at 0x7f95d6cdd120>", "<f at 0x7f0000000000>", True),
        ("saved to /tmp/a/b.pth", "saved to /home/c/b.pth", True),
        ("see https://a.org/b/c", "see https://a.org/b/d", False),
        ("tensor([1.])", "tensor([1])", False),
        ("a\n", "", False),
    ],
)
def test_difference(expected, actual, same):
    assert (compare.difference(expected, actual) == "") is same


def test_differences_name_cells_and_tensors():
    def a_run(norm, output="1.0\n", error="", warned=()):
        return compare.Run([compare.Result(3, output, list(warned), error)], {"fc.bias": [norm, 0.5]})

    assert compare.differences(a_run(2.0), a_run(2.0001)) == []
    found = compare.differences(a_run(2.0), a_run(2.1, "2.0\n", "ValueError: no", ["UserWarning: old"]))
    assert [line.split(":")[0] for line in found] == [
        "cell [3] fails", "cell [3] prints", "cell [3] warns", "fc.bias",
    ]  # fmt: skip
