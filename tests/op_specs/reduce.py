"""Reductions, statistics, scans and sorts."""

import numpy as np

import rushlight as rl
from rushlight.testing.op_spec import Spec


def case(name, call, *inputs, **settings):
    """An operation written with methods that both libraries have."""
    return Spec(name, call, list(inputs), torch_function=call, **settings)


def function(name, *shapes, **settings):
    """A function of the same name in both libraries."""
    return Spec(name, getattr(rl, name.partition("-")[0]), list(shapes), **settings)


def values(name, *args, **names):
    """The first entry of a method's result."""
    return lambda x: getattr(x, name)(*args, **names)[0]


def apart(*shape):
    """Distinct numbers with distances that finite differences do not cross."""

    def draw(rng):
        count = int(np.prod(shape))
        return (rng.permutation(count) * 0.3 - 0.15 * count + 0.07).reshape(shape)

    return draw


def with_zeros(*zeros):
    """A (3, 4) array with zeros at some places."""

    def draw(rng):
        found = rng.uniform(0.5, 1.5, (3, 4)) * rng.choice([-1, 1], (3, 4))
        for place in zeros:
            found[place] = 0.0
        return found

    return draw


SUMS = [
    function("sum", (2, 3), complex=True),
    function("sum-dim", (2, 3), args=(1,)),
    function("sum-dims-keepdim", (2, 3, 2), args=((0, 2), True), complex=True),
    function("sum-zero-dim", ()),
    function("mean", (2, 3), complex=True),
    function("mean-dim", (2, 3), args=(0,)),
    function("mean-keepdim", (2, 3, 2), args=((0, -1), True)),
    function("nansum", (2, 3)),
    function("nansum-dim", (2, 3), args=(1,)),
    function("nanmean", (2, 3), args=(1,)),
    function("prod", (2, 3), complex=True),
    function("prod-dim", (2, 3), args=(1,), complex=True),
    function("prod-keepdim", (2, 3), args=(0, True)),
    function("prod-one-zero", with_zeros((0, 1)), args=(1,)),
    function("prod-two-zeros", with_zeros((0, 1), (0, 3)), args=(1,)),
    function("prod-all-zero", with_zeros((2, 1))),
    function("prod-zero-dim", ()),
    function("logsumexp", (2, 3), args=(1,)),
    function("logsumexp-dims", (2, 3, 2), args=((0, 2), True)),
    case("sum_to_size", lambda x: x.sum_to_size(3, 1), (2, 3, 4)),
]

EXTREMES = [
    function("amax", apart(2, 3)),
    function("amax-dims", apart(2, 3, 2), args=((0, 2), True)),
    function("amin-dim", apart(2, 3), args=(1,)),
    function("max", apart(2, 3)),
    function("min", apart(2, 3)),
    case("max-dim", values("max", 1), apart(2, 3)),
    case("max-keepdim", values("max", 0, True), apart(2, 3)),
    case("min-dim", values("min", -1), apart(2, 3)),
    case("max-zero-dim", values("max", 0), ()),
    case("aminmax", lambda x: tuple(x.aminmax()), apart(2, 3)),
    case("aminmax-dim", lambda x: tuple(x.aminmax(dim=1, keepdim=True)), apart(2, 3)),
]

STATISTICS = [
    function("var", (2, 3)),
    function("var-dim", (2, 3), args=(1,), kwargs={"correction": 0}),
    function("var-keepdim", (2, 3, 2), args=((0, 2),), kwargs={"keepdim": True}, complex=True),
    function("std", (2, 3)),
    function("std-dim", (2, 4), args=(1,), kwargs={"unbiased": False}),
    function("var_mean", (2, 3), args=(1,)),
    function("std_mean", (2, 3)),
    function("median", apart(2, 3)),
    function("nanmedian", apart(5)),
    case("median-dim", values("median", 1), apart(2, 4)),
    case("nanmedian-dim", values("nanmedian", 1, True), apart(2, 4)),
    case("mode", values("mode"), apart(2, 4)),
    case("kthvalue", values("kthvalue", 2, 0), apart(3, 2)),
    function("quantile", apart(2, 4), args=(0.37,)),
    function("quantile-dim", apart(2, 4), args=(0.37, 1, True)),
    case("quantile-levels", lambda x, q: x.quantile(q, dim=0), apart(4, 3), lambda rng: np.array([0.13, 0.4, 0.91])),
    *[
        function(f"quantile-{mode}", apart(5), args=(0.3,), kwargs={"interpolation": mode})
        for mode in ("lower", "higher", "midpoint", "nearest")
    ],
    function("nanquantile", apart(2, 4), args=(0.37, 1)),
    function("cov", (2, 4)),
    function("cov-correction", (3, 4), kwargs={"correction": 0}),
]

NORMS = [
    *[function(f"norm-{p}", apart(2, 3), args=(p,)) for p in (0.5, 1, 1.5, 2, 3)],
    function("norm-inf", apart(2, 3), args=(float("inf"),)),
    function("norm-minus-inf", apart(2, 3), args=(float("-inf"),)),
    function("norm-zero", apart(2, 3), args=(0,), order=1),
    function("norm-dim", apart(2, 3), args=(2, 1), complex=True),
    function("norm-dims-keepdim", apart(2, 3, 2), args=("fro", (0, 2), True)),
    *[function(f"dist-{p}", apart(2, 3), lambda rng: rng.uniform(-0.05, 0.05, 3), args=(p,)) for p in (1, 2, 3)],
    function("renorm", apart(3, 4), args=(2, 0, 1.0)),
    function("renorm-one", apart(3, 2), args=(1, 1, 0.8)),
]

SCANS = [
    function("cumsum", (2, 3), args=(1,), complex=True),
    function("cumsum-zero-dim", (), args=(0,)),
    function("cumprod", (2, 3), args=(1,), complex=True),
    function("cumprod-first", (4, 2), args=(0,)),
    function("cumprod-zeros", with_zeros((0, 1), (1, 0), (1, 2)), args=(1,)),
    function("logcumsumexp", (2, 4), args=(1,)),
    function("logcumsumexp-first", (4, 2), args=(0,)),
    case("cummax", values("cummax", 1), apart(2, 5)),
    case("cummin", values("cummin", 0), apart(5, 2)),
    function("diff", (2, 4)),
    function("diff-twice", (4, 2), kwargs={"n": 2, "dim": 0}),
    function("trapezoid", (2, 4)),
    function("trapezoid-x", (2, 4), lambda rng: np.array([0.0, 0.3, 0.7, 1.5])),
    function("cumulative_trapezoid", (4, 2), kwargs={"dx": 0.5, "dim": 0}),
]

SORTS = [
    case("sort", values("sort"), apart(2, 4)),
    case("sort-descending", values("sort", 0, True), apart(4, 2)),
    case("sort-zero-dim", values("sort"), ()),
    case("msort", lambda x: x.msort(), apart(4, 2)),
    case("topk", values("topk", 2), apart(2, 4)),
    case("topk-smallest", values("topk", 2, 0, False), apart(4, 2)),
]

SPECS = [*SUMS, *EXTREMES, *STATISTICS, *NORMS, *SCANS, *SORTS]
