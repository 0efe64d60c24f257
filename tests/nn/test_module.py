"""Module: registration, walking, modes, hooks, moves, copies. Programs run on torch too and must agree."""

from __future__ import annotations

import copy
import gc
import pickle
import textwrap
import warnings
import weakref
from typing import Any

import pytest

import rushlight
from rushlight import nn

try:
    import torch
except ImportError:
    torch = None

NET = """
class Scale(nn.Module):
    def __init__(self, n=2):
        super().__init__()
        self.w = nn.Parameter(torch.ones(n))
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("hidden", torch.zeros(1), persistent=False)
    def forward(self, x):
        return x * self.w + self.mean
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Scale()
        self.second = Scale()
        self.again = self.first
        self.nothing = None
        self.register_parameter("none", None)
        self.bias = nn.Parameter(torch.zeros(2))
    def forward(self, x):
        return self.second(self.first(x)) + self.bias
"""


def run(program: str, library: Any) -> Any:
    """Run a program; the value of its variable `found`, or the exception it raised."""
    space: dict[str, Any] = {"torch": library, "nn": library.nn, "copy": copy, "warnings": warnings, "log": []}
    exec(NET, space)
    try:
        exec(textwrap.dedent(program), space)
    except Exception as error:
        return type(error)
    return plain(space["found"])


def plain(value: Any) -> Any:
    """Results of either library as plain Python values."""
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if hasattr(value, "detach"):
        return (str(value.dtype), value.detach().tolist(), value.requires_grad)
    return value if isinstance(value, (str, int, float, bool, type(None), type)) else repr(value)


def check(program: str) -> Any:
    """Run on both libraries and compare."""
    ours = run(program, rushlight)
    if torch is not None:
        assert ours == run(program, torch)
    return ours


WALKS = [
    "[n for n, _ in Net().named_parameters()]",
    "[n for n, _ in Net().named_parameters(remove_duplicate=False)]",
    "[n for n, _ in Net().named_parameters(prefix='p', recurse=False)]",
    "[n for n, _ in Net().named_buffers()]",
    "[n for n, _ in Net().named_modules()]",
    "[n for n, _ in Net().named_modules(remove_duplicate=False)]",
    "[n for n, _ in Net().named_modules(prefix='p')]",
    "[n for n, _ in Net().named_children()]",
    "[len(list(Net().modules())), len(list(Net().children())), len(list(Net().parameters())), "
    "len(list(Net().buffers()))]",
    "repr(Net())",
    "[n for n in dir(Net()) if n in ('w', 'bias', 'first', 'nothing', 'none')]",
    "list(Net().state_dict())",
    "list(Net().state_dict(prefix='a.'))",
    "dict(Net().state_dict()._metadata)",
    "Net().get_submodule('first') is not None",
    "Net().get_parameter('first.w')",
    "Net().get_buffer('second.mean')",
    "Net().get_submodule('x.y')",
    "Net().get_submodule('bias')",
    "Net().get_parameter('first.mean')",
    "Net().get_parameter('first.q')",
    "Net().get_buffer('first.w')",
    "Net().missing",
    "nn.Module()(1)",
    "Net(3)",
    "nn.Module(a=1)",
    "Net().train(1)",
    "Net().to(torch.int32)",
    "Net().to(nonsense=1)",
    "[Net().eval().first.training, Net().train().training]",
    "[p.requires_grad for p in Net().requires_grad_(False).parameters()]",
]


@pytest.mark.parametrize("expression", WALKS)
def test_questions(expression: str) -> None:
    check(f"found = {expression}")


