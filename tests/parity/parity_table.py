"""Every public operation with calls of it: the one table that the tests of this folder are generated from.

A line is `name: call; call; ...`. A call that starts with `(` is that function with these arguments; any other is an
expression. Free names are the module's functions and these tensors, which a test draws in the dtype and memory layout
that it is about:

    x y z (3, 4)   r (4)   c (3, 1)   s ()   v u (6)   q p (4, 4), well-conditioned q   b (2, 3, 4)   d (2, 4, 5)
    f (2, 4, 6, 6)   g (2, 4, 9)   pos (3, 4) above 0   unit (3, 4) within (0, 1)
    i (3, 4) int64 in 0..2   iv (3) int64 in 0..2   counts (6) int64 >= 0   m (3, 4) bool   mv (4) bool

From `(x, ...)` also follow the method `x.name(...)`, the in-place `x.name_(...)` and `name(..., out=...)`, wherever torch
has them.
"""

from __future__ import annotations

ELEMENTWISE_UNARY = """
abs absolute acos acosh angle arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh bitwise_not ceil
conj_physical cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 fix floor frac i0 isfinite isinf isnan isneginf
isposinf isreal lgamma log log10 log1p log2 logical_not nan_to_num neg negative positive rad2deg reciprocal relu round
rsqrt selu sgn sigmoid sign signbit sin sinc sinh sqrt square tan tanh trunc logit celu hardshrink
""".split()

ELEMENTWISE_BINARY = """
add arctan2 atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign div divide eq
float_power floor_divide fmax fmin fmod gcd ge greater greater_equal gt heaviside hypot igamma igammac lcm ldexp le less
less_equal logaddexp logaddexp2 logical_and logical_or logical_xor lt maximum minimum mul multiply ne nextafter not_equal
pow remainder rsub sub subtract true_divide xlogy
""".split()

OPERATORS = "+ - * / // % ** == != < <= > >= & | ^ << >>".split()

# Operations with parameters beside one or two tensors, also elementwise.
ELEMENTWISE = """
add: (x, y, alpha=2); (x, s); (x, r); (x, c); (x, 2.5); (c, r)
addcdiv: (x, y, pos); (x, y, pos, value=2); (x, r, pos, value=0.5)
addcmul: (x, y, z); (x, y, z, value=2); (x, r, c, value=0.5); (x, s, y)
celu: (x); (x, 0.5); (x, alpha=2.0)
clamp: (x, -1, 1); (x, min=0); (x, max=1); (x, 0.5); (x, y, z); (x, min=y); (x, max=r); (x, -0.5, 0.5); (x, 1, -1); (x)
clamp_max: (x, 1); (x, y); (x, 0.5)
clamp_min: (x, 0); (x, y); (x, 0.5)
clip: (x, -1, 1); (x, min=0); (x, y, z)
complex: (x, y); (x, s)
div: (x, pos, rounding_mode="floor"); (x, pos, rounding_mode="trunc"); (x, 2, rounding_mode="floor"); (x, pos, rounding_mode="down")
divide: (x, pos, rounding_mode="trunc")
frexp: (x)
hardshrink: (x, 0.25); (x, lambd=1.0)
lerp: (x, y, 0.25); (x, y, z); (x, y, s); (x, y, 0.75)
logit: (unit); (unit, 0.2); (x, eps=0.1)
masked_fill: (x, m, 1); (x, m, 0.5); (x, mv, 1); (x, m, s)
mvlgamma: (pos + 1, 2); (pos + 1, p=1)
nan_to_num: (x, 1.0); (x, nan=0.5, posinf=2.0, neginf=-2.0)
polar: (pos, y)
polygamma: (1, pos); (0, pos); (2, pos)
pow: (x, 2); (x, 0.5); (x, 3); (2, x); (pos, y); (x, s); (x, 0); (x, -1); (2.5, x); (x, 1j)
prelu: (b, torch.ones(3, dtype=b.dtype) * 2); (x, torch.ones(1, dtype=x.dtype)); (v, torch.ones(1, dtype=v.dtype))
real: (x)
imag: (x)
relu_: relu_(x.clone())
selu_: selu_(x.clone())
celu_: celu_(x.clone()); celu_(x.clone(), 0.5)
round: (x); (x, decimals=1); (x * 100, decimals=-1)
true_divide: (input=x, other=y)
sub: (x, y, alpha=2); (x, r); (x, 2)
subtract: (x, c)
rsub: (x, y, alpha=2); (x, 2)
threshold: (x, 0.5, 2); (x, 1, 0); (x, threshold=0.1, value=0.2)
threshold_: threshold_(x.clone(), 0.5, 2.0)
where: (m, x, y); (m, x, 0); (m, 1.5, x); (m, x, s); (mv, x, r); (m); (x > 0, 1, 0); (m, 1.0, 2)
isclose: (x, y); (x, x); (x, y, rtol=1.0); (x, y, atol=1.0, equal_nan=True); (x, r)
allclose: (x, x); (x, y); (x, y, 1.0, 100.0)
equal: (x, x); (x, y); (x, r)
fill: (x, 2); (x, 0.5); (x, s)
clone: (x); x.clone(memory_format=torch.contiguous_format)
"""

