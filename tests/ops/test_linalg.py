"""Linear algebra beyond the generated tests: names and types of results, singular matrices, errors, `out=`, tolerances."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
import rushlight.linalg

torch = pytest.importorskip("torch", reason="parity tests need torch")

RNG = np.random.default_rng(3)
SQUARE = RNG.standard_normal((3, 3))
POSITIVE = SQUARE @ SQUARE.T + np.eye(3)
WIDE = RNG.standard_normal((2, 3, 4))
COLUMNS = RNG.standard_normal((3, 2))
VECTOR = RNG.standard_normal(3)
INF = float("inf")


def both(call, *arrays, requires_grad=False, dtype=None):
    """What `call(library, *tensors)` gives in rushlight and in torch."""
    found = []
    for library in (rl, torch):
        tensors = [library.tensor(a) for a in arrays]
        if dtype is not None:
            tensors = [t.to(getattr(library, dtype)) for t in tensors]
        found.append(call(library, *[t.requires_grad_() if requires_grad else t for t in tensors]))
    return found


def entries(value):
    return list(value) if isinstance(value, (tuple, list)) else [value]


def kind(t):
    """How a result presents itself: the node's name, shape and dtype."""
    return type(t.grad_fn).__name__, t.requires_grad, tuple(t.shape), str(t.dtype)


CALLS = {
    "norm": lambda m, a: m.linalg.norm(a),
    "norm 1": lambda m, a: m.linalg.norm(a, 1),
    "norm 2": lambda m, a: m.linalg.norm(a, 2),
    "norm nuc": lambda m, a: m.norm(a, p="nuc"),
    "norm method": lambda m, a: a.norm(2, 1),
    "vector_norm": lambda m, a: m.linalg.vector_norm(a, 3, dim=0),
    "matrix_norm -2": lambda m, a: m.linalg.matrix_norm(a, -2),
    "inv": lambda m, a: m.linalg.inv(a),
    "inverse": lambda m, a: a.inverse(),
    "inv_ex": lambda m, a: m.linalg.inv_ex(a),
    "pinv": lambda m, a: m.linalg.pinv(a),
    "pinverse": lambda m, a: a.pinverse(),
    "det": lambda m, a: m.linalg.det(a),
    "det method": lambda m, a: a.det(),
    "slogdet": lambda m, a: m.linalg.slogdet(a),
    "slogdet method": lambda m, a: a.slogdet(),
    "logdet": lambda m, a: m.logdet(a @ a.mT),
    "solve": lambda m, a: m.linalg.solve(a, a[:, :2]),
    "solve_ex": lambda m, a: m.linalg.solve_ex(a, a[0]),
    "solve_triangular": lambda m, a: m.linalg.solve_triangular(a, a, upper=True),
    "cholesky": lambda m, a: m.linalg.cholesky(a @ a.mT),
    "cholesky_ex": lambda m, a: m.linalg.cholesky_ex(a @ a.mT),
    "cholesky_solve": lambda m, a: a.cholesky_solve(a),
    "cholesky_inverse": lambda m, a: a.cholesky_inverse(),
    "qr": lambda m, a: m.linalg.qr(a),
    "svd": lambda m, a: m.linalg.svd(a),
    "svd method": lambda m, a: a.svd(),
    "svdvals": lambda m, a: m.linalg.svdvals(a),
    "eigh": lambda m, a: m.linalg.eigh(a @ a.mT),
    "eigvalsh": lambda m, a: m.linalg.eigvalsh(a @ a.mT),
    "eig": lambda m, a: m.linalg.eig(a),
    "eigvals": lambda m, a: m.linalg.eigvals(a),
    "lstsq": lambda m, a: m.linalg.lstsq(a, a[:, :1]),
    "lstsq gelsd": lambda m, a: m.linalg.lstsq(a[:, :2], a[0], driver="gelsd"),
    "lu": lambda m, a: m.linalg.lu(a),
    "lu_factor": lambda m, a: m.linalg.lu_factor(a),
    "lu_factor_ex": lambda m, a: m.linalg.lu_factor_ex(a),
    "lu_solve": lambda m, a: m.linalg.lu_solve(*m.linalg.lu_factor(a), a),
    "torch.lu": lambda m, a: m.lu(a),
    "lu_unpack": lambda m, a: m.lu_unpack(*m.linalg.lu_factor(a)),
    "matrix_exp": lambda m, a: m.matrix_exp(a),
    "matrix_power": lambda m, a: m.linalg.matrix_power(a, 3),
    "matrix_power -2": lambda m, a: a.matrix_power(-2),
    "matrix_power 1": lambda m, a: a.matrix_power(1),
    "matrix_rank": lambda m, a: m.linalg.matrix_rank(a),
    "cond": lambda m, a: m.linalg.cond(a),
    "cond 1": lambda m, a: m.linalg.cond(a, 1),
    "cross": lambda m, a: m.linalg.cross(a, a),
    "diagonal": lambda m, a: m.linalg.diagonal(a),
    "multi_dot": lambda m, a: m.linalg.multi_dot([a[0], a, a]),
    "vander": lambda m, a: m.linalg.vander(a),
    "vecdot": lambda m, a: m.linalg.vecdot(a, a),
    "tensorsolve": lambda m, a: m.linalg.tensorsolve(a, a[0]),
}


