"""Views, indexing, gathering, joining and matrix products."""

import rushlight as rl
from rushlight.testing.op_spec import Spec


def integers(high, shape):
    return lambda rng: rng.integers(0, high, shape)


def mask(shape):
    return lambda rng: rng.random(shape) > 0.4


def method(name, *args, **kwargs):
    return lambda t, *rest: getattr(t, name)(*rest, *args, **kwargs)


def view_case(name, call, shape=(3, 4), complex=True):
    """A function of one tensor that both libraries spell the same."""
    return Spec(name, call, [shape], torch_function=call, complex=complex)


def shared_case(name, call, arguments, **options):
    """A function of several tensors that both libraries spell the same."""
    return Spec(name, call, arguments, torch_function=call, **options)


VIEWS = [
    view_case("reshape", lambda t: t.reshape(2, 6)),
    view_case("reshape-copy", lambda t: t.mT.reshape(-1)),
    view_case("view", lambda t: t.contiguous().view(4, 3)),
    view_case("flatten", lambda t: t.flatten()),
    view_case("unflatten", lambda t: t.unflatten(1, (2, -1))),
    view_case("permute", lambda t: t.permute(2, 0, 1), (2, 3, 4)),
    view_case("transpose", lambda t: t.transpose(0, 1)),
    view_case("t", lambda t: t.t()),
    view_case("adjoint", lambda t: t.adjoint()),
    view_case("movedim", lambda t: t.movedim(0, -1), (2, 3, 4)),
    view_case("expand", lambda t: t.expand(5, 3, 4)),
    view_case("expand-ones", lambda t: t.expand(3, 4), (3, 1)),
    view_case("squeeze", lambda t: t.squeeze(), (3, 1, 4, 1)),
    view_case("squeeze-dim", lambda t: t.squeeze(1), (3, 1, 4)),
    view_case("squeeze-dims", lambda t: t.squeeze((1, 3)), (3, 1, 4, 1)),
    view_case("unsqueeze", lambda t: t.unsqueeze(-1)),
    view_case("select", lambda t: t.select(1, 2)),
    view_case("narrow", lambda t: t.narrow(1, 1, 2)),
    view_case("diagonal", lambda t: t.diagonal(1)),
    view_case("split", lambda t: t.split(3, 1), (3, 7)),
    view_case("split-sizes", lambda t: t.split([1, 3], 1)),
    view_case("split-first", lambda t: t.split(2, 1)[0]),
    view_case("chunk", lambda t: t.chunk(3, 1)),
    view_case("tensor_split", lambda t: t.tensor_split((1, 3), 1)),
    view_case("unbind", lambda t: t.unbind(1)),
    view_case("unbind-one", lambda t: t.unbind(1)[2]),
    view_case("unfold-windows", lambda t: t.unfold(1, 3, 2), (2, 7)),
    view_case("as_strided", lambda t: t.as_strided((2, 3), (3, 1), 1)),
    view_case("as_strided-overlap", lambda t: t.as_strided((3, 4), (1, 2), 0)),
]