REDUCTIONS = """
all: (x); (x, 0); (x, 1, keepdim=True); (x, dim=-1); (b, (0, 2)); (b, dim=())
any: (x); (x, 0); (x, 1, keepdim=True); (x, dim=-1); (b, (0, 2)); (b, dim=())
amax: (x); (x, 0); (b, (0, 2)); (b, (0, 2), keepdim=True); (x, dim=-1)
amin: (x); (x, 0); (b, (0, 2)); (b, (0, 2), keepdim=True); (x, dim=-1)
aminmax: (x); (x, dim=1); (x, dim=0, keepdim=True)
argmax: (x); (x, 0); (x, 1, True); (x, dim=-1)
argmin: (x); (x, 0); (x, 1, True); (x, dim=-1)
count_nonzero: (x); (x, 0); (b, (0, 1)); (x, dim=1)
dist: (x, y); (x, y, 1); (x, y, p=3); (x, r, 0); (x, y, float("inf"))
logsumexp: (x, 0); (x, 1, keepdim=True); (b, (0, 1)); (x, dim=-1)
max: (x); (x, 0); (x, 1, True); (x, dim=-1, keepdim=True); (x, y)
mean: (x); (x, 0); (x, 1, True); (b, (0, 1)); (x, dtype=torch.float64); (x, dim=-1, keepdim=True, dtype=torch.float32)
median: (x); (x, 0); (x, 1, True); (v)
min: (x); (x, 0); (x, 1, True); (x, dim=-1, keepdim=True); (x, y)
mode: (x); (x, 0); (x, 1, True); (v)
nanmean: (x); (x, 0); (x, 1, keepdim=True)
nanmedian: (x); (x, 0); (x, 1, True)
nanquantile: (x, 0.25); (x, 0.5, 1); (x, 0.5, dim=0, keepdim=True)
nansum: (x); (x, 0); (x, 1, keepdim=True); (x, dtype=torch.float64)
norm: (x); (x, 1); (x, 2, 0); (x, dim=1); (x, float("inf")); (x, "fro"); (x, p="nuc"); (x, 3, 1, True); \
(b, 2, (0, 2)); (x, dtype=torch.float64)
prod: (x); (x, 0); (x, 1, True); (x, dtype=torch.float64); (v, dim=0)
quantile: (x, 0.25); (x, torch.tensor([0.1, 0.5], dtype=x.dtype), 1); (x, 0.5, dim=0, keepdim=True); \
(x, 0.3, interpolation="nearest"); (x, 0.3, 1, interpolation="lower"); (x, 0.3, interpolation="higher"); \
(x, 0.3, interpolation="midpoint")
std: (x); (x, 0); (x, 1, keepdim=True); (x, dim=(0, 1)); (x, False); (x, 1, False); (x, 1, correction=0); \
(x, unbiased=False); (x, correction=2)
std_mean: (x); (x, 0); (x, 1, keepdim=True); (x, False); (x, 1, correction=0)
sum: (x); (x, 0); (x, 1, True); (b, (0, 2)); (b, dim=(1, 2), keepdim=True); (x, dtype=torch.float32); \
(x, -1, dtype=torch.int64); (b, ()); (v)
var: (x); (x, 0); (x, 1, keepdim=True); (x, dim=(0, 1)); (x, False); (x, 1, False); (x, 1, correction=0); (x, unbiased=False)
var_mean: (x); (x, 0); (x, 1, keepdim=True); (x, False); (x, 1, correction=0)
sum_to_size: x.sum_to_size(1, 4); x.sum_to_size((3, 1)); b.sum_to_size(3, 4)
trace: (q); (x)
softmax: (x, 0); (x, 1); (x, -1, dtype=torch.float64); (x, dim=1); (b, 1)
log_softmax: (x, 0); (x, 1); (x, -1, dtype=torch.float64); (x, dim=1); (b, 1)
cumsum: (x, 0); (x, 1); (x, dim=-1, dtype=torch.float64); (v, 0)
cumprod: (x, 0); (x, 1); (x, dim=-1, dtype=torch.float64); (v, 0)
cummax: (x, 0); (x, dim=1); (v, 0)
cummin: (x, 0); (x, dim=1); (v, 0)
logcumsumexp: (x, 0); (x, 1); (v, dim=0)
kthvalue: (x, 2); (x, 1, 0); (x, 2, dim=1, keepdim=True); (v, 3)
topk: (x, 2); (x, 1, 0); (x, 2, dim=1, largest=False); (v, 3)
sort: (v); (x, 0); (x, dim=1, descending=True); (x, stable=True); (x, stable=True, dim=0)
argsort: (v); (x, 0); (x, dim=1, descending=True); (x, stable=True)
msort: (x); (v)
unique: (v); (v, return_inverse=True); (v, return_inverse=True, return_counts=True); (x, dim=0); (v, sorted=True)
unique_consecutive: (v); (v, return_inverse=True); (v, return_inverse=True, return_counts=True); (x, dim=0)
histc: (x, 4, -2, 2); (x, bins=5); (x, bins=3, min=0, max=2)
histogram: (x, 4); (v, 3, range=(-1.0, 2.0)); (v, torch.tensor([-3.0, 0.0, 3.0], dtype=v.dtype))
histogramdd: (x[:, :2], [2, 2])
bincount: (counts); (counts, weights=v); (counts, minlength=20); (x)
corrcoef: (x); (v)
cov: (x); (v); (x, correction=0); (x, fweights=torch.tensor([1, 2, 1, 3])); (x, aweights=torch.tensor([1.0, 0.5, 2.0, 1.0]))
diff: (x); (v, 2); (x, dim=0); (x, prepend=c); (x, append=c, n=1)
trapezoid: (x); (x, dim=0); (x, y); (x, dx=0.5)
trapz: (x); (x, y); (x, dx=0.5, dim=0)
cumulative_trapezoid: (x); (x, y); (x, dx=0.5, dim=0)
renorm: (x, 2, 0, 1.0); (x, 1, 1, 2.0)
bucketize: (x, torch.tensor([-1, 0, 1])); (v, torch.tensor([-1.5, 0.0, 1.5]), right=True); \
(v, v.sort().values, out_int32=True); (2, torch.tensor([1, 2, 3]))
searchsorted: (v.sort().values, x); (x.sort(1).values, y); (v.sort().values, v, right=True); \
(v.sort().values, v, side="left", out_int32=True); (v.sort().values, 1)
isin: (x, v); (x, 1); (1, x); (x, v, invert=True); (x, v, assume_unique=False)
"""