@pytest.mark.filterwarnings("ignore:torch.lu is deprecated")
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex64"])
@pytest.mark.parametrize("name", CALLS)
def test_results_present_themselves_as_in_torch(name, dtype):
    ours, theirs = both(CALLS[name], SQUARE, requires_grad=False, dtype=dtype)
    assert [kind(t) for t in entries(ours)] == [kind(t) for t in entries(theirs)]
    arrays = [t.requires_grad_() for t in (rl.tensor(SQUARE).to(getattr(rl, dtype)), torch.tensor(SQUARE).to(getattr(torch, dtype)))]
    ours, theirs = CALLS[name](rl, arrays[0]), CALLS[name](torch, arrays[1])
    assert type(ours).__name__ == type(theirs).__name__
    assert [kind(t) for t in entries(ours)] == [kind(t) for t in entries(theirs)]


@pytest.mark.parametrize("shape", [(0, 3, 3), (2, 0, 3, 3), (0, 0)])
@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "solve", "qr", "svd", "svdvals", "eigvalsh", "matrix_exp", "pinv", "lu_factor"])
def test_empty(name, shape):
    call = {"solve": lambda m, a: m.linalg.solve(a, a)}.get(name) or (lambda m, a: getattr(m.linalg, name)(a))
    ours, theirs = both(call, np.zeros(shape))
    assert [(tuple(o.shape), o.tolist()) for o in entries(ours)] == [(tuple(t.shape), t.tolist()) for t in entries(theirs)]


@pytest.mark.parametrize(
    "call",
    [
        lambda m, p: m.linalg.cholesky_ex(p).info,
        lambda m, p: m.linalg.inv_ex(p - p).info,
        lambda m, p: m.linalg.eigh(p),
        lambda m, p: m.linalg.slogdet(p),
        lambda m, p: m.linalg.lu_factor(p),
        lambda m, p: m.linalg.matrix_rank(p),
        lambda m, p: m.linalg.lstsq(p, p[:, :1], driver="gelss"),
    ],
)
def test_printed_forms(call):
    ours, theirs = both(call, np.diag([3.0, 2.0, 1.0]))
    assert repr(ours) == repr(theirs)


# ---------------------------------------------------------------- singular matrices


