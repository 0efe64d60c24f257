"""What the library itself costs: operations on so few elements that hardly any time goes into arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.case import Case, Make, Step

REPEATS = 1000


def repeated(build: Callable[[Any], Step]) -> Make:
    """The step that calls the built function REPEATS times."""

    def make(torch: Any) -> Step:
        function = build(torch)

        def step() -> None:
            for _ in range(REPEATS):
                function()

        return step

    return make


def add_small(torch: Any) -> Step:
    a, b = torch.ones(2), torch.ones(2)

    def step() -> None:
        for _ in range(REPEATS):
            a + b

    return step


def add_small_recording(torch: Any) -> Step:
    a, b = torch.ones(2, requires_grad=True), torch.ones(2)

    def step() -> None:
        for _ in range(REPEATS):
            a + b

    return step


def chain_1000(torch: Any) -> Step:
    x = torch.ones(2, requires_grad=True)

    def step() -> None:
        y = x
        for _ in range(1000):
            y = y * 1.0001
        y.sum().backward()
        x.grad = None

    return step


def q_backward(torch: Any) -> Step:
    external_grad = torch.tensor([1.0, 1.0])
    a = torch.tensor([2.0, 3.0], requires_grad=True)
    b = torch.tensor([6.0, 4.0], requires_grad=True)

    def step() -> None:
        for _ in range(100):
            (3 * a**3 - b**2).backward(gradient=external_grad)
            a.grad = b.grad = None

    return step


def module_call(torch: Any) -> Step:
    class Same(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x

    module, x = Same(), torch.ones(2)
    return lambda: module(x)


def parameter_lookup(torch: Any) -> Step:
    model = torch.nn.Linear(2, 2)

    def step() -> None:
        for _ in range(REPEATS):
            _ = model.weight

    return step


def submodule_lookup(torch: Any) -> Step:
    class Holder(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Identity()

    model = Holder()

    def step() -> None:
        for _ in range(REPEATS):
            _ = model.inner

    return step


def linear_forward(torch: Any) -> Step:
    model, x = torch.nn.Linear(8, 8), torch.ones(1, 8)
    return lambda: model(x)


def sequential_forward(torch: Any) -> Step:
    nn = torch.nn
    model, x = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)).eval(), torch.ones(1, 8)

    def forward() -> None:
        with torch.no_grad():
            model(x)

    return forward


def cross_entropy_forward(torch: Any) -> Step:
    x, y, loss = torch.ones(2, 4), torch.tensor([0, 1]), torch.nn.functional.cross_entropy
    return lambda: loss(x, y)


def cross_entropy_backward(torch: Any) -> Step:
    x, y, loss = torch.ones(2, 4, requires_grad=True), torch.tensor([0, 1]), torch.nn.functional.cross_entropy

    def both() -> None:
        loss(x, y).backward()
        x.grad = None

    return both


def small_parameters(torch: Any) -> list[Any]:
    """As many as ResNet-18 has, with their gradients."""
    parameters = [torch.nn.Parameter(torch.ones(8)) for _ in range(62)]
    for parameter in parameters:
        parameter.grad = torch.ones(8)
    return parameters


def sgd_62(torch: Any, **options: Any) -> Step:
    step: Step = torch.optim.SGD(small_parameters(torch), lr=1e-3, momentum=0.9, **options).step
    return step


def adam_62(torch: Any, **options: Any) -> Step:
    step: Step = torch.optim.Adam(small_parameters(torch), lr=1e-3, **options).step
    return step


def clip_grad_norm_62(torch: Any) -> Step:
    parameters, clip = small_parameters(torch), torch.nn.utils.clip_grad_norm_
    return lambda: clip(parameters, 1.0)


def zero_grad_62(torch: Any) -> Step:
    parameters = small_parameters(torch)
    optimizer = torch.optim.SGD(parameters, lr=1e-3)
    gradients = [parameter.grad for parameter in parameters]

    def step() -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.zero_grad()

    return step


def index_first(torch: Any) -> Step:
    x = torch.ones(2, 2)
    return lambda: x[0]


def index_slice(torch: Any) -> Step:
    x = torch.ones(4, 4)
    return lambda: x[:, 1:3]


def no_grad(torch: Any) -> Step:
    guard = torch.no_grad

    def step() -> None:
        with guard():
            pass

    return step


def method(name: str, *arguments: Any) -> Callable[[Any], Step]:
    """A method of a tensor of four elements."""

    def build(torch: Any) -> Step:
        x = torch.ones(4)
        return lambda: getattr(x, name)(*arguments)

    return build


def shape_and_dtype(torch: Any) -> Step:
    x = torch.ones(2, 2)

    def step() -> None:
        for _ in range(REPEATS):
            _ = x.shape, x.dtype

    return step


def item(torch: Any) -> Step:
    x = torch.ones(())
    return lambda: x.item()


def created(name: str, *arguments: Any) -> Callable[[Any], Step]:
    def build(torch: Any) -> Step:
        function = getattr(torch, name)
        return lambda: function(*arguments)

    return build


def fused(make: Callable[..., Step]) -> dict[str, Make]:
    return {"fused": lambda torch: make(torch, fused=True)}


CASES = (
    Case("overhead/add_small", add_small, REPEATS),
    Case("overhead/add_small_recording", add_small_recording, REPEATS),
    Case("overhead/chain_1000", chain_1000),
    Case("overhead/q_backward", q_backward, 100),
    Case("overhead/module_call", repeated(module_call), REPEATS),
    Case("overhead/parameter_lookup", parameter_lookup, REPEATS),
    Case("overhead/submodule_lookup", submodule_lookup, REPEATS),
    Case("overhead/linear_forward", repeated(linear_forward), REPEATS),
    Case("overhead/sequential_forward", repeated(sequential_forward), REPEATS),
    Case("overhead/cross_entropy_forward", repeated(cross_entropy_forward), REPEATS),
    Case("overhead/cross_entropy_backward", repeated(cross_entropy_backward), REPEATS),
    Case("overhead/sgd_62", sgd_62, variants=fused(sgd_62)),
    Case("overhead/adam_62", adam_62, variants=fused(adam_62)),
    Case("overhead/clip_grad_norm_62", clip_grad_norm_62),
    Case("overhead/zero_grad_62", zero_grad_62),
    Case("overhead/detach", repeated(method("detach")), REPEATS),
    Case("overhead/view", repeated(method("view", 2, 2)), REPEATS),
    Case("overhead/index_first", repeated(index_first), REPEATS),
    Case("overhead/index_slice", repeated(index_slice), REPEATS),
    Case("overhead/shape_and_dtype", shape_and_dtype, REPEATS),
    Case("overhead/item", repeated(item), REPEATS),
    Case("overhead/zeros", repeated(created("zeros", 2, 3)), REPEATS),
    Case("overhead/ones", repeated(created("ones", 2, 3)), REPEATS),
    Case("overhead/rand", repeated(created("rand", 2, 3)), REPEATS),
    Case("overhead/tensor", repeated(created("tensor", [1.0, 2.0])), REPEATS),
    Case("overhead/no_grad", repeated(no_grad), REPEATS),
)