SHAPES = """
adjoint: (x); (b)
argwhere: (x); (s)
as_strided: (x, (2, 2), (1, 2)); (x, (3,), (4,), 1); x.as_strided((2, 3), (4, 1), storage_offset=2)
atleast_1d: (s); (x); (s, x); ([s, v])
atleast_2d: (s); (v); (b); (s, x)
atleast_3d: (s); (v); (x); (b); (s, x)
block_diag: (x, q); (s, v, x); ()
broadcast_shapes: ((3, 1), (1, 4)); ((2,), (3,)); (3, (2, 3))
broadcast_tensors: (r, c); (s, x)
broadcast_to: (r, (3, 4)); (c, (3, 4)); (x, (2, 3, 4)); (x, (3, 5))
cartesian_prod: (v, r); (v)
cat: ((x, y)); ((x, y), 1); ([x, y, z], dim=-1); ((b, b), 2); ((x, torch.empty(0, dtype=x.dtype))); ((x, r)); ([])
channel_shuffle: (f, 2)
native_channel_shuffle: (f, 2)
chunk: (x, 2); (v, 4); (x, 2, 1); (x, chunks=3, dim=1)
column_stack: ((x, y)); ((v, u)); ((s, s))
combinations: (v); (v, 3); (v, 2, True); (v, r=1, with_replacement=False)
concat: ((x, y)); ((x, y), dim=1)
concatenate: ((x, y)); ((x, y), dim=1)
conj: (x)
constant_pad_nd: (x, (1, 1)); (x, (1, 0, 2, 1), 2); (x, (-1, 1), value=0.5)
detach: (x)
diag: (v); (x); (x, 1); (q, -1); (v, diagonal=1); (b)
diag_embed: (v); (x); (x, 1); (x, offset=-1, dim1=0, dim2=2)
diagflat: (v); (x); (x, 1); (s)
diagonal: (x); (x, 1); (b, 0, 1, 2); (b, offset=-1, dim1=0, dim2=2)
diagonal_scatter: (q, r); (x, iv.to(x.dtype)); (q, r[:3], 1)
dsplit: (b, 2); (b, [1, 2])
dstack: ((x, y)); ((v, u)); ((b, b))
expand: x.expand(2, 3, 4); c.expand(3, 4); c.expand(-1, 5); r.expand((3, 4)); x.expand(3, 5); s.expand(2)
expand_as: c.expand_as(x); x.expand_as(c)
flatten: (b); (b, 1); (b, 0, 1); (s); (b, start_dim=1, end_dim=2); (b, 2, 1)
flip: (x, 0); (x, (0, 1)); (b, dims=[0, 2]); (x, (0, 0)); (x, [])
fliplr: (x); (v)
flipud: (x); (v); (s)
gather: (x, 0, i); (x, 1, i); (x, dim=-1, index=i); (x, 0, i + 7); (x, 0, x)
hsplit: (x, 2); (v, [2, 4]); (x, 3)
hstack: ((x, y)); ((v, u)); ((s, s))
index_add: (x, 0, iv, y); (x, 0, iv, y, alpha=2); (x, dim=0, index=iv, source=y)
index_copy: (x, 0, iv, y); (x, 0, iv, y[:2])
index_fill: (x, 0, iv, 1); (x, 0, iv, s); (x, 1, iv, 0.5)
index_put: (x, (iv,), y); (x, (iv, iv), s); (x, (iv,), r, accumulate=True); (x, (m,), s); \
x.index_put((iv, iv), torch.ones(3, dtype=x.dtype), True)
index_select: (x, 0, iv); (x, 1, iv); (v, 0, iv.int()); (x, 0, i); (x, dim=1, index=iv[:0]); (s, 0, iv[:1] * 0)
kron: (x, q); (v, r); (s, x)
masked_scatter: (x, m, y); (x, mv, y); (x, m, v)
masked_select: (x, m); (x, mv); (x, x)
meshgrid: (v, r); (v, r, indexing="ij"); (v, r, indexing="xy"); ([v, r], indexing="ij")
moveaxis: (b, 0, 2); (b, (0, 1), (2, 0)); (b, 0, 5)
movedim: (b, 0, 2); (b, (0, 1), (2, 0)); (b, source=1, destination=0)
narrow: (x, 0, 1, 2); (x, 1, -2, 2); (x, 0, 2, 5); (x, dim=1, start=0, length=0); (x, 0, torch.tensor(1), 2)
nonzero: (x); (x, as_tuple=True); (m); (s); (b)
permute: (b, (2, 0, 1)); (b, (-1, 0, 1)); b.permute(2, 1, 0); (b, (0, 0, 1)); (b, dims=(0, 2, 1))
pixel_shuffle: (f, 2)
pixel_unshuffle: (f, 2); (f, 3)
put: (x, iv, r[:3]); (x, iv, r[:3], accumulate=True); (x, iv * 100, r[:3])
ravel: (x); (s)
repeat: x.repeat(2, 1); x.repeat(2, 1, 2); x.repeat((1, 2)); x.repeat(2); s.repeat(3); x.repeat(0, 1)
repeat_interleave: (x, 2); (x, 2, 1); (x, iv, 0); (iv); (x, 2, dim=0); (x, iv, dim=0, output_size=int(iv.sum()))
reshape: (x, (4, 3)); (x, (-1,)); x.reshape(2, -1); (x, (5, -1)); (x, shape=(12,))
reshape_as: x.reshape_as(q[:3]); x.reshape_as(q)
resolve_conj: (x); (x.conj())
resolve_neg: (x)
roll: (x, 1); (x, 1, 0); (x, (1, -1), (0, 1)); (x, shifts=2, dims=1); (x, (1, 2), 0); (v, 7)
rot90: (x); (x, 2); (x, -1, (1, 0)); (b, 1, [1, 2])
row_stack: ((x, y)); ((v, u))
scatter: (x, 0, i, y); (x, 0, i, 2); (x, 1, i, y, reduce="add"); (x, 1, i, 2, reduce="multiply"); \
(x, dim=0, index=i, src=y); (x, dim=0, index=i, value=1.5)
scatter_add: (x, 0, i, y); (x, dim=1, index=i, src=y)
scatter_reduce: (x, 0, i, y, "sum"); (x, 1, i, y, "prod"); (x, 0, i, y, "mean"); (x, 0, i, y, "amax"); \
(x, 0, i, y, "amin", include_self=False); (x, 0, i, y, reduce="mean", include_self=False)
select: (x, 0, 1); (x, 1, -1); (x, dim=0, index=2); (x, 0, 3); (s, 0, 0)
select_scatter: (x, r, 0, 1); (x, iv.to(x.dtype), 1, -1)
slice_scatter: (x, y[:2], 0, 1); (x, y[:, ::2], 1, 0, 4, 2); (x, y, start=0)
split: (x, 2); (x, [1, 2]); (x, 2, 1); (x, [1, 3], dim=1); (x, [1, 1])
split_with_sizes: (x, [1, 2]); (x, [1, 3], 1); (x, [1, 1])
squeeze: (c); (c, 1); (c, 0); (x); (torch.stack((c, c)), (1, 2)); (s, 0); (x, 2)
stack: ((x, y)); ((x, y), 1); ((x, y), dim=-1); ((s, s)); ((x, r)); ([])
swapaxes: (b, 0, 2); (x, 0, 1); (x, axis0=0, axis1=1)
swapdims: (b, 0, 2); (b, dim0=1, dim1=2)
t: (x); (v); (b); (s)
take: (x, iv); (x, i); (x, i - 12); (x, i + 100)
take_along_dim: (x, i, 0); (x, i, dim=1); (x, i)
tensor_split: (x, 2); (v, 4); (x, (1, 2), dim=1); (v, torch.tensor([1, 3])); (x, 3, 1)
tile: (x, (2,)); (x, dims=(2, 1)); (x, (2, 1, 2)); x.tile(2, 1); (s, (3,))
transpose: (x, 0, 1); (b, -1, 0); (s, 0, 0); (x, dim0=0, dim1=1); (x, 0, 2)
tril: (x); (q, 1); (b, -1); (v); (x, diagonal=-1)
triu: (x); (q, 1); (b, -1); (v); (x, diagonal=-1)
unbind: (x); (x, 1); (b, dim=-1)
unflatten: (x, 1, (2, 2)); (v, 0, (2, -1)); (v, 0, (4, 2)); (x, dim=0, sizes=(3, 1))
unfold: v.unfold(0, 3, 1); x.unfold(1, 2, 2); v.unfold(0, 7, 1)
unsqueeze: (x, 0); (x, -1); (s, 0); (x, dim=1); (x, 3)
vander: (v); (v, 3); (v, N=4, increasing=True)
view: x.view(4, 3); x.view(-1); x.view((2, 6)); x.view(5, 3); x.view(torch.uint8); x.view(torch.int32); x.view(torch.float16)
view_as: x.view_as(y); x.view_as(q)
view_as_complex: (torch.stack((x, y), -1)); (x)
view_as_real: (x)
vsplit: (x, 3); (q, 2); (q, [1, 3]); (v, 2)
vstack: ((x, y)); ((v, u)); ((s, s))
is_same_size: x.is_same_size(y); x.is_same_size(r)
contiguous: x.contiguous(); x.t().contiguous()
size: x.size(); x.size(1); x.size(dim=-1); x.size(2)
stride: x.stride(); x.stride(0); x.t().stride()
storage_offset: x.storage_offset(); x[1:, 1:].storage_offset()
is_contiguous: x.is_contiguous(); x.t().is_contiguous(); f.is_contiguous(memory_format=torch.channels_last)
numel: (x); (s)
nelement: x.nelement()
dim: x.dim(); s.dim()
ndimension: x.ndimension()
fill_diagonal_: x.clone().fill_diagonal_(2); q.clone().fill_diagonal_(0.5, wrap=True)
element_size: x.element_size()
tolist: x.tolist(); s.tolist()
item: s.item(); x[0, 0].item(); x.item()
"""