def test_singular_matrices_raise():
    zeros = rl.zeros(2, 2)
    calls = (
        lambda: rl.linalg.inv(zeros),
        lambda: rl.linalg.solve(zeros, rl.ones(2)),
        lambda: rl.linalg.inv_ex(zeros, check_errors=True),
    )
    for call in calls:
        with pytest.raises(rl.linalg.LinAlgError, match="singular"):
            call()
    assert issubclass(rl.linalg.LinAlgError, RuntimeError)
    with pytest.raises(rl.linalg.LinAlgError, match=r"linalg.inv: \(Batch element 1\): The diagonal element 2 is zero"):
        rl.linalg.inv(rl.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]]))
    with pytest.raises(RuntimeError, match=r"U\[1,1\] is zero"):
        rl.linalg.lu_factor(zeros)


def test_one_singular_matrix_leaves_the_others():
    batch = rl.tensor([[[2.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])
    inverse, info = rl.linalg.inv_ex(batch)
    assert info.tolist() == [0, 2] and inverse[0].tolist() == [[0.5, 0.0], [0.0, 0.25]] and bool(inverse[1].isnan().all())
    x, info = rl.linalg.solve_ex(batch, rl.ones(2, 2))
    assert info.tolist() == [0, 2] and x[0].tolist() == [0.5, 0.25] and bool(x[1].isnan().all())
    factor, info = rl.linalg.cholesky_ex(rl.tensor([[[4.0, 0.0], [0.0, 9.0]], [[1.0, 2.0], [2.0, 1.0]]]))
    assert info.tolist() == [0, 2] and factor[0].tolist() == [[2.0, 0.0], [0.0, 3.0]] and bool(factor[1].isnan().all())


def test_cholesky_names_the_minor():
    with pytest.raises(rl.linalg.LinAlgError, match="leading minor of order 2 is not positive-definite"):
        rl.linalg.cholesky(rl.tensor([[1.0, 2.0], [2.0, 1.0]]))


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_gradient_of_the_determinant_of_singular_matrices(rank):
    matrix = (SQUARE * (np.arange(3) < rank)) @ SQUARE.T
    if rank == 0:
        matrix = np.zeros((3, 3))
    cofactors = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(matrix, i, 0), j, 1)) for j in range(3)] for i in range(3)
    ]
    a = rl.tensor(np.stack([matrix, POSITIVE]), requires_grad=True)
    rl.linalg.det(a).sum().backward()
    np.testing.assert_allclose(a.grad[0].numpy(), cofactors, atol=1e-12)
    np.testing.assert_allclose(a.grad[1].numpy(), np.linalg.det(POSITIVE) * np.linalg.inv(POSITIVE).T, atol=1e-12)


def test_exactly_singular_determinant():
    a = rl.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=rl.float64, requires_grad=True)
    (gradient,) = rl.autograd.grad(a.det(), a, create_graph=True)
    np.testing.assert_allclose(gradient.detach().numpy(), [[4.0, -2.0], [-2.0, 1.0]], atol=1e-14)
    (second,) = rl.autograd.grad(gradient[0, 0], a)
    np.testing.assert_allclose(second.numpy(), [[0.0, 0.0], [0.0, 1.0]], atol=1e-12)


def test_slogdet_of_a_singular_matrix():
    assert [t.item() for t in rl.slogdet(rl.zeros(2, 2))] == [0.0, -INF]
    assert rl.logdet(rl.tensor([[-1.0]])).isnan().item()


# ---------------------------------------------------------------- what depends on an arbitrary phase or column


@pytest.mark.parametrize(
    "call",
    [
        lambda m, a: m.linalg.svd(a)[0].sum().abs(),
        lambda m, a: m.linalg.eigh(a + a.mH)[1].sum().abs(),
        lambda m, a: m.linalg.eig(a)[1].sum().abs(),
    ],
)
def test_a_loss_that_depends_on_the_phase_is_an_error(call):
    for result in both(call, SQUARE + 1j * SQUARE.T, requires_grad=True):
        with pytest.raises(RuntimeError, match="up to multiplication by e"):
            result.backward()