INDEXING = [
    view_case("getitem-int", lambda t: t[1]),
    view_case("getitem-slices", lambda t: t[1:, ::2]),
    view_case("getitem-none", lambda t: t[None, :, None, 1]),
    view_case("getitem-ellipsis", lambda t: t[..., 0]),
    view_case("getitem-list", lambda t: t[[0, 2, 0]]),
    view_case("getitem-lists", lambda t: t[[0, 2], [1, 3]]),
    view_case("getitem-mixed", lambda t: t[1:, [0, 0, 3]]),
    view_case("getitem-apart", lambda t: t[[0, 1], :, [1, 2]], (2, 3, 4)),
    shared_case("getitem-tensor", lambda t, i: t[i], [(4, 3), integers(4, (2, 2))]),
    shared_case("getitem-mask", lambda t, m: t[m], [(3, 4), mask((3, 4))]),
    shared_case("getitem-row-mask", lambda t, m: t[m], [(3, 4), mask((3,))]),
    shared_case("setitem-slice", lambda t, v: _assign(t, (slice(1, 3),), v), [(4, 3), (2, 3)]),
    shared_case("setitem-broadcast", lambda t, v: _assign(t, (0,), v), [(4, 3), (1,)]),
    shared_case("setitem-list", lambda t, v: _assign(t, ([0, 2],), v), [(4, 3), (2, 3)]),
    shared_case("setitem-mask", lambda t, m, v: _assign(t, (m,), v), [(4, 3), mask((4, 3)), ()]),
    Spec(
        "index_put-accumulate", lambda t, i, v: t.index_put((i,), v, accumulate=True), [(4, 3), integers(4, (5,)), (5, 3)],
        torch_function=lambda t, i, v: t.index_put((i,), v, accumulate=True),
    ),
    Spec(
        "gather", lambda t, i: rl.gather(t, 1, i), [(3, 4), integers(4, (2, 3))],
        torch_function=lambda t, i: t.gather(1, i), complex=True,
    ),
    Spec(
        "take_along_dim", lambda t, i: rl.take_along_dim(t, i, 1), [(3, 4), integers(4, (1, 2))],
        torch_function=lambda t, i: t.take_along_dim(i, 1),
    ),
    Spec(
        "scatter", lambda t, s: t.scatter(1, _perm(rl), s), [(3, 4), (3, 4)],
        torch_function=lambda t, s: t.scatter(1, _perm(_torch()), s),
    ),
    shared_case("scatter-value", lambda t, i: t.scatter(1, i, 2.5), [(3, 4), integers(4, (3, 2))]),
    shared_case("scatter_add", lambda t, i, s: t.scatter_add(0, i, s), [(3, 4), integers(3, (5, 4)), (5, 4)]),
    *[
        Spec(
            f"scatter_reduce-{how}-{own}", lambda t, i, s, how=how, own=own: t.scatter_reduce(0, i, s, how, include_self=own),
            [(3, 4), integers(3, (5, 4)), (5, 4)],
            torch_function=lambda t, i, s, how=how, own=own: t.scatter_reduce(0, i, s, how, include_self=own),
            domain=(0.5, 2.0),
        )
        for how in ("sum", "mean", "prod", "amax", "amin") for own in (True, False)
    ],
    shared_case("index_select", lambda t, i: t.index_select(1, i), [(3, 4), integers(4, (5,))]),
    shared_case("index_add", lambda t, i, s: t.index_add(0, i, s, alpha=2), [(3, 4), integers(3, (5,)), (5, 4)]),
    Spec(
        "index_copy", lambda t, s: t.index_copy(0, _index(rl), s), [(4, 3), (2, 3)],
        torch_function=lambda t, s: t.index_copy(0, _index(_torch()), s),
    ),
    Spec(
        "index_fill", lambda t, v: t.index_fill(0, _index(rl), v), [(4, 3), ()],
        torch_function=lambda t, v: t.index_fill(0, _index(_torch()), v),
    ),
    shared_case("take", lambda t, i: t.take(i), [(3, 4), integers(12, (2, 3))]),
    Spec("put", lambda t, s: t.put(_index(rl), s), [(4, 3), (2,)], torch_function=lambda t, s: t.put(_index(_torch()), s)),
    shared_case("put-accumulate", lambda t, i, s: t.put(i, s, accumulate=True), [(4, 3), integers(12, (5,)), (5,)]),
    shared_case("masked_select", lambda t, m: t.masked_select(m), [(3, 4), mask((3, 4))]),
    shared_case("masked_select-broadcast", lambda t, m: t.masked_select(m), [(3, 4), mask((3, 1))]),
    shared_case("masked_scatter", lambda t, m, s: t.masked_scatter(m, s), [(3, 4), mask((3, 4)), (12,)]),
]


def _assign(t, key, value):
    out = t.clone()
    out[key] = value
    return out


def _torch():
    import torch

    return torch


def _perm(library):
    return library.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]])


def _index(library):
    return library.tensor([2, 0])