PRODUCTS = """
frobenius_norm: (x, 1); (x, (0, 1), True)
nuclear_norm: (x); (x, True); (b, (0, 2))
lu_unpack: (*linalg.lu_factor(q))
addbmm: (q, b[:, :2, :].transpose(1, 2), b[:, :2, :]); (q, b.transpose(1, 2), b, beta=2, alpha=3)
addmm: (q, x.t(), y); (r, x.t(), y); (q, x.t(), y, beta=2, alpha=3); (s, x.t(), y); (q, x, y)
addmv: (x.sum(1), x, r); (c[:, 0], x, r, beta=2, alpha=3); (s, x, r)
addr: (x, c[:, 0], r); (x, c[:, 0], r, beta=2, alpha=3); (x, r, r)
baddbmm: (d[:, :3, :], b, d); (d[:, :3, :], b, d, beta=2, alpha=3)
bmm: (b, d); (b, b); (x, q)
cdist: (b, b); (x, y, p=1); (x, y, 2.0); (x, y, p=float("inf")); (x, y, p=0.0); (x, y, 3.0)
chain_matmul: (x, q, p)
cosine_similarity: (x, y); (x, y, dim=0); (x, r, 1, 1e-6)
dot: (v, u); (v, r); (x, y)
einsum: ("ij,kj->ik", x, y); ("ii", q); ("bij,bjk->bik", b, d); ("ij->ji", x); ("i,j", v, r); ("...j,j", b, r); ("ij,jk", x, y)
ger: (v, r)
inner: (x, y); (v, u); (s, x); (x, r)
matmul: (x, q); (b, d); (x, r); (r, q); (v, u); (b, q); (x, y); (s, x)
mm: (x, q); (x, y); (b, d)
mv: (x, r); (x, v)
outer: (v, r); (x, r)
pairwise_distance: (x, y); (x, y, p=1.0); (x, y, 2.0, 1e-6, True)
pdist: (x); (x, 1.0); (x, p=float("inf"))
tensordot: (x, y, 2); (x, q, 1); (b, d, ([2], [1])); (b, d, dims=([0, 2], [0, 1]))
vdot: (v, u)
cross: x[:, :3].cross(y[:, :3]); x.cross(y, 0); x[:, :3].cross(y[:, :3], dim=-1)
det: q.det(); x.det()
inverse: q.inverse()
logdet: q.logdet()
slogdet: q.slogdet()
matrix_power: q.matrix_power(3); q.matrix_power(-1); q.matrix_power(0)
matrix_exp: q.matrix_exp()
pinverse: x.pinverse()
"""

