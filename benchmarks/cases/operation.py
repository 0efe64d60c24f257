"""Single operations: inputs of a size, a function, and from the two a forward case, a forward + backward case and values.

small is 2 elements or the least that makes sense, medium 64 KiB and large 64 MiB a tensor (convolutions and attention,
whose cost grows faster than their bytes, stay a little below).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import Case, Step

SQUARE = {"small": (1, 2), "medium": (128, 128), "large": (4096, 4096)}
ELEMENTS = {"small": 2, "medium": 128 * 128, "large": 4096 * 4096}
FLOAT_BYTES = 4


class Inputs:
    """Draws a case's tensors, the same numbers in every library, and remembers those that want a gradient."""

    def __init__(
        self, torch: Any, *, recording: bool = False, dtype: Any = None, channels_last: bool = False, seed: int = 0
    ) -> None:
        self.torch, self.recording, self.dtype, self.channels_last = torch, recording, dtype, channels_last
        self.random = np.random.default_rng(seed)
        self.leaves: list[Any] = []

    def _floats(self, array: np.ndarray, grad: bool, dtype: str | None) -> Any:
        wanted = self.dtype or getattr(self.torch, dtype or "float32")
        # A copy: the library's own memory, with the alignment that its allocator gives.
        tensor = self.torch.from_numpy(np.asarray(array)).to(wanted, copy=True)
        if self.channels_last and tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=self.torch.channels_last)
        if self.recording and grad:
            tensor.requires_grad_()
            self.leaves.append(tensor)
        return tensor

    def normal(self, *shape: int, grad: bool = True, dtype: str | None = None, scale: float = 1.0) -> Any:
        return self._floats(self.random.standard_normal(shape, np.float32) * np.float32(scale), grad, dtype)

    def positive(self, *shape: int, grad: bool = True) -> Any:
        """Numbers from [0.5, 1.5)."""
        return self._floats(self.random.random(shape, np.float32) + np.float32(0.5), grad, None)

    def integers(self, high: int, *shape: int) -> Any:
        """int64 from [0, high)."""
        return self.torch.from_numpy(self.random.integers(0, high, shape)).clone()

    def mask(self, *shape: int) -> Any:
        return self.torch.from_numpy(self.random.random(shape, np.float32) < 0.5).clone()


@dataclass(frozen=True)
class Operation:
    """An operation at several sizes.

    function       the function of a library that is timed
    inputs         (inputs, size) -> its arguments
    moves          how many float32 tensors of ELEMENTS[size] the forward and the backward read and write at least
    channels_last  torch is also timed with 4-d inputs in that memory format
    smooth         whether its float32 result can be compared with the float64 one
    """

    name: str
    function: Callable[[Any], Callable[..., Any]]
    inputs: Callable[[Inputs, str], tuple[Any, ...]]
    sizes: Sequence[str] = ("small", "medium", "large")
    backward: bool = True
    moves: tuple[float, float] = (0.0, 0.0)
    channels_last: bool = False
    smooth: bool = True

    def forward_step(self, torch: Any, size: str, channels_last: bool) -> Step:
        arguments = self.inputs(Inputs(torch, channels_last=channels_last), size)
        function = self.function(torch)
        return lambda: function(*arguments)

    def both_step(self, torch: Any, size: str, channels_last: bool) -> Step:
        """Forward and backward; gradients are dropped, not added up."""
        inputs = Inputs(torch, recording=True, channels_last=channels_last)
        arguments = self.inputs(inputs, size)
        function, leaves = self.function(torch), inputs.leaves
        output = function(*arguments)
        cotangent = inputs.normal(*output.shape, grad=False).to(output.dtype)
        del output

        def step() -> None:
            function(*arguments).backward(cotangent)
            for leaf in leaves:
                leaf.grad = None

        return step

    def values(self, torch: Any, dtype: Any, seed: int, size: str) -> list[Any]:
        inputs = Inputs(torch, recording=self.backward, dtype=dtype, seed=seed)
        output = self.function(torch)(*self.inputs(inputs, size))
        if self.backward:
            output.backward(inputs.normal(*output.shape, grad=False))
        return [output.detach(), *(leaf.grad for leaf in inputs.leaves)]

    def cases(self) -> Iterator[Case]:
        steps = {"fwd": self.forward_step} | ({"fwd+bwd": self.both_step} if self.backward else {})
        for size in self.sizes:
            for direction, build in steps.items():

                def make(torch: Any, build: Any = build, size: str = size, channels_last: bool = False) -> Step:
                    step: Step = build(torch, size, channels_last)
                    return step

                def make_channels_last(torch: Any, make: Any = make) -> Step:
                    step: Step = make(torch, channels_last=True)
                    return step

                moved = self.moves[0] + (self.moves[1] if direction == "fwd+bwd" else 0.0)
                compared = self.smooth and size == "medium" and direction == list(steps)[-1]
                yield Case(
                    f"ops/{self.name}/{size}/{direction}",
                    make,
                    bytes=int(moved * ELEMENTS[size] * FLOAT_BYTES),
                    variants={"channels_last": make_channels_last} if self.channels_last else {},
                    values=partial(self.values, size=size) if compared else None,
                )


def all_cases(operations: Sequence[Operation]) -> tuple[Case, ...]:
    return tuple(case for operation in operations for case in operation.cases())


def shaped(
    shapes: Mapping[str, Sequence[Sequence[int]]], scale: float = 1.0
) -> Callable[[Inputs, str], tuple[Any, ...]]:
    """Normal inputs of the shapes that a table gives for each size, all with gradients."""
    return lambda inputs, size: tuple(inputs.normal(*shape, scale=scale) for shape in shapes[size])