def test_qr_without_derivative():
    a = rl.tensor(COLUMNS, requires_grad=True)
    with pytest.raises(RuntimeError, match="mode='r'"):
        rl.linalg.qr(a, "r").R.sum().backward()
    with pytest.raises(RuntimeError, match="nrows > ncols"):
        rl.linalg.qr(a, "complete").Q.sum().backward()


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, INF, -INF])
@pytest.mark.parametrize("keepdim", [False, True])
def test_matrix_norms(ord, keepdim):
    ours, theirs = both(lambda m, a: m.linalg.matrix_norm(a, ord, dim=(2, 0), keepdim=keepdim), WIDE)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("p", ["fro", 0, 1, 2, 3.5, INF, -INF, None])
@pytest.mark.parametrize("dim", [None, 1, (0, 2)])
def test_norm(p, dim):
    ours, theirs = both(lambda m, a: m.norm(a, p=p, dim=dim), WIDE)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy())


def test_norm_gradients_at_zero_and_ties():
    for p in (1, 2, 3, 0.5, INF, -INF):
        def gradient(m, a, p=p):
            m.linalg.vector_norm(a, p).backward()
            return a.grad

        for values in ([0.0, 0.0], [3.0, -3.0], [0.0, 2.0]):
            ours, theirs = both(gradient, np.array(values), requires_grad=True)
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), err_msg=f"{p} {values}")


def test_a_count_has_no_gradient():
    for library in (rl, torch):
        a = library.ones(2).requires_grad_()
        library.linalg.vector_norm(a, 0).backward()
        assert a.grad is None


def test_norm_dtype():
    ours, theirs = both(lambda m, a: m.linalg.vector_norm(a.half(), dtype=m.float32), VECTOR)
    assert ours.dtype is rl.float32 and abs(ours.item() - theirs.item()) < 1e-5
    with pytest.raises(RuntimeError, match="without narrowing"):
        rl.linalg.vector_norm(rl.ones(2), dtype=rl.float16)
    with pytest.raises(RuntimeError, match="should be floating point"):
        rl.linalg.vector_norm(rl.ones(2), dtype=rl.int64)


def test_tolerances():
    near = np.diag([1.0, 1e-3, 1e-9])
    for options in ({}, {"atol": 1e-2}, {"rtol": 1e-5}, {"atol": 1e-6, "rtol": 1e-2}, {"hermitian": True, "atol": 1e-6}):
        ours, theirs = both(lambda m, a, o=options: m.linalg.matrix_rank(a, **o), near)
        assert ours.item() == theirs.item() and ours.dtype is rl.int64
        ours, theirs = both(lambda m, a, o=options: m.linalg.pinv(a, **o), near)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy())
    batch = np.stack([near, np.eye(3)])
    ours, theirs = both(lambda m, a: m.linalg.matrix_rank(a, atol=m.tensor([1e-2, 1e-6], dtype=a.dtype)), batch)
    assert ours.tolist() == theirs.tolist()
    ours, theirs = both(lambda m, a: m.linalg.pinv(a, atol=m.tensor([1e-2, 1e-6], dtype=a.dtype)), batch)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd", "gelss"])
def test_lstsq_drivers(driver):
    ours, theirs = both(lambda m, a, b: m.linalg.lstsq(a, b, driver=driver), RNG.standard_normal((5, 3)), RNG.standard_normal((5, 2)))
    for o, t in zip(ours, theirs, strict=True):
        assert tuple(o.shape) == tuple(t.shape)
        np.testing.assert_allclose(o.numpy(), t.numpy(), atol=1e-10)


def test_lu_without_pivoting():
    packed, pivots = rl.linalg.lu_factor(rl.tensor(POSITIVE), pivot=False)
    assert pivots.tolist() == [1, 2, 3]
    p, lower, upper = rl.linalg.lu(rl.tensor(POSITIVE), pivot=False)
    assert p.shape == (0,)
    np.testing.assert_allclose((lower @ upper).numpy(), POSITIVE)


