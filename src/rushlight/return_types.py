"""`torch.return_types`: the classes of results with named entries."""

from __future__ import annotations

from rushlight.base.return_types import (
    aminmax,
    cummax,
    cummin,
    frexp,
    histogram,
    histogramdd,
    kthvalue,
    median,
    mode,
    nanmedian,
    return_type,
    sort,
    topk,
)
from rushlight.base.return_types import max_ as max
from rushlight.base.return_types import min_ as min

linalg_eig = return_type("linalg_eig", "eigenvalues", "eigenvectors")
linalg_eigh = return_type("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_qr = return_type("linalg_qr", "Q", "R")
linalg_slogdet = return_type("linalg_slogdet", "sign", "logabsdet")
linalg_svd = return_type("linalg_svd", "U", "S", "Vh")
linalg_lu = return_type("linalg_lu", "P", "L", "U")
linalg_lu_factor = return_type("linalg_lu_factor", "LU", "pivots")
linalg_lstsq = return_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_inv_ex = return_type("linalg_inv_ex", "inverse", "info")
linalg_cholesky_ex = return_type("linalg_cholesky_ex", "L", "info")
linalg_solve_ex = return_type("linalg_solve_ex", "result", "info")
qr = return_type("qr", "Q", "R")
slogdet = return_type("slogdet", "sign", "logabsdet")
svd = return_type("svd", "U", "S", "V")
triangular_solve = return_type("triangular_solve", "solution", "cloned_coefficient")

__all__ = [
    "aminmax", "cummax", "cummin", "frexp", "histogram", "histogramdd", "kthvalue", "linalg_cholesky_ex", "linalg_eig",
    "linalg_eigh", "linalg_inv_ex", "linalg_lstsq", "linalg_lu", "linalg_lu_factor", "linalg_qr", "linalg_slogdet",
    "linalg_solve_ex", "linalg_svd", "max", "median", "min", "mode", "nanmedian", "qr", "slogdet", "sort", "svd", "topk",
    "triangular_solve",
]  # fmt: skip
