"""Attention: weighted sums of values, the weights from how well queries and keys agree; by one head or by several."""

from __future__ import annotations

from math import sqrt
from typing import Any

from rushlight.base.dtypes import BOOL, FLOATING, float32
from rushlight.base.shape import Shape, broadcast_shapes
from rushlight.base.warn import warn_user
from rushlight.core.tensor import TensorBase
from rushlight.nn.functional.activation import softmax
from rushlight.nn.functional.dropout import dropout
from rushlight.nn.functional.linear import linear
from rushlight.ops.attention import attend, attention_weights, repeated
from rushlight.ops.checks import kind_name, not_implemented
from rushlight.ops.matmul import matmul
from rushlight.ops.norm_rules import overridden
from rushlight.ops.pad import pad
from rushlight.ops.shape import cat

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

_SDPA = "scaled_dot_product_attention"


# One head, or heads as a dimension.


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """`softmax(query @ key.T * scale + mask) @ value` over queries [*, L, E], keys [*, S, E] and values [*, S, V]: [*, L, V].

    attn_mask: bool (True takes part) or added to the scores; broadcast to [*, L, S]. A query that may see nothing gives zeros.
    is_causal: query i sees the keys up to i only; not together with `attn_mask`.
    scale: 1 / sqrt(E) by default. dropout_p: dropout of the attention weights (also when not training: pass 0 then).
    enable_gqa: let groups of queries' heads (dimension -3) share a head of keys and values.

    The weights of all queries at once are never held, unless there is dropout.

    >>> scaled_dot_product_attention(randn(2, 4, 5, 8), randn(2, 4, 6, 8), randn(2, 4, 6, 8)).shape
    torch.Size([2, 4, 5, 8])
    """
    _check_tensors(query, key, value)
    tensors = (query, key, value) if attn_mask is None else (query, key, value, attn_mask)
    handled, found = overridden(
        scaled_dot_product_attention,
        (query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa),
        tensors,
    )
    if handled:
        return found
    query, key, value = _same_batch(query, key, value, enable_gqa)
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True. Leave one of them out; "
            "a mask that blocks more than what is to come is made with torch.ones(L, S, dtype=torch.bool).tril() & mask"
        )
    if attn_mask is not None:
        _check_mask(attn_mask, query, (*query._shape[:-1], key._shape[-2]))
    if dropout_p < 0.0 or dropout_p > 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    if scale is not None and not isinstance(scale, (int, float)):
        raise TypeError(f"{_SDPA}(): argument 'scale' must be float, not {type(scale).__name__}")
    factor = 1.0 / sqrt(query._shape[-1] or 1) if scale is None else float(scale)
    if dropout_p == 0.0:
        return attend(query, key, value, attn_mask, bool(is_causal), factor)
    if len(query._shape) > 2:
        key, value = repeated(key, query._shape[-3]), repeated(value, query._shape[-3])
    weights = attention_weights(query, key, attn_mask, is_causal, factor)
    return matmul(dropout(weights, dropout_p, True), value)


def _check_tensors(query: Any, key: Any, value: Any) -> None:
    for position, (name, x) in enumerate((("query", query), ("key", key), ("value", value)), 1):
        if not isinstance(x, TensorBase):
            raise TypeError(
                f"{_SDPA}(): argument '{name}' (position {position}) must be Tensor, not {type(x).__name__}"
            )
    q, k, v = query._shape, key._shape, value._shape
    if len(q) < 2 or len(k) < 2 or len(v) < 2:
        raise RuntimeError(
            f"Expected query, key, and value to all be at least 2 dimensional, but got query.dim: {len(q)} key.dim: {len(k)} and "
            f"value.dim: {len(v)} instead: they are [*, L, E], [*, S, E] and [*, S, V]."
        )
    if query._dtype is not key._dtype or query._dtype is not value._dtype:
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {query._dtype!r} key.dtype: {key._dtype!r} "
            f"and value.dtype: {value._dtype!r} instead."
        )
    if query._dtype.category != FLOATING:
        raise not_implemented(_SDPA, query._dtype)
    if q[-1] != k[-1]:
        raise RuntimeError(f"{_SDPA}: query and key must have the same last size, got {list(q)} and {list(k)}")
    if k[-2] != v[-2]:
        raise RuntimeError(f"{_SDPA}: key and value must have the same number of rows, got {list(k)} and {list(v)}")