JOINING = [
    Spec("cat", lambda a, b: rl.cat([a, b], 1), [(2, 3), (2, 4)], torch_function=lambda a, b: _torch().cat([a, b], 1), complex=True),
    Spec("stack", lambda a, b: rl.stack([a, b], 1), [(2, 3), (2, 3)], torch_function=lambda a, b: _torch().stack([a, b], 1), complex=True),
    Spec("hstack", lambda a, b: rl.hstack([a, b]), [(2, 3), (2, 4)], torch_function=lambda a, b: _torch().hstack([a, b])),
    Spec("vstack", lambda a, b: rl.vstack([a, b]), [(3,), (2, 3)], torch_function=lambda a, b: _torch().vstack([a, b])),
    Spec("dstack", lambda a, b: rl.dstack([a, b]), [(2, 3), (2, 3)], torch_function=lambda a, b: _torch().dstack([a, b])),
    Spec("column_stack", lambda a, b: rl.column_stack([a, b]), [(3,), (3, 2)], torch_function=lambda a, b: _torch().column_stack([a, b])),
    Spec("block_diag", lambda a, b: rl.block_diag(a, b), [(2, 3), (1, 2)], torch_function=lambda a, b: _torch().block_diag(a, b)),
    view_case("repeat", lambda t: t.repeat(2, 1, 3)),
    view_case("tile", lambda t: t.tile((2,))),
    view_case("repeat_interleave", lambda t: t.repeat_interleave(2, dim=1)),
    view_case("repeat_interleave-flat", lambda t: t.repeat_interleave(3)),
    view_case("flip", lambda t: t.flip(0, 1)),
    view_case("roll", lambda t: t.roll((1, -2), (0, 1))),
    view_case("roll-flat", lambda t: t.roll(3)),
    view_case("rot90", lambda t: t.rot90(3, (0, 1))),
    view_case("tril", lambda t: t.tril(1)),
    view_case("triu", lambda t: t.triu(-1)),
    view_case("diag", lambda t: t.diag(1)),
    view_case("diag-vector", lambda t: t.diag(-1), (3,)),
    view_case("diag_embed", lambda t: t.diag_embed(1)),
    view_case("trace", lambda t: t.trace()),
    shared_case("select_scatter", lambda t, s: t.select_scatter(s, 1, 2), [(3, 4), (3,)]),
    shared_case("slice_scatter", lambda t, s: t.slice_scatter(s, 1, 1, 3), [(3, 4), (3, 2)]),
    shared_case("diagonal_scatter", lambda t, s: t.diagonal_scatter(s), [(3, 4), (3,)]),
]


def product(name, *shapes, function=None, **kwargs):
    return Spec(name, function or getattr(rl, name.partition("-")[0]), list(shapes), complex=True, **kwargs)


def einsum_case(equation, *shapes):
    return Spec(
        f"einsum-{equation}", lambda *ts: rl.einsum(equation, *ts), list(shapes), torch_function=lambda *ts: _torch().einsum(equation, *ts),
        complex=True,
    )


PRODUCTS = [
    product("mm", (2, 3), (3, 4)), product("bmm", (2, 3, 4), (2, 4, 5)), product("mv", (3, 4), (4,)), product("dot", (5,), (5,)),
    product("vdot", (5,), (5,)), product("outer", (3,), (4,)), product("inner", (2, 3), (4, 3)),
    product("addmm", (4,), (2, 3), (3, 4), kwargs={"beta": 0.5, "alpha": 2.0}),
    product("addmm-full", (2, 4), (2, 3), (3, 4)), product("baddbmm", (2, 3, 5), (2, 3, 4), (2, 4, 5), kwargs={"alpha": -1.5}),
    product("addmv", (3,), (3, 4), (4,), kwargs={"beta": 2.0}), product("addr", (3, 4), (3,), (4,), kwargs={"alpha": 0.5}),
    product("addbmm", (3, 5), (2, 3, 4), (2, 4, 5)),
    product("matmul-vv", (3,), (3,)), product("matmul-mv", (2, 3), (3,)), product("matmul-vm", (3,), (3, 4)),
    product("matmul-mm", (2, 3), (3, 4)), product("matmul-bm", (2, 2, 3), (3, 4)), product("matmul-bb", (2, 1, 2, 3), (3, 3, 4)),
    product("matmul-mb", (2, 3), (5, 3, 4)), product("matmul-bv", (5, 2, 3), (3,)), product("matmul-vb", (3,), (5, 3, 2)),
    product("tensordot", (2, 3, 4), (3, 4, 5)), product("tensordot-dims", (2, 3), (4, 2), kwargs={"dims": ([0], [1])}),
    product("kron", (2, 3), (3, 2)),
    einsum_case("ij,jk->ik", (2, 3), (3, 4)), einsum_case("ii->i", (3, 3)), einsum_case("ii", (3, 3)), einsum_case("ij->ji", (2, 3)),
    einsum_case("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), einsum_case("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    einsum_case("i,j->ij", (3,), (4,)), einsum_case("ij,kj->", (2, 3), (4, 3)), einsum_case("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    einsum_case("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), einsum_case("i...->...", (3, 2, 2)), einsum_case("iij,j->i", (3, 3, 2), (2,)),
]

SPECS = [*VIEWS, *INDEXING, *JOINING, *PRODUCTS]
