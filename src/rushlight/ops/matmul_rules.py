"""The operations behind matrix products; ops/matmul.py has their public functions."""

from __future__ import annotations

from typing import Any

from rushlight.core.primitive import COMMON, SAME, Primitive, apply2, apply_view
from rushlight.core.tensor import TensorBase
from rushlight.ops.common import conj
from rushlight.ops.view_rules import TRANSPOSE, Transpose

SWAP_LAST = Transpose((0, 2, 1))


def transposed(matrix: Any) -> Any:
    """The conjugate transpose of a matrix."""
    return apply_view(TRANSPOSE, conj(matrix))


class Product(Primitive):
    """A product of two tensors that is linear in each."""

    __slots__ = ()
    promotion = SAME

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1] if needs[0] else None)


class Mm(Product):
    """(n, m) times (m, p)."""

    __slots__ = ()
    name = "mm"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        a, b = inputs
        by_columns = (needs[0] and is_transposed(a), needs[1] and is_transposed(b))
        return (a if needs[1] else None, b if needs[0] else None, by_columns)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b, by_columns = saved
        # The gradient of a transposed matrix (a linear layer's weight) lies in memory as the matrix does.
        flipped: Any = apply_view(TRANSPOSE, g) if by_columns[0] or by_columns[1] else None
        ga: Any = None
        gb: Any = None
        if needs[0]:
            ga = apply_view(TRANSPOSE, apply2(MM, conj(b), flipped)) if by_columns[0] else apply2(MM, g, transposed(b))
        if needs[1]:
            gb = apply_view(TRANSPOSE, apply2(MM, flipped, conj(a))) if by_columns[1] else apply2(MM, transposed(a), g)
        return ga, gb


def is_transposed(matrix: TensorBase) -> bool:
    """Whether the matrix lies in memory column by column."""
    array: Any = matrix._array
    return array is not None and bool(array.strides[0] < array.strides[1])


class Bmm(Product):
    """Batches of matrices, (b, n, m) times (b, m, p)."""

    __slots__ = ()
    name = "bmm"

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return (
            apply2(BMM, g, apply_view(SWAP_LAST, b.conj())) if needs[0] else None,
            apply2(BMM, apply_view(SWAP_LAST, a.conj()), g) if needs[1] else None,
        )


class Mv(Product):
    """(n, m) times (m,)."""

    __slots__ = ()
    name = "mv"

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, v = saved
        return g.unsqueeze(1) * v.conj() if needs[0] else None, apply2(MV, transposed(a), g) if needs[1] else None


class Dot(Product):
    """(n,) times (n,)."""

    __slots__ = ()
    name = "dot"

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return g * b.conj() if needs[0] else None, g * a.conj() if needs[1] else None


class Vdot(Product):
    """(n,) times (n,), the first conjugated."""

    __slots__ = ()
    name = "vdot"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.dot(k.conj(arrays[0]) if arrays[0].dtype.kind == "c" else arrays[0], arrays[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return g.conj() * b if needs[0] else None, g * a if needs[1] else None


class AddProduct(Primitive):
    """beta * c + alpha * (a @ b): `add_product(c, a, b)`."""

    __slots__ = ("beta", "alpha")
    promotion = SAME

    def __init__(self, beta: Any = 1, alpha: Any = 1) -> None:
        self.beta = beta
        self.alpha = alpha

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1] if needs[2] else None, inputs[2] if needs[1] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        gc = (g if self.beta == 1 else g * conjugate(self.beta)) if needs[0] else None
        scaled = g if self.alpha == 1 else g * conjugate(self.alpha)
        return gc, *self.product.vjp(saved, scaled, needs[1:])

    @property
    def product(self) -> Primitive:
        raise NotImplementedError

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, tensors, {"beta": self.beta, "alpha": self.alpha}


class Addmm(AddProduct):
    """c + a @ b for matrices."""

    __slots__ = ()
    name = "addmm"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.addmm(*arrays, self.beta, self.alpha)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return MM.save(inputs[1:], output, needs[1:])

    @property
    def product(self) -> Primitive:
        return MM


class Addbmm(AddProduct):
    """c + the sum of a[i] @ b[i]."""

    __slots__ = ()
    name = "addbmm"

    def forward(self, k: Any, *arrays: Any) -> Any:
        c, a, b = arrays
        return _weighted(k, c, k.sum(k.bmm(a, b), (0,), False, a.dtype), self.beta, self.alpha)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        gc = (g if self.beta == 1 else g * conjugate(self.beta)) if needs[0] else None
        scaled = g if self.alpha == 1 else g * conjugate(self.alpha)
        a, b = saved
        batch = (a if a is not None else b)._shape[0] if needs[1] or needs[2] else 0
        return gc, *BMM.vjp(saved, scaled.expand(batch, *scaled._shape), needs[1:])


class Addr(AddProduct):
    """c + the products of all pairs of elements of two vectors."""

    __slots__ = ()
    name = "addr"
    promotion = COMMON

    def forward(self, k: Any, *arrays: Any) -> Any:
        c, a, b = arrays
        return _weighted(k, c, k.mul(a.reshape(-1, 1), b), self.beta, self.alpha)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        gc = (g if self.beta == 1 else g * conjugate(self.beta)) if needs[0] else None
        scaled = g if self.alpha == 1 else g * conjugate(self.alpha)
        a, b = saved
        ga = apply2(MV, scaled, b.conj()) if needs[1] else None
        return gc, ga, apply2(MV, apply_view(TRANSPOSE, scaled), a.conj()) if needs[2] else None


def _weighted(k: Any, c: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """beta * c + alpha * product; for beta 0 `c` is ignored, NaN too."""
    if alpha != 1:
        product = k.mul(product, k.scalar(alpha, product.dtype))
    if beta == 0:
        return product
    return k.add(c if beta == 1 else k.mul(c, k.scalar(beta, c.dtype)), product)


class Baddbmm(AddProduct):
    """c + a @ b for batches of matrices."""

    __slots__ = ()
    name = "baddbmm"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.baddbmm(*arrays, self.beta, self.alpha)

    @property
    def product(self) -> Primitive:
        return BMM


class Addmv(AddProduct):
    """c + a @ v."""

    __slots__ = ()
    name = "addmv"

    def forward(self, k: Any, *arrays: Any) -> Any:
        c, a, v = arrays
        return k.addmm(c, a, v, self.beta, self.alpha) if v.ndim == 2 else _addmv(k, c, a, v, self.beta, self.alpha)

    @property
    def product(self) -> Primitive:
        return MV


def _addmv(k: Any, c: Any, a: Any, v: Any, beta: Any, alpha: Any) -> Any:
    column = c[:, None] if c.ndim else c
    return k.select(k.addmm(column, a, v[:, None], beta, alpha), 1, 0)


MM, BMM, MV, DOT, ADDMM = Mm(), Bmm(), Mv(), Dot(), Addmm()


def conjugate(value: Any) -> Any:
    """The conjugate of a Python number."""
    return value.conjugate() if isinstance(value, complex) else value