def _same_batch(query: Any, key: Any, value: Any, enable_gqa: bool) -> tuple[Any, Any, Any]:
    """The three with the same leading dimensions; with `enable_gqa` keys and values may keep fewer heads."""
    q, k, v = query._shape, key._shape, value._shape
    if q[:-2] == k[:-2] == v[:-2]:
        return query, key, value
    if not enable_gqa:
        batch = broadcast_shapes(q[:-2], k[:-2], v[:-2])
        return _expanded(query, batch), _expanded(key, batch), _expanded(value, batch)
    if min(len(q), len(k), len(v)) < 3:
        raise IndexError(
            f"{_SDPA}: enable_gqa needs heads as the third dimension from the end, got {list(q)}, {list(k)} and {list(v)}"
        )
    heads = q[-3]
    if not k[-3] or not v[-3] or heads % k[-3] or heads % v[-3]:
        raise RuntimeError(
            f"Number of heads in key and value must divide the number of heads in query, but got {k[-3]}, {v[-3]} and {heads}"
        )
    if k[-3] != v[-3]:
        key, value = repeated(key, heads), repeated(value, heads)
    batch = broadcast_shapes(q[:-3], k[:-3], v[:-3])
    shared = (*batch, key._shape[-3])
    return _expanded(query, (*batch, heads)), _expanded(key, shared), _expanded(value, shared)


def _expanded(x: Any, batch: Shape) -> Any:
    return x if x._shape[:-2] == batch else x.expand(*batch, *x._shape[-2:])


def _check_mask(mask: Any, query: Any, scores: Shape) -> None:
    if not isinstance(mask, TensorBase):
        raise TypeError(f"{_SDPA}(): argument 'attn_mask' (position 4) must be Tensor, not {type(mask).__name__}")
    if mask._dtype.category != BOOL and mask._dtype is not float32 and mask._dtype is not query._dtype:
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            f"{kind_name(mask._dtype)} and query.dtype: {kind_name(query._dtype)} instead."
        )
    if broadcast_shapes(scores, mask._shape) != scores:
        raise RuntimeError(
            f"output with shape {list(scores)} doesn't match the broadcast shape {list(broadcast_shapes(scores, mask._shape))}: the "
            f"mask has shape {list(mask._shape)} and must broadcast to that of the scores"
        )


# Several heads, with their projections.


