"""Where the outcome of a call of the table differs from torch's, and why."""

from __future__ import annotations

# Calls whose outcome is not compared with torch's, with the reason; the dtypes, layouts or shapes it is about ("" for all).
NO_COMPLEX_HALF = "there is no complex32: complex64 is the complex number of float16"
TIES = "which of equal elements is named is ours: the first"
SATURATES = "a bound outside the range of an integer dtype is the end of that range; torch wraps it around"
ROUNDS_MORE = "torch rounds float16 and bfloat16 at more places"
WORKS = "works here, where torch has no kernel or needs a copy of the input"
INDEX_ERRORS = "which exception torch raises for an index out of range depends on the data"
AN_INDEX_ERROR = "an index out of range is an IndexError"
KEPT = "the value does not depend on the memory layout or emptiness of the input"
DIFFERENT = {
    "pow(x, 1j)": ("float16", NO_COMPLEX_HALF),
    "complex(x, y)": ("float16", NO_COMPLEX_HALF),
    "complex(x, s)": ("float16", NO_COMPLEX_HALF),
    "view_as_complex(torch.stack((x, y), -1))": ("float16", NO_COMPLEX_HALF),
    "result_type(x, 1j)": ("float16", NO_COMPLEX_HALF),
    "is_conj(x.conj())": ("complex64 complex128", "conj() is computed at once, so that no tensor is a lazy conjugate"),
    "clamp(x, -1, 1)": ("uint8", SATURATES),
    "clamp(x, 1, -1)": ("uint8", SATURATES),
    "clip(x, -1, 1)": ("uint8", SATURATES),
    "kthvalue(x, 2)": ("int8 int16 int32 int64 uint8", TIES),
    "kthvalue(x, 1, 0)": ("int8 int16 int32 int64 uint8 expanded", TIES),
    "kthvalue(x, 2, dim=1, keepdim=True)": ("int8 int16 int32 int64 uint8", TIES),
    "kthvalue(v, 3)": ("int8 int16 int32 int64 uint8 expanded", TIES),
    "topk(v, 3)": ("int8 int16 int32 int64 uint8 expanded", TIES),
    "topk(x, 2)": ("int8 int16 int32 int64 uint8", TIES),
    "topk(x, 1, 0)": ("int8 int16 int32 int64 uint8 expanded", TIES),
    "topk(x, 2, dim=1, largest=False)": ("int8 int16 int32 int64 uint8", TIES),
    "histc(x, bins=3, min=0, max=2)": ("float16", ROUNDS_MORE),
    "addbmm(q, b[:, :2, :].transpose(1, 2), b[:, :2, :])": ("float16 bfloat16", ROUNDS_MORE),
    "addbmm(q, b.transpose(1, 2), b, beta=2, alpha=3)": ("float16 bfloat16", ROUNDS_MORE),
    "q.matrix_exp()": ("float16 bfloat16", "torch returns NaN; here it is an error"),
    "linalg.matrix_exp(q)": ("float16 bfloat16", "torch returns NaN; here it is an error"),
    "flip(x, 0)": ("", "torch takes one number only in the method"),
    "convolution(f, torch.ones(3, 4, 2, 3, dtype=f.dtype), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)": (
        "complex64 complex128", WORKS,
    ),
    "special.round(x)": ("int8 int16 int32 int64 uint8", WORKS),
    "median(x, 0)": ("expanded", "torch reads memory that is not the tensor's"),
    "nanmedian(x, 0)": ("expanded", "torch reads memory that is not the tensor's"),
    "take_along_dim(x, i)": ("transposed expanded", WORKS),
    "take_along_dim(x, i, 0)": ("zero-dim", WORKS),
    "conv_tbc(b, torch.ones(2, 4, 5, dtype=b.dtype), torch.ones(5, dtype=b.dtype), 1)": ("transposed expanded", WORKS),
    "linalg.inv_ex(q)": ("expanded", "what stands in the inverse of a singular matrix is undefined"),
    "bincount(counts, weights=v)": ("no rows", "sums of no weights have their dtype"),
    "constant_pad_nd(x, (-1, 1), value=0.5)": ("no columns", WORKS),
    "gather(x, 0, x)": ("no rows, no columns", "torch does not look at the dtype of an empty index"),
    "index_fill(x, 1, iv, 0.5)": ("no columns", AN_INDEX_ERROR),
    "index_add(x, 0, iv, y)": ("zero-dim, one element", INDEX_ERRORS),
    "index_add(x, 0, iv, y, alpha=2)": ("zero-dim, one element", INDEX_ERRORS),
    "index_add(x, dim=0, index=iv, source=y)": ("zero-dim, one element", INDEX_ERRORS),
    "index_select(x, 1, iv)": ("no columns, one element", AN_INDEX_ERROR),
    "index_select(s, 0, iv[:1] * 0)": ("no rows", "torch's error names the scalar"),
    "x.index_put((iv, iv), torch.ones(3, dtype=x.dtype), True)": ("no rows, one element", AN_INDEX_ERROR),
    "embedding(q, iv, 1)": ("no columns", AN_INDEX_ERROR),
    "pixel_unshuffle(f, 2)": ("no rows, no columns", "torch returns the empty input in its old shape"),
    "pixel_unshuffle(f, 3)": ("no rows, no columns", "torch returns the empty input in its old shape"),
    "repeat_interleave(iv)": ("zero-dim", WORKS),
    "x.view(torch.uint8)": ("no rows, no columns", KEPT),
    "x.view(torch.int32)": ("no rows, no columns", KEPT),
    "x.view(torch.float16)": ("no rows, no columns", KEPT),
    "x.stride()": ("no rows, no columns", KEPT),
    "x.stride(0)": ("no rows, no columns", KEPT),
    "x.t().stride()": ("no rows, no columns", KEPT),
    "empty_like(b.permute(2, 0, 1)).stride()": ("no rows, no columns", KEPT),
    "x[1:, 1:].storage_offset()": ("one element", KEPT),
    "addmv(s, x, r)": ("no rows, no columns", "torch returns the input in its old shape"),
    "adaptive_avg_pool1d(g, 1)": ("no columns", "the mean over nothing is an error for every size"),
    "conv_transpose1d(g, torch.ones(4, 3, 2, dtype=g.dtype))": ("no columns", WORKS),
    "conv_transpose2d(f, torch.ones(4, 3, 2, 3, dtype=f.dtype))": ("no columns", WORKS),
    "conv_transpose3d(f[:, None], torch.ones(1, 3, 2, 2, 2, dtype=f.dtype))": ("no columns", WORKS),
    "x.clone().resize_(2, 3)": ("zero-dim, no rows, no columns, one element", "the new elements are undefined"),
    "x.clone().resize_((12,))": ("zero-dim, no rows, no columns, one element", "the new elements are undefined"),
    "linalg.cond(q)": ("no rows, no columns", "the norms of an empty matrix"),
    "linalg.cond(q, 1)": ("no rows, no columns", "the norms of an empty matrix"),
    "linalg.matrix_norm(x, 1)": ("no columns", "the norms of an empty matrix"),
    "linalg.norm(x, 2)": ("no rows, no columns", "the norms of an empty matrix"),
    "linalg.vander(v, N=3)": ("zero-dim", WORKS),
    "batch_norm(f, None, None, None, None, True, 0.1, 1e-5, False)": ("zero-dim", "torch's error is an accident"),
    "group_norm(f, 2)": ("zero-dim", "a wrong number of dimensions is a RuntimeError"),
    "group_norm(f, 4, torch.ones(4, dtype=f.dtype) * 2, torch.ones(4, dtype=f.dtype), 1e-3)": (
        "zero-dim", "a wrong number of dimensions is a RuntimeError",
    ),
    "instance_norm(f, None, None, None, None, True, 0.1, 1e-5, False)": ("zero-dim", "a wrong number of dimensions is a RuntimeError"),
    "rms_norm(x, (4,))": ("zero-dim", "a wrong number of dimensions is a RuntimeError"),
    "rms_norm(x, (4,), torch.ones(4, dtype=x.dtype) * 2, 1e-3)": ("zero-dim", "a wrong number of dimensions is a RuntimeError"),
    "ldexp": ("", "computed in the result dtype; torch rounds 2**other to the dtype of `other` first"),
}  # fmt: skip

