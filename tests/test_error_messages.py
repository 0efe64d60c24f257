"""What a student is told: errors name the operation, what came, what was expected and the cure.

Each line of a table is a mistake, the type that torch raises for it, and words that the text must hold. What an error
leaves behind is checked at the end: nothing half done.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F

AUTOGRAD = [
    ("x = ones(2, requires_grad=True); (x * 2).backward()", RuntimeError, "scalar outputs|shape [2]|gradient=|loss.sum().backward()"),
    ("x = ones(2, requires_grad=True); torch.autograd.grad(x * 2, x)", RuntimeError, "scalar outputs|grad_outputs="),
    ("ones(2).sum().backward()", RuntimeError, "does not require grad|no_grad()|frozen"),
    ("x = ones(2, requires_grad=True); y = (x * x).sum(); y.backward(); y.backward()",
     RuntimeError, "second time|MulBackward0|retain_graph=True"),
    ("x = ones(2, requires_grad=True); x.add_(1)", RuntimeError, "add_|leaf|in-place|torch.no_grad()"),
    ("x = ones(2, requires_grad=True); x[0] = 3", RuntimeError, "view of a leaf|in-place|torch.no_grad()"),
    ("x = ones(2, requires_grad=True); y = x.exp(); y.add_(1); y.sum().backward()",
     RuntimeError, "inplace|ExpBackward0|version 1|line 1|y = x + 1"),
    ("ones(2, requires_grad=True).numpy()", RuntimeError, "requires grad|detach().numpy()"),
    ("tensor([1, 2], requires_grad=True)", RuntimeError, "floating point|torch.int64|x.float()"),
    ("x = ones(2, requires_grad=True); (x * 2).sum().backward(ones(3))",
     RuntimeError, "grad_output[0]|torch.Size([3])|shape of the output"),
    ("x = ones(2, requires_grad=True); x.grad = ones(3)", RuntimeError, "[3]|[2]|same size"),
    ("ones(2).register_hook(print)", RuntimeError, "register a hook|requires_grad_()"),
    ("x = ones(2, requires_grad=True); z = ones(2, requires_grad=True); torch.autograd.grad((x * 2).sum(), [x, z])",
     RuntimeError, "index 1|allow_unused=True"),
]  # fmt: skip

SHAPES = [
    ("ones(2) + ones(3)", RuntimeError, "size of tensor a (2)|tensor b (3)|dimension 0|broadcast"),
    ("ones(2, 3) @ ones(2, 3)", RuntimeError, "matmul|2x3 and 2x3|(3) must equal"),
    ("ones(3) @ ones(4)", RuntimeError, "dot()|[3]|[4]"),
    ("torch.mm(ones(3), ones(3, 3))", RuntimeError, "mm()|matrix|[3]|matmul()"),
    ("torch.bmm(ones(2, 3, 4), ones(3, 4, 5))", RuntimeError, "bmm()|[2, 3, 4]|[3, 4, 5]"),
    ("ones(6).view(4)", RuntimeError, "'[4]'|size 6|holds 4 elements"),
    ("ones(6).reshape(4, -1)", RuntimeError, "'[4, -1]'|groups of 4"),
    ("ones(6).reshape(-1, -1)", RuntimeError, "only one dimension|[-1, -1]"),
    ("ones(2, 3).t().view(6)", RuntimeError, "view|[3, 2]|.reshape(...)"),
    ("ones(2, 3).sum(2)", IndexError, "sum()|[-2, 1]|got 2"),
    ("ones(2, 3).permute(0, 0)", RuntimeError, "permute()|dim 0|(0, 0)"),
    ("ones(2, 3).expand(3, 3)", RuntimeError, "(3)|(2)|sizes of 1"),
    ("torch.cat([])", ValueError, "cat()|non-empty"),
    ("torch.cat([ones(2, 3), ones(2, 4)])", RuntimeError, "dimension 0|size 3|size 4|number 1|[2, 3] and [2, 4]"),
    ("torch.cat([ones(2, 3), ones(2)])", RuntimeError, "dimensions|[2, 3]|[2]|unsqueeze()"),
    ("torch.stack([ones(2), ones(3)])", RuntimeError, "stack|[2] at entry 0|[3] at entry 1"),
    ("torch.zeros(2, -3)", RuntimeError, "zeros()|negative dimension -3"),
    ("torch.arange(5, 0, 1)", RuntimeError, "arange()|step sign|5 to 0"),
]  # fmt: skip

VALUES = [
    ("ones(3).item()", RuntimeError, "3 elements|Scalar|tolist()"),
    ("int(ones(3))", ValueError, "only one element|int()|[3]|tolist()"),
    ("bool(ones(3))", RuntimeError, "ambiguous|x.any()|x.all()"),
    ("tensor([[1, 2], [3]])", ValueError, "length 2|got 1|equally long"),
    ("tensor('abc')", TypeError, "tensor()|str|numbers"),
    ("ones(3)[5]", IndexError, "index 5|dimension 0|size 3"),
    ("tensor(1.)[0]", IndexError, "0-dim|item()"),
    ("ones(3)[1.5]", IndexError, "slices|1.5|float"),
    ("ones(3)[tensor([.5])]", IndexError, "long|bool|torch.float32"),
    ("ones(3)['a']", TypeError, "slices|'a'|str"),
    ("ones(3)[{}]", IndexError, "slices|dict"),
    ("ones(3)[::-1]", ValueError, "step|-1|flip"),
    ("ones(3)[tensor([True, False])]", IndexError, "mask [2]|[3]"),
    ("tensor([1, 2]).mean()", RuntimeError, "mean()|Long|x.float()"),
    ("tensor([1, 2]).add_(1.5)", RuntimeError, "add_|torch.float32|torch.int64|out-of-place"),
    ("-tensor([True])", RuntimeError, "bool|~"),
    ("torch.gather(ones(2, 2), 0, tensor([0]))", RuntimeError, "gather()|[1]|[2, 2]"),
    ("torch.where(ones(2), 1, 2)", RuntimeError, "where|boolean|Float|bool()"),
    ("torch.reshape([1], (1,))", TypeError, "reshape()|'input'|list"),
]  # fmt: skip

DEVICES = [
    ("ones(2).to('gpu')", RuntimeError, "'gpu'|cpu|cuda|mps"),
    ("ones(2, dtype='float32')", TypeError, "'dtype'|torch.dtype|'float32'|torch.float32"),
    ("ones(2) @ ones(2, dtype=torch.float64)", RuntimeError, "dtype|x.to("),
    ("ones(2) + ones(2, device='cuda')", RuntimeError, "add()|same device|cpu|cuda:0|x.to("),
    ("ones(2, device='cuda').numpy()", TypeError, "cuda:0|numpy|Tensor.cpu()"),
    ("ones(1, device='meta').item()", RuntimeError, "meta|no values"),
    ("ones(1, device='meta').numpy()", TypeError, "meta|no values"),
]  # fmt: skip

NETWORKS = [
    ("nn.Linear(2, 3)(ones(4, 5))", RuntimeError, "4x5 and 2x3|[4, 5]|in_features=5"),
    ("nn.Linear(2, 3)(tensor([[1, 2]]))", RuntimeError, "Long and Float|x.to(weight.dtype)"),
    ("nn.Linear(2, 3)([1., 2.])", TypeError, "linear()|'input'|list"),
    ("nn.Conv2d(3, 8, 3)(ones(1, 1, 8, 8))", RuntimeError, "input[1, 1, 8, 8]|3 channels|got 1|conv2d|in_channels=1"),
    ("nn.Conv2d(3, 8, 3)(ones(1, 3, 2, 2))", RuntimeError, "(2 x 2)|(3 x 3)|padding"),
    ("nn.BatchNorm1d(3)(ones(1, 3))", ValueError, "more than 1 value|torch.Size([1, 3])|eval()"),
    ("nn.BatchNorm2d(3)(ones(2, 3))", ValueError, "4D|2D|unsqueeze(0)"),
    ("nn.Embedding(10, 3)(tensor([10]))", IndexError, "embedding|10|0 to 9"),
    ("F.cross_entropy(ones(2, 3), tensor([0, 3]))", IndexError, "Target 3|3 classes|0 to 2"),
    ("F.cross_entropy(ones(2, 3), tensor([0., 1.]))", RuntimeError, "Float|target.long()|[2, 3]"),
    ("F.cross_entropy(ones(2, 3), tensor([0, 1, 2]))", ValueError, "batch_size (2)|batch_size (3)|[2, 3]|[3]"),
    ("F.cross_entropy(ones(2, 3), [0, 1])", TypeError, "cross_entropy()|'target'|list"),
    ("F.mse_loss(ones(2), [1, 2])", TypeError, "mse_loss()|'target'|list"),
    ("F.binary_cross_entropy(tensor([1.5]), ones(1))", RuntimeError, "between 0 and 1|sigmoid()|with_logits"),
    ("F.binary_cross_entropy_with_logits(ones(2, 1), ones(2))", ValueError, "[2]|[2, 1]|view_as"),
    ("nn.Module()(1)", NotImplementedError, "forward|define"),
    ("m = nn.Linear(1, 1); m.weight = ones(1, 1)", TypeError, "weight|torch.nn.Parameter"),
    ("nn.Sequential(nn.ReLU)", TypeError, "not a Module|ReLU(...)"),
    ("nn.ModuleDict({'a': nn.ReLU()})['b']", KeyError, "b|'a'"),
    ("nn.init.xavier_uniform_(ones(3))", ValueError, "2 dimensions|[3]|zeros_"),
    ("nn.Linear(1, 1).load_state_dict({'module.weight': ones(1, 1)})", RuntimeError, "Missing|Unexpected|removeprefix"),
    ("nn.Linear(1, 1).load_state_dict({'weight': ones(2, 1), 'bias': ones(1)})", RuntimeError, "size mismatch for weight|[2, 1]|[1, 1]"),
    ("nn.Linear(1, 1).load_state_dict('file.pth')", TypeError, "dict-like|torch.load"),
]  # fmt: skip

TRAINING = [
    ("torch.optim.SGD([], lr=.1)", ValueError, "empty|parameters()"),
    ("torch.optim.SGD(nn.Linear(1, 1), lr=.1)", TypeError, "Linear|model.parameters()"),
    ("torch.optim.SGD([ones(1, requires_grad=True) * 2], lr=.1)", ValueError, "non-leaf|MulBackward0|detach()"),
    ("torch.optim.SGD([ones(1, requires_grad=True)], lr=-1)", ValueError, "learning rate|-1|>= 0"),
    ("torch.optim.SGD([ones(1, requires_grad=True)], lr=.1).load_state_dict({})", KeyError, "param_groups|optimizer.state_dict()"),
    ("torch.utils.data.DataLoader([1], batch_size=0)", ValueError, "batch_size|positive|0"),
    ("list(torch.utils.data.DataLoader([ones(2), ones(3)], batch_size=2))", RuntimeError, "equal size|[2]|[3]|collate_fn"),
    ("list(torch.utils.data.DataLoader([None]))", TypeError, "default_collate|NoneType|collate_fn"),
    ("torch.utils.data.TensorDataset(ones(2), ones(3))", AssertionError, "Size mismatch|[2, 3]"),
    ("torch.utils.data.random_split([1, 2, 3], [1, 1])", ValueError, "add up to 2|3 samples"),
]  # fmt: skip

FILES = [
    ("torch.load('none.pth')", FileNotFoundError, "none.pth"),
    ("Path('x.pth').touch(); torch.load('x.pth')", EOFError, "x.pth|empty"),
    ("Path('x.pth').write_text('<!DOCTYPE html>'); torch.load('x.pth')", RuntimeError, "x.pth|HTML|direct link"),
    ("torch.save(ones(1), 'no/x.pth')", RuntimeError, "no does not exist|os.makedirs"),
    ("p = Path('x.pth'); torch.save(ones(9), p); p.write_bytes(p.read_bytes()[:300]); torch.load('x.pth')",
     RuntimeError, "damaged|300 bytes|again"),
]  # fmt: skip

TABLE = AUTOGRAD + SHAPES + VALUES + DEVICES + NETWORKS + TRAINING + FILES


@pytest.mark.parametrize(("program", "kind", "words"), TABLE, ids=[program[:70] for program, _, _ in TABLE])
def test_message(program, kind, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"torch": torch, "nn": nn, "F": F, "ones": torch.ones, "tensor": torch.tensor, "Path": Path}
    with pytest.raises(kind) as caught:
        exec(program, names)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert [word for word in words.split("|") if word not in text] == [], text
    assert "_shape" not in text and "ndarray" not in text, f"the engine's own names show: {text}"


# ---------------------------------------------------------------- names, through the alias


def run_aliased(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import rushlight.compat; rushlight.compat.install()\n" + textwrap.dedent(code)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import torch; torch.optim.Adamm", "MissingNameError|torch.optim|Adamm|torch.optim.Adam"),
        ("import torch; torch.nn.functional.rellu", "MissingNameError|torch.nn.functional.relu"),
        ("import torch; torch.utils.data.DataLoder", "MissingNameError|torch.utils.data.DataLoader"),
        ("import torch; torch.nn.AdaptiveLogSoftmaxWithLoss", "MissingNameError|PyTorch 2.13 has it|not got it yet"),
        ("import torch.optimm", "MissingModuleError|torch.optim"),
        ("from torch.nn import Liner", "MissingImportError|torch.nn.Linear"),
        ("import torch; torch.hub.load('pytorch/vision', 'resnet18')", "MissingNameError|torch.hub|PyTorch 2.13 has it"),
    ],
)
def test_a_missing_name(code, words):
    text = run_aliased(code)
    assert [word for word in words.split("|") if word not in text] == [], text


# ---------------------------------------------------------------- nothing half done


@pytest.mark.parametrize(
    "change",
    [
        "x[torch.tensor([0, 9])] = 1.", "x.scatter_(0, torch.tensor([0, 9]), 1.)", "x.index_fill_(0, torch.tensor([0, 9]), 1.)",
        "x.index_add_(0, torch.tensor([0, 9]), torch.ones(2))", "x.add_(torch.ones(4))", "x.copy_(torch.ones(2))", "x.resize_(-1)",
    ],
)  # fmt: skip
def test_a_failed_change_leaves_the_tensor_as_it_was(change):
    x = torch.zeros(3)
    with pytest.raises((RuntimeError, IndexError)):
        exec(change, {"x": x, "torch": torch})
    assert x.tolist() == [0.0, 0.0, 0.0] and x._version == 0


def test_a_failed_registration_leaves_the_module_as_it_was():
    module = nn.Linear(1, 1)
    for register in (lambda: module.register_buffer("weight", torch.ones(1)), lambda: setattr(module, "weight", 3)):
        with pytest.raises((KeyError, TypeError)):
            register()
    assert list(module._parameters) == ["weight", "bias"] and not module._buffers


def test_a_failed_group_or_state_leaves_the_optimizer_as_it_was():
    p, q = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.SGD([p], lr=0.1)
    other = torch.optim.SGD([p, q], lr=9.0).state_dict()
    for change in (
        lambda: optimizer.add_param_group({"params": [p]}),
        lambda: optimizer.add_param_group({"params": [q, 3]}),
        lambda: optimizer.load_state_dict(other),
        lambda: optimizer.load_state_dict({"state": {}}),
    ):
        with pytest.raises((ValueError, TypeError, KeyError)):
            change()
    assert len(optimizer.param_groups) == 1 and optimizer.param_groups[0]["lr"] == 0.1


def test_a_failed_backward_leaves_gradients_and_modes_as_they_were():
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise KeyError("mine")

    x = torch.ones(2, requires_grad=True)
    with pytest.raises(KeyError, match="mine"):
        (Broken.apply(x) + x).sum().backward()
    assert x.grad is None and torch.is_grad_enabled()


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"a": torch.ones(3)}, path)
    before = path.read_bytes()
    with pytest.raises(Exception, match=re.escape("<lambda>")):
        torch.save({"a": torch.zeros(300), "b": lambda: 0}, path)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["model.pth"]