CREATION = """
arange: (5); (1, 7, 2); (0.0, 1.0, 0.25); (5, dtype=torch.float32); (3, 0, -1); (5, 0); (0, 5, 0); (2.5); \
(start=1, end=4); (4, dtype=torch.bfloat16)
as_tensor: ([1.0, 2.0]); (x); (x, dtype=torch.float32); (3); ([[1, 2], [3, 4]])
asarray: ([1.0, 2.0]); (x); (x, copy=True); ([1, 2], dtype=torch.float64)
empty: empty(2, 3).shape; empty((2, 3), dtype=torch.int8).dtype; empty(0).shape; empty(2, -1)
empty_like: empty_like(x).shape; empty_like(x).dtype; empty_like(b.permute(2, 0, 1)).stride(); empty_like(x, dtype=torch.float16).dtype
empty_strided: empty_strided((2, 3), (1, 2)).stride()
eye: (3); (2, 4); (3, dtype=torch.int64); (0); (-1); (3, 2, dtype=torch.bool)
frombuffer: (bytearray(b"abcdefgh"), dtype=torch.int16); (bytearray(b"abcdefgh"), dtype=torch.uint8, offset=2, count=3)
full: ((2, 3), 7); ((2,), 0.5); ((), True); ((2,), 1j); ((2,), 3, dtype=torch.float16); (size=(2,), fill_value=1)
full_like: (x, 1); (x, 0.5); (x, 2, dtype=torch.int64)
linspace: (0, 1, 5); (-2, 3, steps=4); (0, 10, 11, dtype=torch.int64); (1, 2, 1); (0, 1, 0); (0, 1, -1); (torch.tensor(0.0), 1, 3)
logspace: (0, 2, 3); (0, 3, 4, base=2); (0, 2, steps=3, dtype=torch.float32); (0, 1, 0)
ones: (2, 3); ((2, 3)); (2, dtype=torch.bool); (); ([2]); (-1)
ones_like: (x); (x, dtype=torch.int64); (b.permute(2, 0, 1))
range: (0, 4); (1, 2, 0.5); (3, 1)
scalar_tensor: (2.0); (2, dtype=torch.int64)
tensor: ([1, 2]); (2.5); (True); ([[1.0, 2], [3, 4]]); ([1, 2.5, True]); ([1j, 2]); ([]); ([[1], [2, 3]]); \
([1, 2], dtype=torch.bfloat16); ("a"); ([None])
tril_indices: (3, 4); (3, 3, -1); (2, 3, offset=1, dtype=torch.int32)
triu_indices: (3, 4); (3, 3, -1); (2, 3, offset=1, dtype=torch.int32)
zeros: (2, 3); ((2, 3)); (2, dtype=torch.bool); (); ([2]); (-1)
zeros_like: (x); (x, dtype=torch.int64); (b.permute(2, 0, 1))
new_empty: x.new_empty(2, 3).shape; x.new_empty((2,)).dtype
new_empty_strided: x.new_empty_strided((2, 3), (1, 2)).stride()
new_full: x.new_full((2,), 3); x.new_full((2,), 0.5)
new_ones: x.new_ones(2, 3); x.new_ones((2,), dtype=torch.int8)
new_tensor: x.new_tensor([1, 2]); x.new_tensor(1.5); x.new_tensor([1], dtype=torch.float64)
new_zeros: x.new_zeros(2, 3); x.new_zeros(())
new: x.new(2, 3).shape; x.new([1, 2])
can_cast: (x.dtype, torch.float32); (x.dtype, torch.int64); (torch.float64, x.dtype); (torch.bool, x.dtype)
promote_types: (x.dtype, torch.float16); (x.dtype, torch.int16); (x.dtype, torch.bfloat16); (x.dtype, torch.uint8)
result_type: (x, 1); (x, 1.0); (x, 1j); (x, True); (1, 2.0); (x, s); (x, torch.tensor(1.0)); (s, 1.0)
is_complex: (x)
is_conj: (x); (x.conj())
is_floating_point: (x)
is_neg: (x)
is_nonzero: (s); (x); (v[:1]); (v[:0])
is_signed: x.is_signed()
is_tensor: (x); ([1])
type: x.type(); x.type(torch.float32); x.type("torch.DoubleTensor")
type_as: x.type_as(i)
to: x.to(torch.float64); x.to(i); x.to("cpu"); x.to("cpu", torch.int32); x.to(torch.int8, copy=True); x.to(dtype=torch.float16)
get_device: x.get_device()
is_pinned: x.is_pinned()
is_shared: x.is_shared()
is_inference: x.is_inference()
copy_: x.clone().copy_(y); x.clone().copy_(r); x.clone().copy_(s); x.clone().copy_(i)
zero_: x.clone().zero_()
resize_: x.clone().resize_(2, 3); x.clone().resize_((12,)); x.clone().resize_as_(q[:2])
set_: torch.empty(0, dtype=x.dtype).set_(x)
tril_: x.clone().tril_(); x.clone().tril_(1)
as_subclass: type(x.as_subclass(torch.Tensor)) is torch.Tensor
"""