# Elementwise calls whose results torch does not lay out in memory as their input.
FREE_STRIDES = """isreal(x); igamma(x, y); igammac(x, y); pow(2, x); pow(2.5, x); addcmul(x, r, c, value=0.5); complex(x, y);
complex(x, s); masked_fill(x, m, 1); masked_fill(x, m, 0.5); masked_fill(x, mv, 1); masked_fill(x, m, s); mvlgamma(pos + 1, 2);
mvlgamma(pos + 1, p=1); polar(pos, y); where(m); fill(x, 2); fill(x, 0.5); fill(x, s)""".replace("\n", " ").split("; ")

# Functions in several steps here (or in torch), so that the last one recorded differs, and nodes of in-place activations.
OTHER_NODES = """
asarray celu_ chain_matmul combinations conv_tbc cumulative_trapezoid embedding_renorm_ frobenius_norm histogram
histogramdd linalg.tensorinv native_channel_shuffle nuclear_norm pairwise_distance scatter selu_ set_ special.ndtr
special.round threshold_ trapezoid trapz vander
""".split()


def different(call: str, where: str) -> bool:
    """Whether the outcome of a call is known to differ for this dtype, layout or kind of shape."""
    entry = DIFFERENT.get(call)
    return entry is not None and (not entry[0] or where in entry[0])
