"""The work that is timed: each case returns a function to call repeatedly. `torch` is whichever library is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Step = Callable[[], Any]


def add_small(torch: Any) -> Step:
    a, b = torch.ones(2), torch.ones(2)

    def step() -> None:
        for _ in range(1000):
            a + b

    return step


def add_small_recording(torch: Any) -> Step:
    a, b = torch.ones(2, requires_grad=True), torch.ones(2)

    def step() -> None:
        for _ in range(1000):
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


def mlp_step(torch: Any) -> Step:
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    x, y = torch.randn(32, 64), torch.randint(0, 10, (32,))

    def step() -> None:
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    return step


def resnet(torch: Any) -> Any:
    """A ResNet-18 written with the library's own modules, so that torch needs no torchvision."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.down = None
            if stride != 1 or inputs != outputs:
                self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x: Any) -> Any:
            out = self.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            out += x if self.down is None else self.down(x)
            return self.relu(out)

    layers: list[Any] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)]
    return nn.Sequential(*layers)


def _resnet_step(torch: Any, batch: int, size: int) -> Step:
    torch.manual_seed(0)
    model = resnet(torch)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    data, labels = torch.rand(batch, 3, size, size), torch.rand(batch, 1000)

    def step() -> None:
        optimizer.zero_grad()
        (model(data) - labels).sum().backward()
        optimizer.step()

    return step


def resnet_step_1x64(torch: Any) -> Step:
    return _resnet_step(torch, 1, 64)


def resnet_step_32x64(torch: Any) -> Step:
    return _resnet_step(torch, 32, 64)


def resnet_inference_1x64(torch: Any) -> Step:
    torch.manual_seed(0)
    model = resnet(torch).eval()
    data = torch.rand(1, 3, 64, 64)

    def step() -> None:
        with torch.no_grad():
            model(data)

    return step


CASES: dict[str, Callable[[Any], Step]] = {
    function.__name__: function
    for function in (
        add_small, add_small_recording, chain_1000, q_backward, mlp_step, resnet_step_1x64, resnet_inference_1x64, resnet_step_32x64,
    )
}  # fmt: skip