CASTS = "float double half bfloat16 int long short char byte bool cfloat cdouble cpu".split()

NETWORK = """
batch_norm: (f, None, None, None, None, True, 0.1, 1e-5, False); \
(f, torch.ones(4, dtype=f.dtype), torch.zeros(4, dtype=f.dtype), None, None, True, 0.1, 1e-5, False)
group_norm: (f, 2); (f, 4, torch.ones(4, dtype=f.dtype) * 2, torch.ones(4, dtype=f.dtype), 1e-3)
instance_norm: (f, None, None, None, None, True, 0.1, 1e-5, False)
layer_norm: (x, (4,)); (x, [3, 4], eps=1e-3); (x, (4,), torch.ones(4, dtype=x.dtype) * 2, torch.ones(4, dtype=x.dtype)); (x, (5,))
rms_norm: (x, (4,)); (x, (4,), torch.ones(4, dtype=x.dtype) * 2, 1e-3)
adaptive_avg_pool1d: (g, 3); (g, 1)
adaptive_max_pool1d: (g, 3)
avg_pool1d: (g, 3); (g, 2, 1, 1); (g, kernel_size=3, stride=2, ceil_mode=True); (g, 3, count_include_pad=False, padding=1)
conv1d: (g, torch.ones(3, 4, 2, dtype=g.dtype)); (g, torch.ones(4, 2, 3, dtype=g.dtype), torch.ones(4, dtype=g.dtype), 2, 1, 2, 2)
conv2d: (f, torch.ones(3, 4, 2, 3, dtype=f.dtype)); (f, torch.ones(4, 2, 3, 3, dtype=f.dtype), None, 2, 1, 1, 2); \
(f, torch.ones(3, 4, 3, 3, dtype=f.dtype), padding="same")
conv3d: (f[:, None], torch.ones(3, 1, 2, 2, 2, dtype=f.dtype))
conv_tbc: (b, torch.ones(2, 4, 5, dtype=b.dtype), torch.ones(5, dtype=b.dtype)); \
(b, torch.ones(2, 4, 5, dtype=b.dtype), torch.ones(5, dtype=b.dtype), 1)
conv_transpose1d: (g, torch.ones(4, 3, 2, dtype=g.dtype)); (g, torch.ones(4, 3, 2, dtype=g.dtype), None, 2, 1, 1)
conv_transpose2d: (f, torch.ones(4, 3, 2, 3, dtype=f.dtype)); (f, torch.ones(4, 2, 3, 3, dtype=f.dtype), None, 2, 1, 1, 2)
conv_transpose3d: (f[:, None], torch.ones(1, 3, 2, 2, 2, dtype=f.dtype))
convolution: (f, torch.ones(3, 4, 2, 3, dtype=f.dtype), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
embedding: (x, i); (q, iv, 1); (x, iv, padding_idx=-1)
embedding_renorm_: embedding_renorm_(x.clone(), iv, 1.0, 2.0)
max_pool1d: (g, 3); (g, 2, 1, 1); (g, kernel_size=3, stride=2, ceil_mode=True)
max_pool1d_with_indices: (g, 3); (g, 2, 1, 1)
max_pool2d: (f, 2); (f, (2, 3), 1, 1); (f, 3, ceil_mode=True, dilation=2)
max_pool3d: (f, 2); (f[:, None], 2, 1)
dropout: (x, 0.0, True); (x, 0.5, False); (x, 1.0, True); (x, 1.5, True)
dropout_: dropout_(x.clone(), 0.5, False)
alpha_dropout: (x, 0.5, False)
alpha_dropout_: alpha_dropout_(x.clone(), 0.5, False)
feature_dropout: (b, 0.5, False)
feature_dropout_: feature_dropout_(b.clone(), 0.5, False)
feature_alpha_dropout: (b, 0.5, False)
feature_alpha_dropout_: feature_alpha_dropout_(b.clone(), 0.5, False)
"""

