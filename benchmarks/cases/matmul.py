"""Matrix products in all transpositions, thin ones and batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.cases.operation import Operation, all_cases, shaped

SQUARES = {"small": [(2, 2)] * 2, "medium": [(128, 128)] * 2, "large": [(2048, 2048)] * 2}
MIDDLE = {"medium": [(512, 512)] * 2}
ONE_ROW = {
    "small": [(1, 2), (2, 2)],
    "medium": [(1, 128), (128, 128)],
    "large": [(1, 4096), (4096, 4096)],
}
FEW_COLUMNS = {
    "small": [(2, 2), (2, 1)],
    "medium": [(128, 128), (128, 8)],
    "large": [(4096, 4096), (4096, 8)],
}
LINEAR = {
    "small": [(1, 2), (2, 2), (2,)],
    "medium": [(128, 128), (128, 128), (128,)],
    "large": [(4096, 1024), (1024, 1024), (1024,)],
}
BATCHES = {
    "small": [(1, 2, 2)] * 2,
    "medium": [(4, 64, 64)] * 2,
    "large": [(256, 256, 256)] * 2,
}
MATRIX_VECTOR = {"small": [(2, 2), (2,)], "medium": [(128, 128), (128,)], "large": [(4096, 4096), (4096,)]}


def product(transpose_a: bool, transpose_b: bool) -> Callable[[Any], Callable[..., Any]]:
    def function(torch: Any) -> Callable[..., Any]:
        if transpose_a and transpose_b:
            return lambda a, b: a.t() @ b.t()
        if transpose_a:
            return lambda a, b: a.t() @ b
        if transpose_b:
            return lambda a, b: a @ b.t()
        return torch.matmul  # type: ignore[no-any-return]

    return function


NN, NT, TN, TT = product(False, False), product(False, True), product(True, False), product(True, True)

OPERATIONS = (
    Operation("matmul_nn", NN, shaped(SQUARES)),
    Operation("matmul_nt", NT, shaped(SQUARES)),
    Operation("matmul_tn", TN, shaped(SQUARES)),
    Operation("matmul_tt", TT, shaped(SQUARES)),
    Operation("matmul_512_nn", NN, shaped(MIDDLE), sizes=("medium",)),
    Operation("matmul_512_nt", NT, shaped(MIDDLE), sizes=("medium",)),
    Operation("matmul_512_tn", TN, shaped(MIDDLE), sizes=("medium",)),
    Operation("matmul_512_tt", TT, shaped(MIDDLE), sizes=("medium",)),
    Operation("matmul_one_row", NN, shaped(ONE_ROW)),
    Operation("matmul_one_row_nt", NT, shaped(ONE_ROW)),
    Operation("matmul_few_columns", NN, shaped(FEW_COLUMNS)),
    Operation("matmul_vector", lambda torch: torch.mv, shaped(MATRIX_VECTOR)),
    Operation("bmm", lambda torch: torch.bmm, shaped(BATCHES)),
    Operation("bmm_nt", lambda torch: lambda a, b: torch.bmm(a, b.transpose(1, 2)), shaped(BATCHES)),
    Operation("linear", lambda torch: torch.nn.functional.linear, shaped(LINEAR)),
)

CASES = all_cases(OPERATIONS)
