"""The distributions against torch: same seed, same numbers, and the same state afterwards.

A check compares the values and then the 5056 bytes of both generators' states, so a function that gives the right
numbers from the wrong draws fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.reference import box_muller, random, random_integers
from rushlight.core.generator import Generator

F16, BF16, F32, F64 = (np.dtype(t) for t in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64))
I64 = np.dtype(np.int64)
FLOATS = [F64, F32, F16, BF16]
INTEGERS = [np.dtype(t) for t in (np.int8, np.int16, np.int32, np.int64, np.uint8)]
COMPLEX = [np.dtype(np.complex64), np.dtype(np.complex128)]
BOOL = np.dtype(np.bool_)
SIZES = [0, 1, 2, 15, 16, 17, 31, 100, 1000, 4097]


def gen(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


# --- what needs no oracle ---


def test_eleven_million_normals_take_well_under_a_second_each_way():
    start = time.process_time()
    values = random.normal(gen(), (11_000_000 // 8,), F32)
    spent = time.process_time() - start
    assert spent < 1.0, f"an eighth of a resnet's parameters took {spent:.2f} s"
    assert abs(float(values.mean(dtype=np.float64))) < 0.005 and abs(float(values.std(dtype=np.float64)) - 1) < 0.005


@pytest.mark.parametrize("dtype", [F32, F64])
def test_fma_rounds_once(dtype):
    g = np.random.default_rng(0)
    x, scale, shift = (g.standard_normal(5000).astype(dtype) for _ in range(3))
    shift[:2500] = -(x * scale)[:2500]  # cancellation: only the product's rounding error is left
    got = box_muller.fma(x, scale, shift)
    from fractions import Fraction

    exact = [
        Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)) for a, b, c in zip(x, scale, shift, strict=True)
    ]
    expected = np.array([dtype.type(float(value)) for value in exact])
    assert np.array_equal(got, expected)


def test_fma_keeps_infinities():
    x = np.array([np.inf, -np.inf, 1e308, np.nan])
    with np.errstate(all="ignore"):
        assert np.array_equal(box_muller.fma(x, np.float64(10), np.float64(1)), [np.inf, -np.inf, np.inf, np.nan], True)


def test_log_and_sincos_are_accurate():
    u = (np.arange(1, 2**16 + 1) / 2**16).astype(np.float32)
    assert np.allclose(box_muller.log32(u), np.log(u.astype(np.float64)), rtol=2e-7, atol=1e-9)
    angle = np.linspace(0, 2 * np.pi, 100_001).astype(np.float32)
    sine, cosine = box_muller.sincos32(angle)
    assert np.allclose(sine, np.sin(angle.astype(np.float64)), rtol=0, atol=1.5e-7)
    assert np.allclose(cosine, np.cos(angle.astype(np.float64)), rtol=0, atol=1.5e-7)


def test_randperm_for_huge_n_shuffles_from_the_inside_out(monkeypatch):
    monkeypatch.setattr(random_integers, "PERM_LIMIT", 1000)
    got = random_integers.randperm(gen(5), 1500, I64)
    expected = [0] * 1500
    for i, word in enumerate(gen(5).raw64(1500).tolist()):
        place = word % (i + 1)
        expected[i] = expected[place]
        expected[place] = i
    assert got.tolist() == expected and sorted(expected) == list(range(1500))


def test_shared_generators_give_whole_pairs_to_each_thread():
    """The cached normal is taken and left under the lock: two threads never get the same one."""
    import threading

    g, parts = gen(3), []

    def work() -> None:
        for _ in range(200):
            parts.append(random.normal(g, (3,), F64))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = np.concatenate([random.normal(h, (3,), F64) for h in [gen(3)] for _ in range(800)])
    assert np.array_equal(np.sort(np.concatenate(parts)), np.sort(expected))


def test_fresh_results_and_filled_ones_agree():
    out = np.empty((3, 7), np.float32)
    assert random.uniform(gen(), (3, 7), F32, out=out) is out
    assert np.array_equal(out, random.uniform(gen(), (3, 7), F32))
    permuted = np.empty((7, 3), np.float32).T
    random.uniform(gen(), (3, 7), F32, out=permuted)
    assert np.array_equal(permuted.T.ravel(), out.ravel())  # memory order


# --- against torch ---

torch = pytest.importorskip("torch", reason="parity tests need torch")

TORCH = {
    F64: torch.float64, F32: torch.float32, F16: torch.float16, BF16: torch.bfloat16, BOOL: torch.bool,
    **{np.dtype(name): getattr(torch, name) for name in
       ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "complex64", "complex128")},
}  # fmt: skip


def numpy_of(tensor: Any) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.uint16).numpy().view(BF16)
    return tensor.numpy()


def tensor_of(array: np.ndarray) -> Any:
    if array.dtype == BF16:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def assert_same(got: np.ndarray, expected: Any, ulps: int = 0) -> None:
    wanted = numpy_of(expected)
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    if ulps == 0:
        assert np.array_equal(np.ascontiguousarray(got).view(np.uint8), np.ascontiguousarray(wanted).view(np.uint8))
        return
    wide, other = got.astype(np.complex128), wanted.astype(np.complex128)
    spacing = float(ml_dtypes.finfo(got.real.dtype).eps)
    assert np.allclose(wide, other, rtol=ulps * spacing, atol=ulps * spacing * 1e-3, equal_nan=True)


def check(
    ours: Callable[[Generator], np.ndarray], theirs: Callable[[Any], Any], seeds: Any = (0, 1, 123), ulps: int = 0
):
    """Run both from the same seed; compare the numbers, the states, and the numbers of a second run from there."""
    for seed in seeds:
        g, h = gen(seed), torch.Generator().manual_seed(seed)
        for _ in range(2):
            assert_same(ours(g), theirs(h), ulps)
            assert np.array_equal(g.get_state_bytes(), h.get_state().numpy()), "the states differ"


@pytest.mark.parametrize("dtype", FLOATS + COMPLEX, ids=str)
@pytest.mark.parametrize("n", SIZES)
def test_rand(n, dtype):
    check(lambda g: random.uniform(g, (n,), dtype), lambda h: torch.rand(n, dtype=TORCH[dtype], generator=h))


@pytest.mark.parametrize("bounds", [(-0.3, 0.7), (0.1, 3.3), (-5.123, -5.1), (2.0, 2.0), (0.0, 1e-3), (-1.0, 0.0)])
@pytest.mark.parametrize("dtype", FLOATS + COMPLEX, ids=str)
def test_uniform_between_bounds(dtype, bounds):
    check(
        lambda g: random.uniform(g, (20, 500), dtype, *bounds),
        lambda h: torch.empty(20, 500, dtype=TORCH[dtype]).uniform_(*bounds, generator=h),
    )


@pytest.mark.parametrize("dtype", [F32, F16, BF16, np.dtype(np.complex64)], ids=str)
@pytest.mark.parametrize("n", SIZES)
def test_randn_to_the_last_bit(n, dtype):
    check(lambda g: random.normal(g, (n,), dtype), lambda h: torch.randn(n, dtype=TORCH[dtype], generator=h))


@pytest.mark.parametrize("dtype", [F64, np.dtype(np.complex128)], ids=str)
@pytest.mark.parametrize("n", SIZES)
def test_randn_in_float64_to_a_few_last_bits(n, dtype):
    check(
        lambda g: random.normal(g, (n,), dtype),
        lambda h: torch.randn(n, dtype=TORCH[dtype], generator=h),
        ulps=0 if n < 8 else 8,
    )


def test_a_million_normals_are_equal_to_the_last_bit():
    check(lambda g: random.normal(g, (2**20,), F32), lambda h: torch.randn(2**20, generator=h), seeds=(77,))


@pytest.mark.parametrize("mean_std", [(0.0, 0.02), (1.5, 1.0), (-0.3, 1.7), (2.0, 0.0)])
@pytest.mark.parametrize("n", [3, 16, 1000])
@pytest.mark.parametrize("dtype", FLOATS + COMPLEX, ids=str)
def test_normal_with_mean_and_std(dtype, n, mean_std):
    check(
        lambda g: random.normal(g, (n,), dtype, *mean_std),
        lambda h: torch.empty(n, dtype=TORCH[dtype]).normal_(*mean_std, generator=h),
        ulps=64 if dtype in (F64, np.complex128) else 0,
    )


@pytest.mark.parametrize("dtype", FLOATS + COMPLEX, ids=str)
def test_non_contiguous_tensors_are_filled_in_memory_order(dtype):
    def ours(fill: Callable[..., np.ndarray]) -> Callable[[Generator], np.ndarray]:
        return lambda g: fill(g, (3, 5, 4, 2), dtype, out=np.zeros((4, 2, 5, 3), dtype).transpose(3, 2, 0, 1))

    def theirs(name: str) -> Callable[[Any], Any]:
        return lambda h: getattr(torch.zeros(4, 2, 5, 3, dtype=TORCH[dtype]).permute(3, 2, 0, 1), name)(generator=h)

    check(ours(random.uniform), theirs("uniform_"))
    check(ours(random.normal), theirs("normal_"), ulps=4)
    sliced = lambda g: random.normal(g, (6, 6), dtype, out=np.zeros((12, 12), dtype)[::2, ::2])  # noqa: E731
    check(sliced, lambda h: torch.zeros(12, 12, dtype=TORCH[dtype])[::2, ::2].normal_(generator=h), ulps=4)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_normal_with_arrays(dtype):
    mean, std = np.linspace(-1, 1, 20).astype(dtype), np.linspace(0, 2, 60).reshape(3, 20).astype(dtype)
    ulps = 64 if dtype == F64 else 0
    tensors = tensor_of(mean), tensor_of(std)
    check(lambda g: random.normal_tensor(g, mean, std), lambda h: torch.normal(*tensors, generator=h), ulps=ulps)
    check(lambda g: random.normal_tensor(g, mean, 0.3), lambda h: torch.normal(tensors[0], 0.3, generator=h), ulps=ulps)
    check(lambda g: random.normal_tensor(g, 0.7, std), lambda h: torch.normal(0.7, tensors[1], generator=h), ulps=ulps)


RANGES = [(0, 1), (0, 10), (-5, 5), (3, 100)]


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS], ids=str)
@pytest.mark.parametrize("low_high", RANGES)
def test_randint(dtype, low_high):
    if dtype == np.uint8 and low_high[0] < 0:
        pytest.skip("uint8 holds no negative numbers")
    check(
        lambda g: random_integers.randint(g, (100,), *low_high, dtype),
        lambda h: torch.randint(*low_high, (100,), dtype=TORCH[dtype], generator=h),
    )


WIDE = [
    (0, 2**28 - 1),
    (0, 2**28),
    (-(2**27), 2**27),
    (-3, 2**31),
    (0, 2**32),
    (-(2**62), 2**62),
    (-(2**63), 2**63 - 1),
]


@pytest.mark.parametrize("dtype", [I64, F64, np.dtype(np.uint32), F32, BF16], ids=str)
@pytest.mark.parametrize("low_high", WIDE)
@pytest.mark.filterwarnings("ignore:.*is out of bounds.*:UserWarning")
def test_randint_over_wide_ranges_takes_two_words(dtype, low_high):
    if dtype == np.uint32 and not 0 <= low_high[0] < low_high[1] <= 2**32:
        pytest.skip("out of the range of uint32")
    check(
        lambda g: random_integers.randint(g, (50,), *low_high, dtype),
        lambda h: torch.empty(50, dtype=TORCH[dtype]).random_(*low_high, generator=h),
    )


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, BOOL], ids=str)
@pytest.mark.parametrize("n", [0, 1, 100])
def test_random_without_bounds(n, dtype):
    check(
        lambda g: random_integers.random_full(g, (n,), dtype), lambda h: torch.empty(n, dtype=TORCH[dtype]).random_(generator=h)
    )


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, BOOL], ids=str)
@pytest.mark.parametrize("low", [0, 1])
def test_random_from_a_lower_bound(dtype, low):
    check(
        lambda g: random_integers.randint(g, (50,), low, None, dtype),
        lambda h: torch.empty(50, dtype=TORCH[dtype]).random_(low, None, generator=h),
    )


@pytest.mark.parametrize("dtype", [I64, F64, F32, BF16], ids=str)
def test_random_over_all_of_int64(dtype):
    check(
        lambda g: random_integers.randint(g, (50,), -(2**63), None, dtype),
        lambda h: torch.empty(50, dtype=TORCH[dtype]).random_(-(2**63), None, generator=h),
    )


@pytest.mark.parametrize("low_high", [(2047, 4099), (-4097, -2050), (4001, 4007), (-3001, 3001)])
@pytest.mark.filterwarnings("ignore:.*is out of bounds.*:UserWarning")
def test_bounds_between_half_numbers_move_inside(low_high):
    check(
        lambda g: random_integers.randint(g, (200,), *low_high, F16),
        lambda h: torch.empty(200, dtype=torch.half).random_(*low_high, generator=h),
    )


@pytest.mark.parametrize("dtype", [I64, np.dtype(np.int32), F32, F64], ids=str)
@pytest.mark.parametrize("n", SIZES)
def test_randperm(n, dtype):
    check(lambda g: random_integers.randperm(g, n, dtype), lambda h: torch.randperm(n, dtype=TORCH[dtype], generator=h))


@pytest.mark.parametrize(("n", "dtype"), [(127, np.int8), (255, np.uint8), (2000, np.int16), (2049, F16), (300, BF16)])
def test_randperm_in_narrow_types(n, dtype):
    dtype = np.dtype(dtype)
    check(lambda g: random_integers.randperm(g, n, dtype), lambda h: torch.randperm(n, dtype=TORCH[dtype], generator=h))


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, BOOL], ids=str)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_bernoulli_with_a_scalar(dtype, p):
    for n in SIZES:
        check(
            lambda g, n=n: random.bernoulli_scalar(g, (n,), p, dtype),
            lambda h, n=n: torch.empty(n, dtype=TORCH[dtype]).bernoulli_(p, generator=h),
            seeds=(n,),
        )
    check(
        lambda g: random.bernoulli_scalar(g, (5, 4), p, dtype, np.zeros((4, 5), dtype).T),
        lambda h: torch.zeros(4, 5, dtype=TORCH[dtype]).t().bernoulli_(p, generator=h),
    )


@pytest.mark.parametrize("p_dtype", FLOATS, ids=str)
def test_bernoulli_with_an_array(p_dtype):
    for n in SIZES:
        p = np.random.default_rng(n).random(n).astype(p_dtype)
        check(
            lambda g, p=p: random.bernoulli_tensor(g, p),
            lambda h, p=p: torch.bernoulli(tensor_of(p), generator=h),
            seeds=(n,),
        )
    p = np.linspace(0, 1, 12).astype(p_dtype).reshape(3, 4)
    for dtype in (F32, I64, BOOL):
        check(
            lambda g, dtype=dtype: random.bernoulli_tensor(g, p[0], out=np.zeros((4, 5), dtype).T),
            lambda h, dtype=dtype: (
                torch.zeros(4, 5, dtype=TORCH[dtype]).t().bernoulli_(tensor_of(p[0].copy()), generator=h)
            ),
        )


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_dropout(dtype, p):
    x = np.random.default_rng(0).standard_normal((7, 60)).astype(dtype)

    def theirs(name: str) -> Callable[[Any], Any]:
        def run(h: Any) -> Any:  # these functions have no generator argument: lend the default one this state
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(h.get_state())
                result = (
                    torch.dropout(tensor_of(x), p, True)
                    if name == "dropout"
                    else torch.native_dropout(tensor_of(x), p, True)
                )
                h.set_state(torch.get_rng_state())
            return result if name == "dropout" else result[0 if name == "output" else 1]

        return run

    def ours(g: Generator) -> np.ndarray:
        return (x.astype(F64) * random.dropout_noise(g, x.shape, dtype, p).astype(F64)).astype(dtype)

    check(ours, theirs("dropout"))
    check(lambda g: random.native_dropout(g, x, p)[0], theirs("output"))
    check(lambda g: random.native_dropout(g, x, p)[1], theirs("mask"))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_inverted_distributions(dtype, n):
    empty = lambda: torch.empty(n, dtype=TORCH[dtype])  # noqa: E731
    few = 4 if dtype == F64 else 1
    check(lambda g: random.exponential(g, (n,), dtype), lambda h: empty().exponential_(generator=h), ulps=few)
    check(lambda g: random.exponential(g, (n,), dtype, 2.5), lambda h: empty().exponential_(2.5, generator=h), ulps=few)
    check(lambda g: random.geometric(g, (n,), 0.3, dtype), lambda h: empty().geometric_(0.3, generator=h))
    check(lambda g: random.cauchy(g, (n,), dtype), lambda h: empty().cauchy_(generator=h), ulps=few)
    check(
        lambda g: random.cauchy(g, (n,), dtype, 1.5, 0.3),
        lambda h: empty().cauchy_(1.5, 0.3, generator=h),
        ulps=8 * few,
    )
    check(lambda g: random.log_normal(g, (n,), dtype), lambda h: empty().log_normal_(generator=h), ulps=4 * few)
    check(
        lambda g: random.log_normal(g, (n,), dtype, -0.5, 0.25),
        lambda h: empty().log_normal_(-0.5, 0.25, generator=h),
        ulps=4 * few,
    )


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_geometric_integers(dtype):
    check(
        lambda g: random.geometric(g, (300,), 0.4, dtype),
        lambda h: torch.empty(300, dtype=TORCH[dtype]).geometric_(0.4, generator=h),
    )


@pytest.mark.parametrize("dtype", [F64, F32, F16, BF16], ids=str)
def test_multinomial_with_replacement(dtype):
    for shape, num_samples in [((10,), 1), ((10,), 50), ((1,), 3), ((4, 10), 25), ((3, 1000), 7), ((0, 4), 2)]:
        p = np.random.default_rng(1).random(shape).astype(dtype)
        check(
            lambda g, p=p, n=num_samples: random.multinomial(g, p, n, True),
            lambda h, p=p, n=num_samples: torch.multinomial(tensor_of(p), n, True, generator=h),
        )


@pytest.mark.parametrize("dtype", [F64, F32], ids=str)
def test_multinomial_without_replacement(dtype):
    for shape, num_samples in [
        ((10,), 1),
        ((10,), 10),
        ((1,), 1),
        ((4, 10), 5),
        ((3, 1000), 7),
        ((3, 1000), 1),
        ((3, 90), 90),
    ]:
        p = np.random.default_rng(1).random(shape).astype(dtype)
        check(
            lambda g, p=p, n=num_samples: random.multinomial(g, p, n),
            lambda h, p=p, n=num_samples: torch.multinomial(tensor_of(p), n, generator=h),
        )
    p = np.random.default_rng(1).random((10, 4)).astype(dtype)
    check(lambda g: random.multinomial(g, p.T, 3), lambda h: torch.multinomial(tensor_of(p).t(), 3, generator=h))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_poisson(dtype):
    for rates in (
        np.zeros(5),
        np.full(100, 2.5),
        np.linspace(0, 30, 200).reshape(4, 50),
        np.full(1000, 100.0),
        np.zeros(0),
    ):
        rate = rates.astype(dtype)
        check(
            lambda g, rate=rate: random.poisson(g, rate),
            lambda h, rate=rate: torch.poisson(tensor_of(rate), generator=h),
        )


def test_functions_interleave_as_in_torch():
    steps = [
        (lambda g: random.uniform(g, (5,), F32), lambda h: torch.rand(5, generator=h)),
        (lambda g: random.normal(g, (3,), F32), lambda h: torch.randn(3, generator=h)),
        (lambda g: random_integers.randint(g, (7,), 0, 10, I64), lambda h: torch.randint(0, 10, (7,), generator=h)),
        (lambda g: random.normal(g, (20,), F32), lambda h: torch.randn(20, generator=h)),
        (lambda g: random.normal(g, (2,), F32), lambda h: torch.randn(2, generator=h)),
        (lambda g: random_integers.randperm(g, 9, I64), lambda h: torch.randperm(9, generator=h)),
        (lambda g: random.normal(g, (), F16), lambda h: torch.randn((), dtype=torch.half, generator=h)),
        (lambda g: random.poisson(g, np.full(3, 4, F32)), lambda h: torch.poisson(torch.full((3,), 4.0), generator=h)),
        (lambda g: random_integers.random_full(g, (), I64), lambda h: torch.empty((), dtype=torch.int64).random_(generator=h)),
        (lambda g: random.bernoulli_scalar(g, (4,), 0.5, F32), lambda h: torch.empty(4).bernoulli_(0.5, generator=h)),
        (lambda g: random.normal(g, (5,), F32), lambda h: torch.randn(5, generator=h)),
    ]
    for seed in range(20):
        g, h = gen(seed), torch.Generator().manual_seed(seed)
        for i in np.random.default_rng(seed).integers(0, len(steps), 30):
            ours, theirs = steps[i]
            assert_same(ours(g), theirs(h))
            assert np.array_equal(g.get_state_bytes(), h.get_state().numpy())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda g: random.uniform(g, (3,), F32, 2, 1), "torch.empty(3).uniform_(2, 1)"),
        (lambda g: random.uniform(g, (3,), F32, float("nan"), 1), "torch.empty(3).uniform_(float('nan'), 1)"),
        (lambda g: random.uniform(g, (3,), F16, 0, 1e5), "torch.empty(3).half().uniform_(0, 1e5)"),
        (lambda g: random.uniform(g, (3,), F32, -3e38, 3e38), "torch.empty(3).uniform_(-3e38, 3e38)"),
        (lambda g: random.uniform(g, (3,), I64), "torch.empty(3).long().uniform_()"),
        (lambda g: random.normal(g, (3,), F32, 0, -1), "torch.empty(3).normal_(0, -1)"),
        (lambda g: random.normal(g, (3,), I64), "torch.empty(3).long().normal_()"),
        (lambda g: random.normal_tensor(g, 0.0, -np.ones(2)), "torch.normal(0.0, -torch.ones(2))"),
        (lambda g: random.normal_tensor(g, np.ones(2), -1.0), "torch.normal(torch.ones(2), -1.0)"),
        (lambda g: random_integers.randint(g, (3,), 5, 5, I64), "torch.randint(5, 5, (3,))"),
        (lambda g: random_integers.randint(g, (3,), 0, 300, np.dtype(np.int8)), "torch.empty(3).char().random_(0, 300)"),
        (lambda g: random_integers.randint(g, (3,), 0, 100000, F16), "torch.empty(3).half().random_(0, 100000)"),
        (lambda g: random_integers.randint(g, (3,), 0, 3, COMPLEX[0]), "torch.randint(0, 3, (3,), dtype=torch.cfloat)"),
        (lambda g: random_integers.randint(g, (3,), -(2**63), None, INTEGERS[2]), "torch.empty(3).int().random_(-2**63, None)"),
        (lambda g: random_integers.random_full(g, (3,), COMPLEX[0]), "torch.empty(3).cfloat().random_()"),
        (lambda g: random_integers.random_full(g, (3,), np.dtype(np.uint16)), "torch.empty(3, dtype=torch.uint16).random_()"),
        (lambda g: random_integers.randperm(g, -1, I64), "torch.randperm(-1)"),
        (lambda g: random_integers.randperm(g, 300, INTEGERS[0]), "torch.randperm(300, dtype=torch.int8)"),
        (lambda g: random_integers.randperm(g, 2050, F16), "torch.randperm(2050, dtype=torch.half)"),
        (lambda g: random_integers.randperm(g, 2, BOOL), "torch.randperm(2, dtype=torch.bool)"),
        (lambda g: random.bernoulli_scalar(g, (3,), 1.5, F32), "torch.empty(3).bernoulli_(1.5)"),
        (lambda g: random.bernoulli_scalar(g, (3,), 0.5, COMPLEX[0]), "torch.empty(3).cfloat().bernoulli_(0.5)"),
        (lambda g: random.bernoulli_tensor(g, np.array([2.0])), "torch.bernoulli(torch.tensor([2.0]))"),
        (lambda g: random.bernoulli_tensor(g, np.array([np.nan])), "torch.bernoulli(torch.tensor([float('nan')]))"),
        (lambda g: random.bernoulli_tensor(g, np.array([1])), "torch.bernoulli(torch.tensor([1]))"),
        (lambda g: random.dropout_noise(g, (3,), F32, 1.5), "torch.dropout(torch.ones(3), 1.5, True)"),
        (lambda g: random.exponential(g, (3,), F32, 0.0), "torch.empty(3).exponential_(0)"),
        (lambda g: random.exponential(g, (3,), I64), "torch.empty(3).long().exponential_()"),
        (lambda g: random.geometric(g, (3,), 1.0, F32), "torch.empty(3).geometric_(1.0)"),
        (lambda g: random.geometric(g, (3,), 0.5, BOOL), "torch.empty(3).bool().geometric_(0.5)"),
        (lambda g: random.cauchy(g, (3,), F32, 0.0, 0.0), "torch.empty(3).cauchy_(0, 0)"),
        (lambda g: random.cauchy(g, (3,), I64), "torch.empty(3).long().cauchy_()"),
        (lambda g: random.log_normal(g, (3,), F32, 0.0, 0.0), "torch.empty(3).log_normal_(0, 0)"),
        (lambda g: random.log_normal(g, (3,), I64), "torch.empty(3).long().log_normal_()"),
        (lambda g: random.multinomial(g, np.ones(3), 0), "torch.multinomial(torch.ones(3), 0)"),
        (lambda g: random.multinomial(g, np.ones(3), 4), "torch.multinomial(torch.ones(3), 4)"),
        (lambda g: random.multinomial(g, np.array([1.0, -1]), 1), "torch.multinomial(torch.tensor([1.0, -1]), 1)"),
        (
            lambda g: random.multinomial(g, np.array([1, np.inf]), 1, True),
            "torch.multinomial(torch.tensor([1, 1e99]), 1)",
        ),
        (lambda g: random.multinomial(g, np.zeros(3), 1), "torch.multinomial(torch.zeros(3), 1)"),
        (lambda g: random.multinomial(g, np.zeros((2, 3)), 1, True), "torch.multinomial(torch.zeros(2, 3), 1, True)"),
        (lambda g: random.multinomial(g, np.ones(3, np.int64), 1), "torch.multinomial(torch.ones(3).long(), 1)"),
        (lambda g: random.multinomial(g, np.ones((1, 1, 3)), 1), "torch.multinomial(torch.ones(1, 1, 3), 1)"),
        (lambda g: random.multinomial(g, np.ones(0), 1, True), "torch.multinomial(torch.ones(0), 1, True)"),
        (lambda g: random.poisson(g, np.array([-1.0])), "torch.poisson(torch.tensor([-1.0]))"),
        (lambda g: random.poisson(g, np.array([np.nan])), "torch.poisson(torch.tensor([float('nan')]))"),
        (lambda g: random.poisson(g, np.array([1])), "torch.poisson(torch.tensor([1]))"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_torch_refuses_is_refused_with_its_exception_and_draws_nothing(ours, theirs):
    with pytest.raises(Exception) as wanted:  # noqa: PT011
        eval(theirs, {"torch": torch})
    g = gen(1)
    with pytest.raises(wanted.type):
        ours(g)
    assert np.array_equal(g.get_state_bytes(), gen(1).get_state_bytes())


def test_integers_a_half_type_skips_are_warned_about():
    with pytest.warns(UserWarning, match="is out of bounds"):
        random_integers.randint(gen(), (3,), 0, 4000, F16)
