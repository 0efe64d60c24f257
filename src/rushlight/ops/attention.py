"""Scaled dot-product attention as one operation, y = softmax(scale * q k' + mask) v, with its gradient as another.

Neither holds the weights of all queries and keys: the kernels work block by block and keep the log-sum-exp of each row.
With p the weights and u = g v' the cotangent of p, the gradients are

    s = p * (u - sum(p * u))        gq = scale * s k        gk = scale * s' q        gv = p' g        gmask = s

where sums are over keys. `second_order` differentiates these once more in tensor operations, so every order exists.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import BOOL
from rushlight.core.primitive import Primitive, apply_multi
from rushlight.ops.matmul import matmul

__all__: list[str] = []

Needs = tuple[bool, ...]


def attention_weights(q: Any, k: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    """softmax(scale * q k' + mask), [*, L, S], for q [*, L, E] and k [*, S, E]; zeros in the row of a query that sees nothing."""
    scores = matmul(q * scale if q._shape[-1] else q, k.transpose(-2, -1))
    if is_causal:
        scores = scores.masked_fill(scores.detach().new_ones(scores._shape[-2:]).tril().eq(0), -float("inf"))
    elif mask is not None and mask._dtype.category == BOOL:
        scores = scores.masked_fill(mask.logical_not(), -float("inf"))
    elif mask is not None:
        scores = scores + mask.to(scores._dtype)
    blind = scores.detach().eq(-float("inf")).all(-1, True)
    return scores.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)


def repeated(x: Any, heads: int) -> Any:
    """Keys or values [*, G, S, E] for every one of `heads` heads that share them in groups."""
    return x if x._shape[-3] == heads else x.repeat_interleave(heads // x._shape[-3], -3)


def _shared(x: Any, heads: int) -> Any:
    """The transpose of `repeated`: [*, H, S, E] summed over the groups, [*, heads, S, E]."""
    shape = x._shape
    return x if shape[-3] == heads else x.reshape(*shape[:-3], heads, shape[-3] // heads, *shape[-2:]).sum(-3)


class ScaledDotProductAttention(Primitive):
    """Outputs (y, log-sum-exp of the scores) of (q, k, v[, mask]); shapes as in backends/reference/attention.py."""

    __slots__ = ("is_causal", "scale")
    name = "scaled_dot_product_flash_attention_for_cpu"
    outputs = 2

    def __init__(self, is_causal: bool, scale: float) -> None:
        self.is_causal = is_causal
        self.scale = scale

    def forward(self, k: Any, *arrays: Any) -> Any:
        mask = arrays[3] if len(arrays) == 4 else None
        return k.attention_forward(arrays[0], arrays[1], arrays[2], mask, self.is_causal, self.scale)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: Needs) -> tuple[Any, ...]:
        return (*inputs[:3], output[0].detach(), output[1].detach(), *inputs[3:])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: Needs) -> Any:
        wanted = (*needs, False)[:4]
        found = iter(apply_multi(AttentionGrad(self.is_causal, self.scale, wanted), (g[0], *saved)))
        return tuple([next(found) if want else None for want in needs])


class AttentionGrad(Primitive):
    """The gradients that `wanted` asks for, of (q, k, v, mask), from (g, q, k, v, y, log-sum-exp[, mask])."""

    __slots__ = ("is_causal", "scale", "wanted")
    name = "scaled_dot_product_flash_attention_for_cpu_backward"
    outputs = 0

    def __init__(self, is_causal: bool, scale: float, wanted: Needs) -> None:
        self.is_causal = is_causal
        self.scale = scale
        self.wanted = wanted

    def forward(self, k: Any, *arrays: Any) -> Any:
        mask = arrays[6] if len(arrays) == 7 else None
        found = k.attention_backward(*arrays[:6], mask, self.is_causal, self.scale, self.wanted)
        return [each for each, want in zip(found, self.wanted, strict=True) if want]

    def save(self, inputs: tuple[Any, ...], output: Any, needs: Needs) -> tuple[Any, ...]:
        return (*inputs[:4], *inputs[6:])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: Needs) -> Any:
        """`y` and the log-sum-exp are functions of q, k and the mask here: their share of the derivative is in theirs."""
        arrived = iter(g)
        cotangents = [next(arrived) if want else None for want in self.wanted]
        mask = saved[4] if len(saved) == 5 else None
        cotangent, q, k, v = saved[:4]
        grouped = len(q._shape) > 2 and k._shape[-3] != q._shape[-3]
        if not grouped:
            found = second_order(cotangent, q, k, v, mask, cotangents, self.is_causal, self.scale)
        else:
            heads, own = q._shape[-3], k._shape[-3]
            a, b, c, d = cotangents
            every = [a, *[None if t is None else repeated(t, heads) for t in (b, c)], d]
            keys, values = repeated(k, heads), repeated(v, heads)
            to_g, to_q, to_k, to_v, to_mask = second_order(
                cotangent, q, keys, values, mask, every, self.is_causal, self.scale
            )
            found = (to_g, to_q, _shared(to_k, own), _shared(to_v, own), to_mask)
        return (*found[:4], None, None, *found[4:][: len(needs) - 6])


def second_order(
    g: Any, q: Any, k: Any, v: Any, mask: Any, cotangents: list[Any], is_causal: bool, scale: float
) -> tuple[Any, Any, Any, Any, Any]:
    """Cotangents of (g, q, k, v, mask) from those of (gq, gk, gv, gmask), any of which may be None.

    Derivation: with t the cotangent of s, that of u is p * (t - sum(p * t)) and that of p, besides what gv gives, is
    t * (u - sum(p * u)) - u * sum(p * t); then p is a softmax.
    """
    a, b, c, d = cotangents
    p = attention_weights(q, k, mask, is_causal, scale)
    u = matmul(g, v.transpose(-2, -1))
    centred = u - (p * u).sum(-1, True)
    s = p * centred
    t = p.new_zeros(())
    if a is not None:
        t = t + matmul(a * scale, k.transpose(-2, -1))
    if b is not None:
        t = t + matmul(q * scale, b.transpose(-2, -1))
    if d is not None:
        t = t + d.to(p._dtype)
    along = (p * t).sum(-1, True)
    to_u = p * (t - along)
    to_p = t * centred - u * along
    to_g = matmul(to_u, v)
    to_v = matmul(to_u.transpose(-2, -1), g)
    if c is not None:
        to_p = to_p + matmul(g, c.transpose(-2, -1))
        to_g = to_g + matmul(p, c)
    to_scores = p * (to_p - (p * to_p).sum(-1, True))
    to_q = matmul(to_scores, k)
    to_k = matmul(to_scores.transpose(-2, -1), q)
    if b is not None:
        to_q = to_q + matmul(s, b)
    if a is not None:
        to_k = to_k + matmul(s.transpose(-2, -1), a)
    return to_g, to_q * scale, to_k * scale, to_v, to_scores


def attend(q: Any, k: Any, v: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    """The attention of checked arguments: q [*, H, L, E], k [*, G, S, E], v [*, G, S, V], all with the same dimensions `*`."""
    operands = (q, k, v) if mask is None else (q, k, v, mask)
    return apply_multi(ScaledDotProductAttention(is_causal, scale), operands)[0]
