"""Whole training steps (zero_grad, forward, cross-entropy, backward, update), inference, and an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Case, Make, Step
from benchmarks.cases import networks

DIGITS = Path(__file__).resolve().parents[2] / "src" / "rushlight" / "vision" / "datasets" / "optdigits.npz"
BATCH = 64
@dataclass(frozen=True)
class Network:
    """A network and the shape of its input; `classes` labels. Token models take integers below `classes`.

    draws: how many its accuracy is taken from. A ReLU or a maximum that turns out differently in float32 and float64 dominates
    the gradients of its draw, by luck, in rushlight as in torch; few draws say nothing of how often.
    """

    name: str
    model: Callable[[Any], Any]
    shape: tuple[int, ...]
    classes: int
    tokens: bool = False
    inference: bool = False
    draws: int = 9

    @property
    def images(self) -> bool:
        return len(self.shape) == 4

    def data(self, torch: Any, seed: int) -> tuple[Any, Any]:
        """Inputs and labels; a token model has one label for each token."""
        random = np.random.default_rng(seed)
        inputs: np.ndarray = random.standard_normal(self.shape, np.float32)
        if self.tokens:
            inputs = random.integers(0, self.classes, self.shape)
        labels = random.integers(0, self.classes, inputs.size if self.tokens else self.shape[0])
        return torch.from_numpy(inputs).clone(), torch.from_numpy(labels).clone()

    def prepared(self, torch: Any, channels_last: bool = False, seed: int = 0) -> tuple[Any, Any, Any]:
        torch.manual_seed(seed)
        model, (inputs, labels) = self.model(torch), self.data(torch, seed)
        if channels_last:
            model, inputs = (x.to(memory_format=torch.channels_last) for x in (model, inputs))
        return model, inputs, labels


OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "sgd": lambda torch, parameters, **options: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, **options),
    "adam": lambda torch, parameters, **options: torch.optim.Adam(parameters, lr=1e-3, **options),
}

NETWORKS = (
    Network("mlp64", lambda torch: networks.mlp(torch, 64, 64, 64, 10), (32, 64), 10),
    Network("mlp784", lambda torch: networks.mlp(torch, 784, 512, 512, 10), (128, 784), 10),
    Network("lenet", networks.lenet, (64, 1, 28, 28), 10),
    Network("resnet18_1x64", networks.resnet18, (1, 3, 64, 64), 1000, inference=True, draws=64),
    Network("resnet18_32x64", networks.resnet18, (32, 3, 64, 64), 1000, inference=True, draws=21),
    Network("resnet18_8x224", networks.resnet18, (8, 3, 224, 224), 1000, inference=True),
    Network("mobilenet_v2_8x96", networks.mobilenet_v2, (8, 3, 96, 96), 1000),
    Network("lstm", networks.lstm, (32, 64), 96, tokens=True),
    Network("gpt", networks.gpt, (8, 128), 96, tokens=True),
)


def training_step(
    network: Network, optimizer_name: str, torch: Any, *, fused: bool = False, channels_last: bool = False
) -> Step:
    model, inputs, labels = network.prepared(torch, channels_last)
    optimizer = OPTIMIZERS[optimizer_name](torch, model.parameters(), **({"fused": True} if fused else {}))
    cross_entropy = torch.nn.functional.cross_entropy

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    return step


def inference_step(network: Network, torch: Any, *, channels_last: bool = False) -> Step:
    model, inputs, _ = network.prepared(torch, channels_last)
    model.eval()

    def step() -> None:
        with torch.no_grad():
            model(inputs)

    return step


def values(network: Network, torch: Any, dtype: Any, seed: int) -> list[Any]:
    """The logits and every parameter's gradient of one training-mode pass, from the same float32 parameters."""
    model, inputs, labels = network.prepared(torch, seed=seed)
    model.to(dtype)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # its draws differ between dtypes
    logits = model(inputs if network.tokens else inputs.to(dtype))
    torch.nn.functional.cross_entropy(logits, labels).backward()
    return [logits.detach(), *(parameter.grad for parameter in model.parameters())]


def epoch(optimizer_name: str, torch: Any, *, fused: bool = False) -> Step:
    """One pass over the bundled handwritten digits in shuffled batches, sliced by hand."""
    torch.manual_seed(0)
    with np.load(DIGITS) as file:
        images = torch.from_numpy(file["images"].astype(np.float32)[:, None] / 16).clone()
        labels = torch.from_numpy(file["labels"].astype(np.int64)).clone()
    model = networks.digits_net(torch)
    optimizer = OPTIMIZERS[optimizer_name](torch, model.parameters(), **({"fused": True} if fused else {}))
    cross_entropy = torch.nn.functional.cross_entropy

    def step() -> None:
        order = torch.randperm(len(images))
        for start in range(0, len(images), BATCH):
            chosen = order[start : start + BATCH]
            optimizer.zero_grad()
            cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()

    return step


def training_cases() -> Iterator[Case]:
    for network in NETWORKS:
        for name in OPTIMIZERS:
            make = partial(training_step, network, name)
            variants: dict[str, Make] = {"fused": partial(make, fused=True)}
            if network.images:
                variants["channels_last"] = partial(make, channels_last=True)
                variants["fused channels_last"] = partial(make, fused=True, channels_last=True)
            compared = partial(values, network) if name == "sgd" else None
            yield Case(f"train/{network.name}/{name}", make, variants=variants, values=compared, draws=network.draws)


def inference_cases() -> Iterator[Case]:
    for network in NETWORKS:
        if network.inference:
            make = partial(inference_step, network)
            yield Case(f"eval/{network.name}", make, variants={"channels_last": partial(make, channels_last=True)})


def epoch_cases() -> Iterator[Case]:
    for name in OPTIMIZERS:
        make = partial(epoch, name)
        yield Case(f"epoch/digits/{name}", make, variants={"fused": partial(make, fused=True)})


CASES = (*training_cases(), *inference_cases(), *epoch_cases())