REGISTRATION = [
    "m.register_buffer('a.b', None)",
    "m.register_buffer('', None)",
    "m.register_buffer(1, None)",
    "m.register_buffer('forward', None)",
    "m.register_buffer('b', 3)",
    "m.register_parameter('a.b', None)",
    "m.register_parameter('', None)",
    "m.register_parameter(1, None)",
    "m.register_parameter('training', None)",
    "m.register_parameter('p', torch.ones(1))",
    "m.register_parameter('p', 3)",
    "m.register_parameter('first', nn.Parameter(torch.ones(1)))",
    "m.add_module('a.b', None)",
    "m.add_module('', None)",
    "m.add_module(1, None)",
    "m.add_module('bias', nn.ReLU())",
    "m.add_module('x', 3)",
    "m.add_module('x', nn.ReLU)",
    "m.bias = torch.ones(2)",
    "m.bias = 3",
    "m.bias = None",
    "m.bias = nn.ReLU()",
    "m.bias = nn.Parameter(torch.ones(3))",
    "m.first = 3",
    "m.first = None",
    "m.first = nn.ReLU()",
    "m.first = torch.ones(1)",
    "m.first = nn.Parameter(torch.ones(1))",
    "m.first.mean = torch.ones(2)",
    "m.first.mean = None",
    "m.first.mean = 3",
    "m.first.mean = nn.Parameter(torch.ones(1))",
    "m.first.mean = nn.ReLU()",
    "m.plain = torch.ones(1)",
    "m.plain = 3",
    "m.nothing = nn.ReLU()",
    "m.nothing = nn.Parameter(torch.ones(1))",
    "m.new = nn.Buffer(torch.ones(1))",
    "m.new = nn.Buffer(torch.ones(1), persistent=False)",
    "m.bias = nn.Buffer(torch.ones(1))",
    "m.first = nn.Buffer(torch.ones(1))",
    "m.first.hidden = torch.ones(2)",
    "m.first.hidden = nn.Buffer(torch.ones(1))",
    "del m.bias",
    "del m.first",
    "del m.first.mean",
    "del m.first.hidden",
    "del m.nothing",
    "del m.unknown",
    "m.set_submodule('first', nn.ReLU())",
    "m.set_submodule('first.deep', nn.ReLU())",
    "m.set_submodule('first.deep', nn.ReLU(), strict=True)",
    "m.set_submodule('', nn.ReLU())",
    "m.set_submodule('first', 3)",
    "m.set_submodule('bias', nn.ReLU())",
    "m.set_submodule('x.y', nn.ReLU())",
    "m.register_parameter('p', torch.ones(1, requires_grad=True) * 2)",
    "m.nothing = nn.Buffer(torch.ones(1))",
    "m.first.hidden = nn.Buffer(torch.ones(1), persistent=True)",
    "m.first.mean = nn.Buffer(torch.ones(1), persistent=False)",
]


@pytest.mark.parametrize("statement", REGISTRATION)
def test_registration(statement: str) -> None:
    check(f"""
        m = Net()
        {statement}
        inner = m._modules.get("first")
        inner = inner if isinstance(inner, Scale) else nn.Module()
        found = [[list(k._parameters), list(k._buffers), list(k._modules), sorted(k._non_persistent_buffers_set)] for k in (m, inner)]
        found += [list(m.state_dict()), list(n for n in vars(m) if not n.startswith("_"))]
    """)


@pytest.mark.parametrize("value", ["nn.Parameter(torch.ones(1))", "nn.ReLU()", "nn.Buffer(torch.ones(1))", "3"])
def test_before_init(value: str) -> None:
    check(f"""
        class Bad(nn.Module):
            def __init__(self):
                self.x = {value}
        Bad()
        found = "fine"
    """)


def test_kind_messages() -> None:
    class Forgot(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Forgot()
    with pytest.raises(TypeError, match=r"it is the class; make an instance with ReLU\(\.\.\.\)"):
        nn.Sequential(nn.ReLU)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"torch\.no_grad\(\)"):
        nn.Linear(1, 1).weight = rushlight.ones(1, 1)


def test_call_super_init() -> None:
    assert check("""
        class Mixin:
            def __init__(self, a, b=2):
                self.seen = [a, b]
        class Both(nn.Module, Mixin):
            call_super_init = True
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
        found = Both(1, b=3).seen
    """) == [1, 3]


