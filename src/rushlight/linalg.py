"""torch.linalg: linear algebra over batches of matrices."""

from __future__ import annotations

from rushlight.base.errors import LinAlgError
from rushlight.ops.factor import cholesky_ex, householder_product, lu, lu_factor, lu_factor_ex, lu_solve
from rushlight.ops.factor import linalg_cholesky as cholesky
from rushlight.ops.factor import linalg_qr as qr
from rushlight.ops.linalg import diagonal, matrix_power, multi_dot, vecdot
from rushlight.ops.linalg import linalg_cross as cross
from rushlight.ops.linalg import linalg_vander as vander
from rushlight.ops.matmul import matmul
from rushlight.ops.solve import inv, inv_ex, lstsq, pinv, solve, solve_ex, solve_triangular, tensorinv, tensorsolve
from rushlight.ops.spectral import eig, eigh, eigvals, eigvalsh, matrix_exp, svdvals
from rushlight.ops.spectral import linalg_det as det
from rushlight.ops.spectral import linalg_slogdet as slogdet
from rushlight.ops.spectral import linalg_svd as svd
from rushlight.ops.vector_norm import cond, matrix_norm, matrix_rank, vector_norm
from rushlight.ops.vector_norm import linalg_norm as norm

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh",
    "householder_product", "inv", "inv_ex", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matmul", "matrix_exp",
    "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex",
    "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip
