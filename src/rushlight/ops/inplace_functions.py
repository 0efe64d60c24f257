"""torch's functions that work in place, `torch.sin_(x)`: the Tensor methods under their own names."""

from __future__ import annotations

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

globals().update({name: getattr(Tensor, name) for name in __all__})