SPECIAL = {
    name: [f"special.{name}(x)"]
    for name in """bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma entr erf erfc erfcx erfinv exp2 expit expm1 gammaln i0 i0e i1 i1e
    log1p log_ndtr logit modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 ndtr ndtri psi round
    scaled_modified_bessel_k0 scaled_modified_bessel_k1 sinc spherical_bessel_j0""".split()
} | {
    "gammainc": ["special.gammainc(pos, unit)"],
    "gammaincc": ["special.gammaincc(pos, unit)"],
    "xlog1py": ["special.xlog1py(x, unit)", "special.xlog1py(x, 2)", "special.xlog1py(2, unit)"],
    "xlogy": ["special.xlogy(x, pos)", "special.xlogy(2, pos)"],
    "zeta": ["special.zeta(pos + 1, pos)", "special.zeta(2, pos)", "special.zeta(pos + 1, 2)"],
    "polygamma": ["special.polygamma(1, pos)"],
    "multigammaln": ["special.multigammaln(pos + 2, 2)"],
    "logsumexp": ["special.logsumexp(x, 0)"],
    "softmax": ["special.softmax(x, 0)", "special.softmax(x, 1, dtype=torch.float32)"],
    "log_softmax": ["special.log_softmax(x, 0)"],
}  # fmt: skip