HOOKS = [
    # order, and what hooks may change
    """
    m = Net()
    m.register_forward_pre_hook(lambda mod, args: log.append("pre1"))
    m.register_forward_pre_hook(lambda mod, args: log.append("pre0"), prepend=True)
    m.register_forward_hook(lambda mod, args, out: log.append("post1"))
    m.register_forward_hook(lambda mod, args, out: log.append("post0"), prepend=True)
    m(torch.ones(2))
    found = log
    """,
    """
    m = Scale()
    m.register_forward_pre_hook(lambda mod, args: args[0] * 3)
    m.register_forward_hook(lambda mod, args, out: (out, args))
    found = m(torch.ones(2))
    """,
    """
    class Named(nn.Module):
        def forward(self, x, *, scale=1):
            return x * scale
    m = Named()
    m.register_forward_pre_hook(lambda mod, args, kwargs: (args, {"scale": kwargs["scale"] + 1}), with_kwargs=True)
    m.register_forward_hook(lambda mod, args, kwargs, out: out + kwargs["scale"], with_kwargs=True)
    found = m(torch.ones(2), scale=4)
    """,
    """
    m = Scale()
    m.register_forward_pre_hook(lambda mod, args, kwargs: args, with_kwargs=True)
    found = m(torch.ones(2))
    """,
    """
    m = Scale()
    a = m.register_forward_hook(lambda mod, args, out: out * 2, with_kwargs=False, always_call=True)
    b = m.register_forward_pre_hook(lambda mod, args, kwargs: None, with_kwargs=True)
    a.remove(); b.remove(); b.remove()
    found = [len(d) for d in (m._forward_hooks, m._forward_pre_hooks, m._forward_hooks_always_called, m._forward_pre_hooks_with_kwargs)]
    """,
    # hooks that are called although the forward failed
    """
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("no")
    m = Fails()
    m.register_forward_hook(lambda mod, args, out: log.append(("always", out)), always_call=True)
    m.register_forward_hook(lambda mod, args, out: log.append("not this"))
    try:
        m(torch.ones(1))
    except ValueError:
        pass
    found = log
    """,
    # hooks on all modules
    """
    from_module = nn.modules.module
    handles = [
        from_module.register_module_forward_pre_hook(lambda mod, args: log.append(("pre", type(mod).__name__))),
        from_module.register_module_forward_hook(lambda mod, args, out: log.append(("post", type(mod).__name__))),
    ]
    Net()(torch.ones(2))
    for handle in handles:
        handle.remove()
    Net()(torch.ones(2))
    found = log
    """,
    """
    handle = nn.modules.module.register_module_parameter_registration_hook(lambda mod, name, p: log.append(name))
    other = nn.modules.module.register_module_module_registration_hook(lambda mod, name, m: log.append(name))
    third = nn.modules.module.register_module_buffer_registration_hook(lambda mod, name, m: log.append(name))
    Net()
    handle.remove(); other.remove(); third.remove()
    Net()
    found = log
    """,
]
BACKWARD = [
    """
    m = Scale()
    m.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go)))
    m.register_full_backward_pre_hook(lambda mod, go: log.append(go))
    x = torch.ones(2, requires_grad=True)
    m(x * 2).sum().backward()
    found = [log, x.grad, m.w.grad]
    """,
    """
    m = Scale()
    m.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 10,))
    m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 2,))
    x = torch.ones(2, requires_grad=True)
    m(x).sum().backward()
    found = [x.grad, m.w.grad]
    """,
    """
    class Two(nn.Module):
        def forward(self, a, flag, b):
            return a * b, a + b
    m = Two()
    m.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go)))
    a = torch.tensor([2.0], requires_grad=True)
    b = torch.tensor([3.0], requires_grad=True)
    p, q = m(a, True, b)
    p.sum().backward()
    found = [log, a.grad, b.grad]
    """,
    """
    m = Scale()
    m.register_full_backward_hook(lambda mod, gi, go: (gi[0], gi[0]))
    x = torch.ones(2, requires_grad=True)
    m(x).sum().backward()
    found = "not reached"
    """,
    """
    m = Scale()
    m.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go)))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        m(torch.ones(2)).sum().backward()
    found = [log, len(seen)]
    """,
    """
    m = Scale()
    m.register_full_backward_hook(lambda mod, gi, go: None)
    m.register_backward_hook(lambda mod, gi, go: None)
    found = "not reached"
    """,
    """
    class Times(nn.Module):
        def forward(self, a):
            return a * 3
    m = Times()
    m.register_backward_hook(lambda mod, gi, go: log.append((gi[0], go)))
    x = torch.ones(2, requires_grad=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        m(x).sum().backward()
    found = [log, x.grad, [w.category for w in seen]]
    """,
    """
    m = Scale()
    m.register_full_backward_hook(lambda mod, gi, go: None)
    found = type(m(torch.ones(2, requires_grad=True)).grad_fn).__name__
    """,
    """
    class InPlace(nn.Module):
        def forward(self, x):
            return x.mul_(2)
    m = InPlace()
    m.register_full_backward_hook(lambda mod, gi, go: None)
    m(torch.ones(2, requires_grad=True) * 1)
    found = "not reached"
    """,
    """
    handle = nn.modules.module.register_module_full_backward_hook(lambda mod, gi, go: log.append(type(mod).__name__))
    x = torch.ones(2, requires_grad=True)
    Net()(x).sum().backward()
    handle.remove()
    found = [log, x.grad]
    """,
    """
    m = Scale()
    m.register_full_backward_hook(lambda mod, gi, go: log.append(1))
    with torch.no_grad():
        out = m(torch.ones(2))
    found = [out, log]
    """,
]


@pytest.mark.parametrize("program", HOOKS + BACKWARD)
def test_hooks(program: str) -> None:
    check(program)


def test_handles_do_not_keep_modules_alive() -> None:
    module = nn.Identity()
    handle = module.register_forward_hook(lambda *_: None)
    seen = weakref.ref(module)
    del module
    gc.collect()
    assert seen() is None
    handle.remove()


