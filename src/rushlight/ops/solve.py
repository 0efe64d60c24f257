"""Linear systems: inverses, solutions of general and triangular systems, least squares, pseudo-inverses."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.core.primitive import SAME, Primitive, apply1, apply2, apply_multi
from rushlight.core.tensor import array_of
from rushlight.ops.checks import need_tensor
from rushlight.ops.common import serve, write_out
from rushlight.ops.linear_checks import named, need_matrix, need_same_dtype, need_square
from rushlight.ops.view import reshape

DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


class Inv(Primitive):
    """The inverse of square matrices; a singular one is an error."""

    __slots__ = ()
    name = "linalg_inv"
    node_name = "LinalgInvExBackward0"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.inv(arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        adjoint = saved[0].mH
        return -(adjoint @ g @ adjoint)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return -(saved[0] @ tangents[0] @ saved[0])


class InvEx(Primitive):
    """The inverse and LAPACK's info."""

    __slots__ = ()
    name = "linalg_inv_ex"
    outputs = 2

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.inv_ex(arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return None if g[0] is None else INV.vjp(saved, g[0], needs)


class Solve(Primitive):
    """X with `A X = B`, or with `X A = B` when not `left`."""

    __slots__ = ("left",)
    name = "linalg_solve"
    node_name = "LinalgSolveExBackward0"
    promotion = SAME

    def __init__(self, left: bool) -> None:
        self.left = left

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.solve(arrays[0], arrays[1], self.left)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        a, b = inputs
        return a, (output if needs[0] else None), self.left and is_vector(a._shape, b._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, x, vector = saved
        if vector:
            g = g.unsqueeze(-1)
        gb = apply2(Solve(self.left), a.mH, g)
        ga = None
        if needs[0]:
            adjoint = (x.unsqueeze(-1) if vector else x).mH
            ga = -(gb @ adjoint) if self.left else -(adjoint @ gb)
        return ga, (gb.squeeze(-1) if vector else gb) if needs[1] else None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return solve, tensors, {"left": self.left}


class SolveEx(Solve):
    """X and LAPACK's info."""

    __slots__ = ()
    name = "linalg_solve_ex"
    outputs = 2

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.solve_ex(arrays[0], arrays[1], self.left)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return super().save(inputs, output[0], needs)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return (None, None) if g[0] is None else super().vjp(saved, g[0], needs)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return solve_ex, tensors, {"left": self.left}


class SolveTriangular(Primitive):
    """X with `A X = B` (`X A = B`) for a triangular A."""

    __slots__ = ("upper", "left", "unitriangular")
    name = "linalg_solve_triangular"
    promotion = SAME

    def __init__(self, upper: bool, left: bool, unitriangular: bool) -> None:
        self.upper = upper
        self.left = left
        self.unitriangular = unitriangular

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.solve_triangular(arrays[0], arrays[1], self.upper, self.left, self.unitriangular)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[0], (output if needs[0] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, x = saved
        gb = apply2(SolveTriangular(not self.upper, self.left, self.unitriangular), a.mH, g)
        ga = None
        if needs[0]:
            ga = -(gb @ x.mH) if self.left else -(x.mH @ gb)
            ga = ga.triu(int(self.unitriangular)) if self.upper else ga.tril(-int(self.unitriangular))
        return ga, gb if needs[1] else None


class Pinv(Primitive):
    """The Moore-Penrose inverse of matrices of constant rank."""

    __slots__ = ("atol", "rtol", "hermitian")
    name = "linalg_pinv"

    def __init__(self, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> None:
        self.atol = atol
        self.rtol = rtol
        self.hermitian = hermitian

    def forward(self, k: Any, *arrays: Any) -> Any:
        atol, rtol = ((array_of(t) if hasattr(t, "_array") else t) for t in (self.atol, self.rtol))
        return k.pinv(arrays[0], atol, rtol, self.hermitian)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[0], output

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return pinv_cotangent(saved[0], saved[1], g)


class Lstsq(Primitive):
    """The least-squares solution of `A X = B`, its residuals, A's rank and singular values."""

    __slots__ = ("rcond", "driver")
    name = "linalg_lstsq"
    promotion = SAME
    outputs = 4

    def __init__(self, rcond: float | None, driver: str) -> None:
        self.rcond = rcond
        self.driver = driver

    def forward(self, k: Any, *arrays: Any) -> Any:
        solution, residuals, rank, values = k.lstsq(arrays[0], arrays[1], self.rcond)
        none = slice(0, 0)
        return (
            solution,
            residuals.reshape(-1)[none] if self.driver == "gelsy" else residuals,
            rank.reshape(-1)[none] if self.driver == "gels" else rank,
            values if self.driver in ("gelsd", "gelss") else values.reshape(-1)[none],
        )

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[0], inputs[1], output[0], is_vector(inputs[0]._shape, inputs[1]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b, x, vector = saved
        gx, gr = g[:2]
        if vector:
            b, x = b.unsqueeze(-1), x.unsqueeze(-1)
            gx = None if gx is None else gx.unsqueeze(-1)
        ga = gb = None
        if gx is not None:
            inverse = pinv(a)
            ga = pinv_cotangent(a, inverse, gx @ b.mH) if needs[0] else None
            gb = inverse.mH @ gx if needs[1] else None
        if gr is not None and gr.numel():
            gap = (a @ x - b) * (2 * gr.unsqueeze(-2))
            from_gap = gap @ x.mH
            ga = (from_gap if ga is None else ga + from_gap) if needs[0] else None
            gb = (-gap if gb is None else gb - gap) if needs[1] else None
        return ga, gb.squeeze(-1) if vector and gb is not None else gb

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return lstsq, tensors, {"rcond": self.rcond, "driver": self.driver}


def is_vector(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether B (shape `b`) is a vector, or a batch of vectors, to matrices of shape `a`."""
    return len(b) == 1 or (len(a) - 1 == len(b) and b == a[:-1])


def pinv_cotangent(a: Any, inverse: Any, g: Any) -> Any:
    """The cotangent of A from that of its pseudo-inverse P.

    dP = -P dA P + P P^h dA^h (I - A P) + (I - P A) dA^h P^h P, transposed.
    """
    p, ph, gh = inverse, inverse.mH, g.mH
    if a._shape[-2] <= a._shape[-1]:  # multiply so that the small square matrices come first
        k = gh @ p
        return -(p @ k).mH + (k @ ph - (a @ p) @ (k @ ph)) + (ph @ p) @ (gh - k @ a)
    k = p @ gh
    return -(k @ p).mH + (gh - a @ k) @ (p @ ph) + (ph @ k - (ph @ k @ p) @ a)


INV = Inv()
INV_EX = InvEx()


def inv(A: Any, *, out: Any = None) -> Any:
    """The inverse of square matrices, shape (*, n, n). Raises `LinAlgError` when one is singular."""
    need_square("linalg.inv", A)
    result = apply1(INV, A)
    return result if out is None else write_out(out, result, "linalg.inv")


def inv_ex(A: Any, *, check_errors: bool = False, out: Any = None) -> Any:
    """(inverse, info): info is 0, or the first zero pivot of a singular matrix, whose inverse is NaN."""
    need_square("linalg.inv", A)
    if check_errors:
        inv(A.detach())
    return named("linalg_inv_ex", "inverse info", apply_multi(INV_EX, (A,)), out)


def inverse(input: Any, *, out: Any = None) -> Any:
    """The inverse of square matrices: `linalg.inv`."""
    return inv(input, out=out)


def solve(A: Any, B: Any, *, left: bool = True, out: Any = None) -> Any:
    """X with `A X = B`, or `X A = B` when not `left`. A is (*, n, n); B is (*, n, k), or (*, n) for vectors.

    Batches broadcast. Raises `LinAlgError` when a matrix is singular.

    >>> linalg.solve(tensor([[2.0, 0.0], [0.0, 4.0]]), tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    _check_system("linalg.solve", A, B, left)
    result = apply2(Solve(bool(left)), A, B)
    return result if out is None else write_out(out, result, "linalg.solve")


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """(result, info): `solve` without the check; the solution of a singular system is NaN and its info not 0."""
    _check_system("linalg.solve", A, B, left)
    if check_errors:
        solve(A.detach(), B.detach(), left=left)
    return named("linalg_solve_ex", "result info", apply_multi(SolveEx(bool(left)), (A, B)), out)


def _check_system(operation: str, a: Any, b: Any, left: bool) -> None:
    need_square(operation, a)
    need_tensor(operation, b, "B")
    need_same_dtype(operation, a, b)
    if not left and is_vector(a._shape, b._shape):
        raise RuntimeError(
            f"{operation}: Vector broadcasting of the left hand side is not supported for left=False. In this case "
            "linalg.solve is equivalent to B / A.squeeze(-1) for matrices of one column; use B.unsqueeze(-2)"
        )


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False, out: Any = None
) -> Any:
    """X with `A X = B` (`X A = B` when not `left`) for triangular A of shape (*, n, n) and B of shape (*, n, k).

    The other triangle is not read, nor the diagonal (taken as 1) when `unitriangular`. A zero on the diagonal gives inf.
    """
    need_square("linalg.solve_triangular", A)
    need_matrix("linalg.solve_triangular", B, "B")
    need_same_dtype("linalg.solve_triangular", A, B)
    result = apply2(SolveTriangular(bool(upper), bool(left), bool(unitriangular)), A, B)
    return result if out is None else write_out(out, result, "linalg.solve_triangular")


def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False, *, out: Any = None
) -> Any:
    """(solution, A): the older form of `linalg.solve_triangular`, with the arguments exchanged."""
    matrix = A.mT if transpose else A
    solution = solve_triangular(matrix, b, upper=bool(upper) != bool(transpose), unitriangular=unitriangular)
    return named("triangular_solve", "solution cloned_coefficient", (solution, A.clone()), out)


def pinv(
    A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Any = None
) -> Any:
    """The Moore-Penrose inverse, shape (*, n, m) for A of shape (*, m, n).

    Singular values up to max(atol, rtol * largest) count as zero; by default rtol is max(m, n) * eps.
    """
    need_matrix("linalg.pinv", A)
    if hermitian:
        need_square("linalg.pinv", A)
    result = apply1(Pinv(atol, rcond if rtol is None else rtol, hermitian), A)
    return result if out is None else write_out(out, result, "linalg.pinv")


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """The Moore-Penrose inverse; `linalg.pinv` has the safer default tolerance."""
    return pinv(input, rtol=rcond)


def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """(solution, residuals, rank, singular_values) of the problem min |A X - B|, the solution of least norm.

    A is (*, m, n), B is (*, m, k) or (*, m). As in torch `driver` (gels, gelsy, gelsd, gelss) decides which of the further
    results are given: residuals (not gelsy, and only for m > n and full rank), rank (not gels), singular_values (gelsd, gelss).
    """
    need_matrix("linalg.lstsq", A)
    need_tensor("linalg.lstsq", B, "B")
    need_same_dtype("linalg.lstsq", A, B)
    if driver is not None and driver not in DRIVERS:
        raise RuntimeError(f"torch.linalg.lstsq: parameter `driver` should be one of ({', '.join(DRIVERS)}), got {driver!r}")
    rows = B._shape[-1 if is_vector(A._shape, B._shape) else -2]
    if rows != A._shape[-2]:
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size(-2), got shapes {list(A._shape)} and "
            f"{list(B._shape)}"
        )
    found = apply_multi(Lstsq(rcond, driver or "gelsy"), (A, B))
    if type(found) is tuple:  # as in torch the singular values claim no history
        found = (*found[:3], found[3].detach())
    return named("linalg_lstsq", "solution residuals rank singular_values", found)


def tensorsolve(A: Any, B: Any, dims: Any = None, *, out: Any = None) -> Any:
    """X with `tensordot(A, X, X.ndim) = B`: A of shape B.shape + X.shape with as many rows as columns."""
    order = list(range(len(A._shape)))
    moved = [d % len(order) for d in dims or ()]
    a = A.permute([d for d in order if d not in moved] + moved)
    shape = a._shape[len(B._shape) :]
    if prod(shape) != prod(a._shape[: len(B._shape)]) or prod(shape) != B.numel():
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but "
            f"got {prod(shape)} != {prod(a._shape[: len(B._shape)])}: linalg.tensorsolve of shapes {list(a._shape)} and "
            f"{list(B._shape)}"
        )
    result = reshape(solve(reshape(a, (-1, prod(shape))), reshape(B, (-1,))), shape)
    return result if out is None else write_out(out, result, "linalg.tensorsolve")


def tensorinv(A: Any, ind: int = 2, *, out: Any = None) -> Any:
    """The inverse of `tensordot(A, X, ind)`: A's first `ind` dimensions are rows, the others columns."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', got {ind}")
    rows, columns = A._shape[:ind], A._shape[ind:]
    if prod(rows) != prod(columns):
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{prod(columns)} != {prod(rows)}: linalg.tensorinv of shape {list(A._shape)} with ind={ind}"
        )
    result = reshape(inv(reshape(A, (prod(rows), -1))), columns + rows)
    return result if out is None else write_out(out, result, "linalg.tensorinv")


for _primitive, _function in (
    (Inv, inv), (InvEx, inv_ex), (SolveTriangular, solve_triangular), (Pinv, pinv),
):
    serve(_primitive, _function)
