"""`einsum`: sums of products named by letters, contracted pair by pair with batched matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from rushlight.core.modes import STATE
from rushlight.core.primitive import PLAIN, intercepted
from rushlight.core.tensor import TensorBase
from rushlight.ops.matmul import bmm
from rushlight.ops.view import diagonal, movedim, permute, reshape

__all__ = ["einsum"]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class _Term:
    """A tensor whose dimensions carry labels; labels below 0 stand for the dimensions of an ellipsis, last one -1."""

    __slots__ = ("tensor", "labels")

    def __init__(self, tensor: Any, labels: list[Any]) -> None:
        self.tensor = tensor
        self.labels = labels

    def size(self, label: Any) -> int:
        return int(self.tensor._shape[self.labels.index(label)])


def einsum(equation: Any, *operands: Any) -> Any:
    """The sum of products that `equation` names: "ij,jk->ik" is a matrix product, "ii->i" a diagonal, "...i->..." a sum.

    A letter stands for a dimension, "..." for all others, which broadcast. Letters missing after "->" are summed; without
    "->" the letters that occur once are kept, in alphabetical order. Also `einsum(operand, [0, 1], ..., [0])` with numbers
    for letters. Raises `RuntimeError` when the letters do not fit the operands.
    """
    equation, tensors = _with_letters(equation, operands)
    if STATE.busy or any(type(t) not in PLAIN for t in tensors):
        handled, found = intercepted(einsum, (equation, *tensors), tuple(tensors))
        if handled:
            return found
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = [_label(i, tensor, part) for i, (tensor, part) in enumerate(zip(tensors, _parts(left, len(tensors)), strict=True))]
    output = _output_labels(left, right if arrow else None, terms)
    _check_sizes(terms)
    result = _diagonals(terms[0])
    for i, term in enumerate(terms[1:], 1):
        later = {label for other in terms[i + 1 :] for label in other.labels}
        result = _contract(result, _diagonals(term), set(output) | later)
    return _finish(result, output)


def _with_letters(equation: Any, operands: tuple[Any, ...]) -> tuple[str, list[Any]]:
    if isinstance(equation, str):
        tensors = operands[0] if len(operands) == 1 and not isinstance(operands[0], TensorBase) else operands
        if not tensors:
            raise ValueError("einsum(): must provide at least one operand")
        return equation, list(tensors)
    arguments = [equation, *operands]

    def text(sublist: Sequence[Any]) -> str:
        return "".join("..." if n is Ellipsis else _LETTERS[n] for n in sublist)

    pairs = len(arguments) // 2
    parts = ",".join(text(arguments[2 * i + 1]) for i in range(pairs))
    return parts + ("->" + text(arguments[-1]) if len(arguments) % 2 else ""), [arguments[2 * i] for i in range(pairs)]


def _parts(left: str, count: int) -> list[str]:
    parts = left.split(",")
    if len(parts) != count:
        more = "more" if len(parts) < count else "fewer"
        raise RuntimeError(f"einsum(): {more} operands were provided ({count}) than specified in the equation ({len(parts)})")
    return parts


def _label(number: int, tensor: Any, part: str) -> _Term:
    head, dots, tail = part.partition("...")
    for letter in head + tail:
        if letter not in _LETTERS:
            raise RuntimeError(f"einsum(): invalid subscript given at operand {number}: {letter!r}; subscripts must be in [a-zA-Z]")
    rank = len(tensor._shape)
    hidden = rank - len(head) - len(tail)
    if hidden < 0 or (hidden and not dots):
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({len(head) + len(tail)}) does not match the number of dimensions "
            f"({rank}) for operand {number}"
        )
    return _Term(tensor, [*head, *range(-hidden, 0), *tail])


def _output_labels(left: str, right: str | None, terms: list[_Term]) -> list[Any]:
    hidden = max((-min((x for x in term.labels if isinstance(x, int)), default=0) for term in terms), default=0)
    if right is None:
        letters = sorted(letter for letter in set(left) if letter in _LETTERS and left.count(letter) == 1)
        return [*range(-hidden, 0), *letters]
    head, dots, tail = right.partition("...")
    known = {label for term in terms for label in term.labels}
    for letter in head + tail:
        if letter not in known:
            raise RuntimeError(f"einsum(): output subscript {letter} does not appear in the equation for any input operand")
        if (head + tail).count(letter) > 1:
            raise RuntimeError(f"einsum(): output subscript {letter} appears more than once in the output")
    return [*head, *(range(-hidden, 0) if dots else ()), *tail]


def _check_sizes(terms: list[_Term]) -> None:
    sizes: dict[Any, tuple[int, int]] = {}
    for number, term in enumerate(terms):
        for label, size in zip(term.labels, term.tensor._shape, strict=True):
            have, where = sizes.get(label, (1, number))
            if have != 1 and size not in (1, have):
                raise RuntimeError(
                    f"einsum(): subscript {label if isinstance(label, str) else '...'} has size {size} for operand {number} which does "
                    f"not broadcast with previously seen size {have} (operand {where})"
                )
            if have == 1:
                sizes[label] = (size, number)


def _diagonals(term: _Term) -> _Term:
    """Repeated letters within one operand taken as diagonals."""
    tensor, labels = term.tensor, list(term.labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            tensor = movedim(diagonal(tensor, 0, first, second), -1, first)
            del labels[second]
    return _Term(tensor, labels)


def _sum_away(term: _Term, keep: set[Any]) -> _Term:
    gone = tuple(i for i, label in enumerate(term.labels) if label not in keep)
    if not gone:
        return term
    return _Term(term.tensor.sum(gone), [label for label in term.labels if label in keep])


def _contract(a: _Term, b: _Term, keep: set[Any]) -> _Term:
    """The product of two terms summed over the labels that are not in `keep`, as one batched matrix product."""
    a, b = _sum_away(a, keep | set(b.labels)), _sum_away(b, keep | set(a.labels))
    both = [label for label in a.labels if label in b.labels]
    wide = [label for label in both if a.size(label) != b.size(label)]  # broadcast: size 1 in one of them
    for label in wide:
        if label in keep:
            continue
        thin = a if a.size(label) == 1 else b
        other = b if thin is a else a
        summed = _Term(other.tensor.sum(other.labels.index(label)), [x for x in other.labels if x != label])
        squeezed = _Term(thin.tensor.squeeze(thin.labels.index(label)), [x for x in thin.labels if x != label])
        return _contract(squeezed if thin is a else summed, summed if thin is a else squeezed, keep)
    if wide or all(label in keep for label in both):  # nothing is summed
        return _multiply(a, b, keep)
    batch = [label for label in both if label in keep]
    summed_labels = [label for label in both if label not in keep]
    free_a = [label for label in a.labels if label not in both]
    free_b = [label for label in b.labels if label not in both]
    left = _matrix(a, batch, free_a, summed_labels)
    right = _matrix(b, batch, summed_labels, free_b)
    shape = tuple(a.size(x) for x in batch + free_a) + tuple(b.size(x) for x in free_b)
    return _Term(reshape(bmm(left, right), shape), batch + free_a + free_b)


def _matrix(term: _Term, batch: list[Any], rows: list[Any], columns: list[Any]) -> Any:
    order = [term.labels.index(label) for label in batch + rows + columns]
    return reshape(permute(term.tensor, order), tuple(prod(term.size(x) for x in group) for group in (batch, rows, columns)))


def _multiply(a: _Term, b: _Term, keep: set[Any]) -> _Term:
    """The broadcast product, for kept labels of which one operand has size 1."""
    labels = list(dict.fromkeys(a.labels + b.labels))
    product = _spread(a, labels) * _spread(b, labels)
    return _sum_away(_Term(product, labels), keep)


def _spread(term: _Term, labels: list[Any]) -> Any:
    order = [term.labels.index(label) for label in labels if label in term.labels]
    shape = tuple(term.size(label) if label in term.labels else 1 for label in labels)
    return reshape(permute(term.tensor, order), shape)


def _finish(term: _Term, output: list[Any]) -> Any:
    term = _sum_away(term, set(output))
    order = [term.labels.index(label) for label in output]
    return term.tensor if order == list(range(len(order))) else permute(term.tensor, order)