MOVES = [
    "m = Net(); w = m.bias; m.double(); "
    "found = [m.bias is w, m.bias, m.first.mean, [str(b.dtype) for b in m.buffers()]]",
    "m = nn.BatchNorm1d(2).half(); found = [str(v.dtype) for v in m.state_dict().values()]",
    "m = Net().to(torch.bfloat16); found = [str(p.dtype) for p in m.parameters()]",
    "m = Net(); m.bias.grad = torch.ones(2); m.to(torch.float64); found = [m.bias.grad, m.bias]",
    "m = Net().to(torch.ones(1, dtype=torch.float64)); found = [str(p.dtype) for p in m.parameters()]",
    "m = Net().to('cpu', torch.float16); found = [str(p.dtype) for p in m.parameters()]",
    "m = Net(); w = m.bias; m.to('meta'); "
    "found = [m.bias is w, m.bias.is_meta, m.bias.requires_grad, type(m.bias).__name__]",
    "m = nn.Linear(2, 3, device='meta'); w = m.weight; m.to_empty(device='cpu'); "
    "found = [m.weight is w, list(m.weight.shape), m.weight.is_meta]",
    "m = Net().type(torch.float64).float().bfloat16().half().double().cpu(); found = m.bias",
    "m = Net(); m.apply(lambda k: log.append(type(k).__name__)); found = log",
    "m = Net(); m.bias.grad = torch.ones(2); m.zero_grad(); found = m.bias.grad",
    "m = Net(); m.bias.grad = torch.ones(2); g = m.bias.grad; m.zero_grad(set_to_none=False); "
    "found = [m.bias.grad is g, g]",
    "m = Net(); m.new = nn.Buffer(torch.ones(1), persistent=False); m.double(); "
    "found = [isinstance(m.new, nn.Buffer), m.new, list(m.state_dict())]",
    "m = Net(); r = m.register_forward_hook(lambda *a: None); k = copy.deepcopy(m); "
    "found = [k.first is k.again, k.bias is m.bias, "
    "len(k._forward_hooks), k.bias, list(k.state_dict()), type(k.bias).__name__]",
    "m = Net(); k = copy.copy(m); found = [k.bias is m.bias, k._parameters is m._parameters]",
]


@pytest.mark.parametrize("program", MOVES)
def test_moves_and_copies(program: str) -> None:
    check(program)


def test_pickle_without_torch_in_the_way() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU())
    model.tag = "mine"
    again = pickle.loads(pickle.dumps(model))
    assert type(again) is nn.Sequential and again.tag == "mine" and repr(again) == repr(model)
    assert type(again[0].weight) is nn.Parameter
    assert again[0].weight.tolist() == model[0].weight.tolist()


def test_old_state_gets_missing_fields() -> None:
    model = nn.Linear(2, 3)
    state = {k: v for k, v in vars(model).items() if k not in ("_forward_hooks_always_called", "_state_dict_pre_hooks")}
    again = nn.Linear.__new__(nn.Linear)
    again.__setstate__(state)
    assert list(again.state_dict()) == ["weight", "bias"]


def test_compile_and_share_memory() -> None:
    model = nn.Linear(1, 2)
    assert model.compile() is None and model.share_memory() is model


def test_call_without_hooks_is_the_forward() -> None:
    class Plain(nn.Module):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return args, kwargs

    assert Plain()(1, a=2) == ((1,), {"a": 2})


def without_parameters(layer, *names):
    """The layer with plain tensors of twos in place of parameters and buffers."""
    for name in names:
        shape = getattr(layer, name).shape
        delattr(layer, name)
        setattr(layer, name, rushlight.full(shape, 2.0))
    return layer


def test_layers_use_what_stands_in_for_a_parameter():
    x = rushlight.ones(2, 3)
    assert rushlight.equal(without_parameters(nn.Linear(3, 4), "weight", "bias")(x), rushlight.full((2, 4), 8.0))
    assert rushlight.equal(without_parameters(nn.LayerNorm(3), "bias")(x), rushlight.full((2, 3), 2.0))
    image = rushlight.ones(1, 3, 4, 4)
    assert rushlight.equal(without_parameters(nn.Conv2d(3, 1, 2, bias=False), "weight")(image), rushlight.full((1, 1, 3, 3), 24.0))
    norm = without_parameters(nn.BatchNorm2d(3, eps=0.0), "weight", "running_mean").eval()
    assert rushlight.equal(norm(image), rushlight.full((1, 3, 4, 4), -2.0))


def test_a_module_that_was_not_initialised_says_so_when_called():
    class Forgetful(nn.Module):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) first in Forgetful"):
        Forgetful()(1)