def test_lu_unpack_parts():
    factors = rl.linalg.lu_factor(rl.tensor(SQUARE))
    p, lower, upper = rl.lu_unpack(*factors, unpack_data=False)
    assert lower.shape == upper.shape == (0,) and p.shape == (3, 3)
    assert rl.lu_unpack(*factors, unpack_pivots=False).P.shape == (0,)


def test_householder():
    ours, theirs = both(lambda m, a: m.geqrf(a), RNG.standard_normal((4, 3)))
    for o, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(o.numpy(), t.numpy(), atol=1e-12)
    ours, theirs = both(lambda m, a: m.linalg.householder_product(*m.geqrf(a)), RNG.standard_normal((2, 4, 3)))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-12)
    other = RNG.standard_normal((4, 4))
    for left in (True, False):
        for transpose in (True, False):
            ours, theirs = both(
                lambda m, a, o, left=left, transpose=transpose: m.ormqr(*m.geqrf(a), o, left, transpose), RNG.standard_normal((4, 3)), other
            )
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-12)


def test_cross_takes_integers_and_finds_its_dimension():
    ours, theirs = both(lambda m, a: m.linalg.cross(a, a + 1), np.array([1, 2, 3]))
    assert ours.tolist() == theirs.tolist() and ours.dtype is rl.int64
    with pytest.warns(UserWarning, match="without specifying the dim"):
        found = rl.cross(rl.tensor(COLUMNS), rl.tensor(COLUMNS) ** 2)
    np.testing.assert_allclose(found.numpy(), np.cross(COLUMNS, COLUMNS**2, axis=0))


def test_vander():
    for increasing in (False, True):
        ours, theirs = both(lambda m, x, i=increasing: m.vander(x, 4, i), np.array([1, 2, 3]))
        assert ours.tolist() == theirs.tolist()


def test_svd_without_vectors():
    ours, theirs = both(lambda m, a: m.linalg.svdvals(a), WIDE)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy())
    u, s, v = rl.svd(rl.tensor(COLUMNS), compute_uv=False)
    assert u.shape == (3, 3) and v.shape == (2, 2) and not u.any() and s.shape == (2,)


def test_out():
    a = rl.tensor(POSITIVE)
    inverse = rl.empty(3, 3, dtype=rl.float64)
    assert rl.linalg.inv(a, out=inverse) is inverse
    np.testing.assert_allclose(inverse.numpy(), np.linalg.inv(POSITIVE))
    w, v = rl.empty(0, dtype=rl.float64), rl.empty(0, dtype=rl.float64)
    found = rl.linalg.eigh(a, out=(w, v))
    assert found.eigenvalues is w and v.shape == (3, 3)
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        rl.linalg.inv(a.clone().requires_grad_(), out=inverse)


def test_meta_device():
    a = rl.empty(2, 3, 3, device="meta")
    assert rl.linalg.inv(a).shape == (2, 3, 3) and rl.linalg.det(a).shape == (2,)
    assert [tuple(t.shape) for t in rl.linalg.svd(a, full_matrices=False)] == [(2, 3, 3), (2, 3), (2, 3, 3)]


