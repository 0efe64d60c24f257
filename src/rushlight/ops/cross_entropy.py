"""Cross entropy of scores and class indices as one operation: log-softmax, and its negative at each target's class.

Its gradient, softmax(x) less 1 at the target's class, is taken in one pass too: the cotangent of the log-probabilities,
zero nearly everywhere, is never written down.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import FLOATING
from rushlight.core.modes import local
from rushlight.core.primitive import PLAIN, Primitive, apply2, apply_multi, applyn
from rushlight.core.tensor import make_alias
from rushlight.ops.nll_loss import NllLoss, NllLossGrad, check_classes, nll_loss
from rushlight.ops.softmax import log_softmax
from rushlight.ops.softmax_rules import LogSoftmaxGrad

__all__: list[str] = []


class CrossEntropy(Primitive):
    """Outputs (loss, total weight, log-probabilities) of (scores [N, C], target[, weight])."""

    __slots__ = ("loss",)
    name = "cross_entropy_loss"
    node_name = "NllLossBackward0"
    outputs = 3

    def __init__(self, loss: NllLoss) -> None:
        self.loss = loss

    def forward(self, k: Any, *arrays: Any) -> Any:
        weight = arrays[2] if len(arrays) == 3 else None
        return k.cross_entropy(arrays[0], arrays[1], weight, self.loss.ignore_index, self.loss.reduction)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output[2], make_alias(output[1]), *inputs[1:])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        logp, total, *rest = saved
        gx = None if g[0] is None else applyn(CrossEntropyGrad(self.loss), (g[0], logp, *rest, total))
        if g[2] is not None:  # of a second derivative, which goes through the log-probabilities that were saved
            through = apply2(LogSoftmaxGrad(1), g[2], logp)
            gx = through if gx is None else gx + through
        return (gx, *[None] * len(rest))

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        logp, _, *rest = saved
        tangent = tangents[0] - (tangents[0] * logp.exp()).sum(1, True)
        return apply_multi(self.loss, (tangent, *rest))[0], None, tangent


class CrossEntropyGrad(Primitive):
    """The cotangent of the scores: `grad(g, log-probabilities, target[, weight], total weight)`."""

    __slots__ = ("loss",)
    name = "cross_entropy_loss_backward"

    def __init__(self, loss: NllLoss) -> None:
        self.loss = loss

    def forward(self, k: Any, *arrays: Any) -> Any:
        weight = arrays[3] if len(arrays) == 5 else None
        g, logp, target = arrays[:3]
        loss = self.loss
        return k.cross_entropy_backward(g, logp, target, weight, loss.ignore_index, loss.reduction, arrays[-1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        """That of log-softmax's gradient of the negative log-likelihood's."""
        cotangent, logp, *rest, total = saved
        weighted = g * logp.exp()
        to_g = to_logp = None
        if needs[0]:
            to_g = apply_multi(self.loss, (g - weighted.sum(1, True), *rest))[0]
        if needs[1]:
            picked = applyn(NllLossGrad(self.loss, logp._shape), (cotangent, *rest, total))
            to_logp = -weighted * picked.sum(1, True)
        return (to_g, to_logp, *[None] * (len(rest) + 1))


def cross_entropy_of_classes(input: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
    """The negative log-likelihood of the class indices `target` under `log_softmax(input, 1)`."""
    tensors = (input, target) if weight is None else (input, target, weight)
    plain = not local.modes.function_modes and all([type(t) in PLAIN for t in tensors])
    if len(input._shape) != 2 or not plain or input._dtype.category != FLOATING:
        return nll_loss(log_softmax(input, 0 if len(input._shape) == 1 else 1), target, weight, reduction, ignore_index)
    check_classes(input, target, weight)
    return apply_multi(CrossEntropy(NllLoss(ignore_index, reduction)), tensors)[0]
