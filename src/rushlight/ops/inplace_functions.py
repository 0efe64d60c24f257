"""torch's functions that work in place, `torch.sin_(x)`: the Tensor methods under their own names."""

from __future__ import annotations

from typing import Any

from rushlight.core.public import Tensor
from rushlight.ops import arithmetic, complex, elementwise, fused, logic, power, rounding, special, where

# The modules that attach the methods below.
_ATTACHED_BY = (arithmetic, complex, elementwise, fused, logic, power, rounding, special, where)

__all__ = [
    "abs_", "acos_", "acosh_", "arccos_", "arccosh_", "arcsin_", "arcsinh_", "arctan_", "arctanh_", "asin_", "asinh_", "atan_",
    "atanh_", "ceil_", "clamp_", "clamp_max_", "clamp_min_", "clip_", "conj_physical_", "cos_", "cosh_", "deg2rad_", "erf_",
    "erfc_", "exp2_", "exp_", "expm1_", "fix_", "floor_", "frac_", "gcd_", "i0_", "lcm_", "ldexp_", "log10_", "log1p_", "log2_",
    "log_", "logit_", "nan_to_num_", "neg_", "negative_", "rad2deg_", "reciprocal_", "round_", "rsqrt_", "sigmoid_", "sin_",
    "sinc_", "sinh_", "sqrt_", "square_", "tan_", "tanh_", "trunc_", "xlogy_",
]  # fmt: skip

_T: Any = Tensor
abs_ = _T.abs_
acos_ = _T.acos_
acosh_ = _T.acosh_
arccos_ = _T.arccos_
arccosh_ = _T.arccosh_
arcsin_ = _T.arcsin_
arcsinh_ = _T.arcsinh_
arctan_ = _T.arctan_
arctanh_ = _T.arctanh_
asin_ = _T.asin_
asinh_ = _T.asinh_
atan_ = _T.atan_
atanh_ = _T.atanh_
ceil_ = _T.ceil_
clamp_ = _T.clamp_
clamp_max_ = _T.clamp_max_
clamp_min_ = _T.clamp_min_
clip_ = _T.clip_
conj_physical_ = _T.conj_physical_
cos_ = _T.cos_
cosh_ = _T.cosh_
deg2rad_ = _T.deg2rad_
erf_ = _T.erf_
erfc_ = _T.erfc_
exp2_ = _T.exp2_
exp_ = _T.exp_
expm1_ = _T.expm1_
fix_ = _T.fix_
floor_ = _T.floor_
frac_ = _T.frac_
gcd_ = _T.gcd_
i0_ = _T.i0_
lcm_ = _T.lcm_
ldexp_ = _T.ldexp_
log10_ = _T.log10_
log1p_ = _T.log1p_
log2_ = _T.log2_
log_ = _T.log_
logit_ = _T.logit_
nan_to_num_ = _T.nan_to_num_
neg_ = _T.neg_
negative_ = _T.negative_
rad2deg_ = _T.rad2deg_
reciprocal_ = _T.reciprocal_
round_ = _T.round_
rsqrt_ = _T.rsqrt_
sigmoid_ = _T.sigmoid_
sin_ = _T.sin_
sinc_ = _T.sinc_
sinh_ = _T.sinh_
sqrt_ = _T.sqrt_
square_ = _T.square_
tan_ = _T.tan_
tanh_ = _T.tanh_
trunc_ = _T.trunc_
xlogy_ = _T.xlogy_