def multi_head_attention_forward(
    query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int, in_proj_weight: Any, in_proj_bias: Any,
    bias_k: Any, bias_v: Any, add_zero_attn: bool, dropout_p: float, out_proj_weight: Any, out_proj_bias: Any,
    training: bool = True, key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Any = None, k_proj_weight: Any = None, v_proj_weight: Any = None,
    static_k: Any = None, static_v: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """What `nn.MultiheadAttention` computes: the result [L, N, E] and, with `need_weights`, the weights [N, L, S].

    query [L, N, E], key and value [S, N, E], or all without N. in_proj_weight: [3E, E], the projections of query, key and value
    one above the other; with `use_separate_proj_weight` they are `q_proj_weight` [E, E], `k_proj_weight` [E, Ek] and
    `v_proj_weight` [E, Ev]. in_proj_bias: [3E] or nothing. out_proj_weight [E, E], out_proj_bias [E]: the last projection.
    bias_k, bias_v: [1, 1, E], a key and a value to add to each sequence; `add_zero_attn` adds zeros. static_k, static_v:
    [N * num_heads, S, E / num_heads], used instead of the projected ones.
    key_padding_mask: [N, S], attn_mask: [L, S] or [N * num_heads, L, S]; True blocks, a floating one is added to the scores.
    is_causal: says that `attn_mask` is the causal mask. dropout_p: of the weights, when `training`.
    average_attn_weights: whether the weights returned are the mean over heads, or [N, num_heads, L, S].

    Raises `AssertionError` or `RuntimeError` where shapes do not fit, as torch does.
    """
    given = (
        query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p,
        out_proj_weight, out_proj_bias, training, key_padding_mask, need_weights, attn_mask, use_separate_proj_weight,
        q_proj_weight, k_proj_weight, v_proj_weight, static_k, static_v, average_attn_weights, is_causal,
    )  # fmt: skip
    members = (query, key, value, in_proj_weight, in_proj_bias, bias_k, bias_v, out_proj_weight, out_proj_bias)
    handled, found = overridden(
        multi_head_attention_forward, given, tuple([t for t in members if isinstance(t, TensorBase)])
    )
    if handled:
        return found  # type: ignore[no-any-return]
    batched = _check_ranks(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = _as_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    _check_sizes(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    padding = additive_mask(key_padding_mask, "key_padding_mask", query._dtype, attn_mask, "attn_mask")
    is_causal = is_causal and padding is None and not need_weights
    mask = None if is_causal else additive_mask(attn_mask, "attn_mask", query._dtype)
    _check_attn_mask(mask, query._shape[1] * num_heads, query._shape[0], key._shape[0])
    if use_separate_proj_weight:
        q, k, v = _project_apart(query, key, value, (q_proj_weight, k_proj_weight, v_proj_weight), in_proj_bias)
    else:
        q, k, v = _project_together(query, key, value, in_proj_weight, in_proj_bias)
    k, v = _with_bias(k, v, bias_k, bias_v, static_k, static_v)
    q = _split_heads(q, num_heads)
    k = _split_heads(k, num_heads) if static_k is None else _static_heads("static_k", static_k, q)
    v = _split_heads(v, num_heads) if static_v is None else _static_heads("static_v", static_v, q)
    if add_zero_attn:
        k, v = (cat([x, x.new_zeros((*x._shape[:2], 1, x._shape[3]))], 2) for x in (k, v))
    mask = _merged_mask(mask, padding, q, k, (bias_k is not None) + bool(add_zero_attn))
    p = dropout_p if training else 0.0
    if not need_weights:
        attended, weights = scaled_dot_product_attention(q, k, v, mask, p, is_causal), None
    else:
        attended, weights = _attend_with_weights(q, k, v, mask, p)
        weights = weights.mean(dim=1) if average_attn_weights else weights
        weights = weights if batched else weights.squeeze(0)
    result = _project(attended.permute(2, 0, 1, 3).flatten(2), out_proj_weight, out_proj_bias)
    return result if batched else result.squeeze(1), weights


def _as_batch(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """Unbatched inputs as batches of one. What is the same tensor stays the same: it is projected in one product."""
    batch = query.unsqueeze(1)
    keys = batch if key is query else key.unsqueeze(1)
    return batch, keys, keys if value is key else value.unsqueeze(1)


def _attend_with_weights(q: Any, k: Any, v: Any, mask: Any, dropout_p: float) -> tuple[Any, Any]:
    """The attention of all heads and its weights [N, num_heads, L, S]. A query that sees nothing gives NaN here, as in torch."""
    scores = matmul(q * sqrt(1.0 / q._shape[-1]), k.transpose(-2, -1))
    weights = softmax(scores if mask is None else scores + mask, dim=-1)
    weights = dropout(weights, dropout_p) if dropout_p > 0.0 else weights
    return matmul(weights, v), weights


def _check_ranks(query: Any, key: Any, value: Any, key_padding_mask: Any, attn_mask: Any, num_heads: int) -> bool:
    """Whether the inputs are batched; `AssertionError` when their ranks do not go together."""
    rank = query.dim()
    if rank not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {rank}-D query tensor")
    kind = "batched (3-D)" if rank == 3 else "unbatched (2-D)"
    if key.dim() != rank or value.dim() != rank:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {rank}-D but found {key.dim()}-D and {value.dim()}-D tensors "
            "respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != rank - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {rank - 1}-D but found {key_padding_mask.dim()}-D "
            "tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.dim()}-D tensor instead"
            )
        expected = (num_heads, query._shape[0], key._shape[0])
        if rank == 2 and attn_mask.dim() == 3 and attn_mask._shape != expected:
            raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}")
    return rank == 3


def _check_sizes(query: Any, key: Any, value: Any, embed_dim: int, num_heads: int, separate: bool) -> None:
    if query._shape[-1] != embed_dim:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim}, but got {query._shape[-1]}")
    if embed_dim % num_heads:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if separate and key._shape[:2] != value._shape[:2]:
        raise AssertionError(f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}")
    if not separate and key._shape != value._shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _check_attn_mask(mask: Any, heads: int, queries: int, keys: int) -> None:
    """heads: those of all sequences, N * num_heads."""
    if mask is None:
        return
    rank = mask.dim()
    expected = (queries, keys) if rank == 2 else (heads, queries, keys)
    if mask._shape != expected:
        raise RuntimeError(f"The shape of the {rank}D attn_mask is {mask.shape}, but should be {expected}.")


def additive_mask(mask: Any, name: str, dtype: Any, other: Any = None, other_name: str = "") -> Any:
    """A mask in which True blocks as one to add to the scores, 0 or -inf of `dtype`; a floating one as it is.

    Warns, as torch does, when `other` is a mask of another dtype; `AssertionError` for masks of integers.
    """
    if mask is None:
        return None
    floating = mask.is_floating_point()
    if not floating and mask._dtype.category != BOOL:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and other._dtype is not mask._dtype:
        warn_user(f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.")
    return mask if floating else mask.new_zeros(mask._shape, dtype=dtype).masked_fill_(mask, -float("inf"))


def _project(x: Any, weight: Any, bias: Any) -> Any:
    """`linear` of x [L, N, E] in the order its rows have in memory, which is that of [N, L, E] for batch-first modules."""
    if not x.is_contiguous() and x.transpose(0, 1).is_contiguous():
        return linear(x.transpose(0, 1), weight, bias).transpose(0, 1)
    return linear(x, weight, bias)


def _project_together(query: Any, key: Any, value: Any, weight: Any, bias: Any) -> Any:
    """Query, key and value by the parts of one weight [3E, E], in one product where they are the same tensor."""
    if weight is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    size = query._shape[-1]
    if query is key and key is value:
        return _project(query, weight, bias).chunk(3, -1)
    if key is value:
        sizes = [size, 2 * size]
        b_q, b_kv = (None, None) if bias is None else bias.split(sizes)
        w_q, w_kv = weight.split(sizes)
        return (_project(query, w_q, b_q), *_project(key, w_kv, b_kv).chunk(2, -1))
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [_project(x, w, b) for x, w, b in zip((query, key, value), weight.chunk(3), biases, strict=True)]


def _project_apart(query: Any, key: Any, value: Any, weights: tuple[Any, Any, Any], bias: Any) -> Any:
    """Query, key and value by a weight each, whose outputs all have the size of the query."""
    size = query._shape[-1]
    for letter, name, x, w in zip("qkv", ("query", "key", "value"), (query, key, value), weights, strict=True):
        if w is None:
            raise AssertionError(f"use_separate_proj_weight is True but {letter}_proj_weight is None")
        expected = (size, x._shape[-1])
        if w._shape != expected:
            raise AssertionError(f"expecting {name} weights shape of {expected}, but got {w.shape}")
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [_project(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]


def _with_bias(k: Any, v: Any, bias_k: Any, bias_v: Any, static_k: Any, static_v: Any) -> tuple[Any, Any]:
    """Keys and values [S, N, E] with one more of each, the same in all sequences, if there is a bias."""
    if bias_k is None and bias_v is None:
        return k, v
    if bias_k is None or bias_v is None:
        there, absent = ("bias_v", "bias_k") if bias_k is None else ("bias_k", "bias_v")
        raise AssertionError(f"{there} is set but {absent} is None")
    for name, static in (("key", static_k), ("value", static_v)):
        if static is not None:
            raise AssertionError(f"bias cannot be added to static {name}.")
    batch = k._shape[1]
    return cat([k, bias_k.expand(1, batch, -1)]), cat([v, bias_v.expand(1, batch, -1)])


def _split_heads(x: Any, num_heads: int) -> Any:
    """[S, N, E] -> [N, num_heads, S, E / num_heads], a view."""
    length, batch, size = x._shape
    return x.reshape(length, batch, num_heads, size // num_heads).permute(1, 2, 0, 3)


def _static_heads(name: str, static: Any, q: Any) -> Any:
    """Given keys or values [N * num_heads, S, E / num_heads] as [N, num_heads, S, ...], those of q [N, num_heads, L, ...]."""
    batch, num_heads, _, head_dim = q._shape
    if static._shape[0] != batch * num_heads:
        raise AssertionError(f"expecting {name}.size(0) of {batch * num_heads}, but got {static._shape[0]}")
    if static._shape[2] != head_dim:
        raise AssertionError(f"expecting {name}.size(2) of {head_dim}, but got {static._shape[2]}")
    return static.reshape(batch, num_heads, *static._shape[1:])


def _merged_mask(attn_mask: Any, key_padding_mask: Any, q: Any, k: Any, added: int) -> Any:
    """Both masks as one that broadcasts to the scores [N, num_heads, L, S]; the last `added` keys are seen by all."""
    batch, num_heads, queries, _ = q._shape
    keys = k._shape[2]
    mask, padding = (m if m is None or not added else pad(m, (0, added)) for m in (attn_mask, key_padding_mask))
    if mask is not None and mask.dim() == 3:
        mask = mask.reshape(batch, num_heads, queries, mask._shape[-1])
    if padding is None:
        return mask
    for dim, size in enumerate((batch, keys)):
        if padding._shape[dim] != size:
            raise AssertionError(f"Expected key_padded_mask.shape[{dim}] to be {size}, but got {padding._shape[dim]}")
    padding = padding.reshape(batch, 1, 1, keys)
    return padding if mask is None else mask + padding