ERRORS = {
    "integers": (lambda m: m.linalg.inv(m.ones(2, 2, dtype=m.int64)), "Expected a floating point or complex tensor as input. Got Long"),
    "half": (lambda m: m.linalg.inv(m.ones(2, 2).half()), "Low precision dtypes not supported. Got Half"),
    "not square": (lambda m: m.linalg.inv(m.ones(2, 3)), "must be batches of square matrices, but they are 2 by 3"),
    "a vector": (lambda m: m.linalg.eigh(m.ones(3)), "must have at least 2 dimensions"),
    "shapes": (lambda m: m.linalg.solve(m.eye(2), m.ones(3, 1)), "Incompatible shapes"),
    "triangular shapes": (lambda m: m.linalg.solve_triangular(m.eye(2), m.ones(3, 3), upper=True), "Incompatible shapes"),
    "dtypes": (lambda m: m.linalg.solve(m.eye(2), m.ones(2).double()), "dtype"),
    "norm order": (lambda m: m.linalg.norm(m.ones(2, 2), "x"), "Order x not supported"),
    "norm rank": (lambda m: m.linalg.norm(m.ones(2, 2, 2), 2), "If dim is not specified but ord is, the input must be 1D or 2D. Got 3D"),
    "norm integers": (lambda m: m.norm(m.ones(2, dtype=m.int64)), "Expected a floating point or complex tensor as input. Got Long"),
    "matrix norm dims": (lambda m: m.linalg.matrix_norm(m.ones(2, 2), dim=(0,)), "dim must be a 2-tuple"),
    "norm of nothing": (lambda m: m.linalg.vector_norm(m.ones(0), INF), "no|empty"),
    "qr mode": (lambda m: m.linalg.qr(m.eye(2), "x"), "unrecognized mode 'x'"),
    "lstsq driver": (lambda m: m.linalg.lstsq(m.eye(2), m.eye(2), driver="x"), "parameter `driver` should be one of"),
    "lstsq rows": (lambda m: m.linalg.lstsq(m.ones(3, 2), m.ones(2, 1)), "should match"),
    "svd of nan": (lambda m: m.linalg.svd(m.tensor([[float("nan"), 1.0], [2.0, 3.0]])), "non-finite"),
    "eig of nan": (lambda m: m.linalg.eig(m.tensor([[float("nan"), 1.0], [2.0, 3.0]])), "infs or NaNs"),
    "UPLO": (lambda m: m.linalg.eigh(m.eye(2), "x"), "UPLO"),
    "driver": (lambda m: m.linalg.svd(m.eye(2), driver="gesvd"), "only supported on CUDA"),
    "cross length": (lambda m: m.linalg.cross(m.ones(4), m.ones(4)), "must have length 3"),
    "cross rank": (lambda m: m.linalg.cross(m.ones(2, 3), m.ones(3)), "same number of dimensions"),
    "cross dtypes": (lambda m: m.linalg.cross(m.ones(3, dtype=m.int64), m.ones(3)), "dtype|scalar type"),
    "no dimension of 3": (lambda m: m.cross(m.ones(2, 4), m.ones(2, 4)), "no dimension of size 3 in input"),
    "one matrix": (lambda m: m.linalg.multi_dot([m.ones(2)]), "expected at least 2 tensors but got 1"),
    "chain shapes": (lambda m: m.linalg.multi_dot([m.ones(2, 2), m.ones(3, 3)]), "cannot be multiplied"),
    "vander": (lambda m: m.linalg.vander(m.arange(3), N=1), "N must be greater than 1"),
    "cond": (lambda m: m.linalg.cond(m.ones(2, 3), 1), "square"),
    "power": (lambda m: m.linalg.matrix_power(m.eye(2), 1.5), "must be int, not float"),
    "tensorinv": (lambda m: m.linalg.tensorinv(m.eye(4), ind=0), "strictly positive"),
    "householder": (lambda m: m.linalg.householder_product(m.ones(2, 3), m.ones(3)), "greater than or equal"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, words = ERRORS[name]
    with pytest.raises(Exception, match=words) as theirs:
        call(torch)
    expected = RuntimeError if issubclass(theirs.type, RuntimeError) else theirs.type
    with pytest.raises(expected, match=words):
        call(rl)


def test_torch_function_sees_the_public_function():
    seen = []

    class Watcher(rl.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.append((func, kwargs))
            return super().__torch_function__(func, types, args, kwargs or {})

    t = rl.tensor(POSITIVE).as_subclass(Watcher)
    rl.linalg.svd(t, full_matrices=False)
    rl.linalg.inv(t)
    rl.linalg.cholesky(t, upper=True)
    assert (rl.linalg.svd, {"full_matrices": False}) in seen
    assert any(f is rl.linalg.inv for f, _ in seen)
    assert (rl.linalg.cholesky, {"upper": True}) in seen
