"""Copies, casts, fills and complex numbers from their parts."""

import sys

import rushlight as rl
from rushlight.testing.op_spec import Spec


def copied(target, source):
    out = target * 1
    out.copy_(source)
    return out


def filled(target, value):
    out = target * 1
    out[1:].fill_(value)
    return out


def zeroed(t):
    out = t * 2
    out[:, 1].zero_()
    return out


def parts(function):
    """The real and imaginary parts of `torch.complex` or `torch.polar` of two tensors."""

    def call(a, b):
        library = rl if isinstance(a, rl.Tensor) else sys.modules["torch"]
        found = getattr(library, function)(a, b)
        return found.real * 1.0, found.imag * 1.0

    return call


def case(name, call, inputs, **settings):
    return Spec(name, call, inputs, torch_function=call, **settings)


SPECS = [
    case("clone", lambda t: t.clone() * t, [(3, 4)], complex=True),
    case("clone-permuted", lambda t: t.permute(2, 0, 1).clone() * 3, [(2, 3, 4)]),
    case("contiguous", lambda t: t.transpose(0, 1).contiguous() * 2, [(3, 4)], complex=True),
    case("to-copy", lambda t: t.to(t.dtype, copy=True) * t, [(3, 4)], complex=True),
    case("type_as", lambda t: t.type_as(t.detach()) * t, [(3,)]),
    case("alias", lambda t: t[...] * t, [(3, 4)], complex=True),
    case("copy_", copied, [(3, 4), (4,)], complex=True),
    case("fill_", filled, [(3, 4), ()], complex=True),
    case("zero_", zeroed, [(3, 4)], complex=True),
    Spec("fill", rl.fill, [(2, 3), ()]),
    case("complex", parts("complex"), [(3, 1), (4,)]),
    case("polar", parts("polar"), [(3, 4), (3, 4)], domain=(0.2, 2.0)),
    Spec("cartesian_prod", rl.cartesian_prod, [(2,), (3,)]),
    Spec("combinations", rl.combinations, [(4,)]),
    Spec("meshgrid", rl.meshgrid, [(2,), (3,)], kwargs={"indexing": "xy"}),
]