LINALG = """
cholesky: (q @ q.mT + torch.eye(4, dtype=q.dtype)); (x)
cholesky_ex: (q @ q.mT + torch.eye(4, dtype=q.dtype))
cond: (q); (q, 1)
cross: (x[:, :3], y[:, :3]); (x, y, dim=0)
det: (q)
diagonal: (b)
eigh: linalg.eigh(q + q.mT)[0]
eigvals: (q).abs().sort().values
eigvalsh: (q + q.mT); (q + q.mT, UPLO="U")
inv: (q); (x)
inv_ex: (q)
lstsq: linalg.lstsq(q, p)[0]
lu: (q)
lu_factor: (q)
lu_solve: linalg.lu_solve(*linalg.lu_factor(q), p)
matmul: (x, q)
matrix_exp: (q)
matrix_norm: (x); (x, "nuc"); (x, 1); (x, -2); (b, float("inf")); (x, ord="fro", keepdim=True)
matrix_power: (q, 2); (q, -2); (q, n=0)
matrix_rank: (q); (x)
multi_dot: ([x, q, p]); ([x, q])
norm: (x); (v, 3); (x, 2); (x, dim=1); (x, ord=1, dim=0, keepdim=True); (x, dtype=torch.float64)
pinv: (x)
qr: linalg.qr(q)[1].abs()
slogdet: (q)
solve: (q, p); (q, r); (q, p, left=False)
solve_ex: (q, p)
solve_triangular: (q.triu(), p, upper=True); (q.tril(), p, upper=False, unitriangular=True); (q.triu(), p, upper=True, left=False)
svd: linalg.svd(x)[1]
svdvals: (x)
tensorinv: (q.reshape(2, 2, 2, 2), ind=2)
tensorsolve: (q.reshape(2, 2, 4), p[:2, :2])
vander: (v); (v, N=3)
vecdot: (x, y); (x, y, dim=0)
vector_norm: (x); (x, 1); (x, 0); (x, float("inf"), 1); (x, 3, dim=0, keepdim=True); (x, dtype=torch.float64); (x, float("-inf"))
"""

# Names without calls in the table, with the reason.
RANDOM = "their numbers are compared in tests/ops/test_random.py and tests/backends/test_random.py"
STATE = "a setting of the process or thread, not an operation; compared in the tests of that module"
ELSEWHERE = "not an operation on values; tested with its own module"
EXCLUDED = {
    **dict.fromkeys(
        """bernoulli multinomial normal poisson rand rand_like randint randint_like randn randn_like randperm initial_seed
        manual_seed seed get_rng_state set_rng_state bernoulli_ cauchy_ exponential_ geometric_ log_normal_ normal_ random_
        uniform_""".split(), RANDOM,
    ),
    **dict.fromkeys(
        """are_deterministic_algorithms_enabled get_default_device get_default_dtype get_deterministic_debug_mode
        get_float32_matmul_precision get_num_interop_threads get_num_threads is_anomaly_check_nan_enabled is_anomaly_enabled
        is_deterministic_algorithms_warn_only_enabled is_grad_enabled is_inference_mode_enabled set_default_device
        set_default_dtype set_deterministic_debug_mode set_float32_matmul_precision set_flush_denormal
        set_num_interop_threads set_num_threads set_printoptions use_deterministic_algorithms clear_autocast_cache
        compiled_with_cxx11_abi get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype get_device_module
        is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled is_warn_always_enabled set_warn_always""".split(), STATE,
    ),
    **dict.fromkeys(
        """compile load save from_dlpack from_numpy detach_ backward register_hook register_post_accumulate_grad_hook
        requires_grad_ retain_grad data_ptr untyped_storage share_memory_ pin_memory cuda numpy resize_as_""".split(), ELSEWHERE,
    ),
    **dict.fromkeys(
        """gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell""".split(),
        "take a list of weights; compared in tests/ops/test_recurrent.py and tests/nn/test_rnn.py",
    ),
    **dict.fromkeys(
        """cholesky cholesky_inverse cholesky_solve geqrf lu lu_solve orgqr ormqr qr svd triangular_solve""".split(),
        "torch's former names for torch.linalg; compared in tests/ops/test_linalg.py",
    ),
}  # fmt: skip


def parse(text: str, prefix: str = "") -> dict[str, list[str]]:
    """The lines of a table as {name: expressions}."""
    found: dict[str, list[str]] = {}
    for line in text.strip().splitlines():
        name, _, calls = line.partition(": ")
        for call in calls.split("; "):
            found.setdefault(name, []).append(f"{prefix}{name}{call}" if call.startswith("(") else call)
    return found


def merge(*tables: dict[str, list[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table in tables:
        for name, calls in table.items():
            found.setdefault(name, []).extend(call for call in calls if call not in found[name])
    return found


UNARY_CALLS = {name: [f"{name}(x)"] for name in ELEMENTWISE_UNARY}
BINARY_CALLS = {name: [f"{name}(x, y)"] for name in ELEMENTWISE_BINARY}
ELEMENTWISE_CALLS = merge(UNARY_CALLS, BINARY_CALLS, parse(ELEMENTWISE))
OTHER_CALLS = merge(
    parse(REDUCTIONS),
    parse(SHAPES),
    parse(PRODUCTS),
    parse(NETWORK),
    {name: [f"x.{name}()"] for name in CASTS},
)
CREATION_CALLS = parse(CREATION)
SPECIAL_CALLS = {f"special.{name}": calls for name, calls in SPECIAL.items()}
LINALG_CALLS = {f"linalg.{name}": calls for name, calls in parse(LINALG, "linalg.").items()}
CALLS = merge(ELEMENTWISE_CALLS, OTHER_CALLS, CREATION_CALLS, SPECIAL_CALLS, LINALG_CALLS)
