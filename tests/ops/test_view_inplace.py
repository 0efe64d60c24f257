"""unsqueeze_, transpose_ and kin against torch, with and without history; fill_diagonal_."""

import pytest

import rushlight as rl

CALLS = {
    "squeeze": lambda x: x.squeeze_(),
    "squeeze of one dim": lambda x: x.squeeze_(0),
    "squeeze of dims": lambda x: x.squeeze_((0, 2)),
    "squeeze of nothing": lambda x: x.squeeze_(1),
    "unsqueeze": lambda x: x.unsqueeze_(-1),
    "transpose": lambda x: x.transpose_(0, 1),
    "swapaxes": lambda x: x.swapaxes_(1, 2),
    "swapdims": lambda x: x.swapdims_(0, 0),
    "t": lambda x: x[0].t_(),
    "as_strided": lambda x: x.as_strided_((2, 2), (1, 1)),
    "as_strided with offset": lambda x: x.as_strided_((2,), (1,), 1),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def both(oracle):
    values = rl.arange(3.0).view(1, 3, 1)
    return values, oracle.to_torch(values)


@each_call
def test_a_plain_tensor_changes_shape(oracle, call):
    ours, theirs = both(oracle)
    found, expected = call(ours), call(theirs)
    oracle.assert_same(found, expected)
    assert found.stride() == expected.stride() and ours.shape == theirs.shape and ours._version == theirs._version


@each_call
def test_gradients_and_node_names(oracle, call):
    ours, theirs = (x.requires_grad_() for x in both(oracle))
    found, expected = call(ours * 2), call(theirs * 2)
    assert type(found.grad_fn).__name__ == type(expected.grad_fn).__name__
    assert found._is_view() == expected._is_view()
    (found * found).sum().backward()
    (expected * expected).sum().backward()
    oracle.assert_same(ours.grad, theirs.grad)


def test_later_views_and_writes_are_recorded(oracle):
    def steps(x):
        a = x * 1
        row = a.t_()[0]
        a.mul_(3)
        row.pow_(2)
        a.sum().backward()
        return x.grad

    ours = rl.arange(6.0).view(2, 3).requires_grad_()
    oracle.assert_same(steps(ours), steps(oracle.to_torch(ours).detach().requires_grad_()))


def test_a_view_of_a_recorded_tensor_carries_writes_on(oracle):
    def steps(x):
        a = x * 1
        b = a[0].unsqueeze_(0)
        b.mul_(5)
        (a * a).sum().backward()
        return x.grad

    ours = rl.arange(6.0).view(2, 3).requires_grad_()
    oracle.assert_same(steps(ours), steps(oracle.to_torch(ours).detach().requires_grad_()))


def test_a_view_made_before_cannot_take_its_gradient_anew():
    a = rl.ones(2, 3, requires_grad=True) * 1
    row = a[0]
    a.t_()
    with pytest.raises(RuntimeError, match="before its base took another shape"):
        row.sum().backward()


def test_a_value_that_was_saved_in_the_old_shape_is_gone():
    a = rl.ones(2, requires_grad=True) * 1
    y = a * a
    a.unsqueeze_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_leaves_that_require_grad_are_refused_outside_no_grad():
    x = rl.ones(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        x.t_()
    with rl.no_grad():
        assert x.t_() is x
    assert x.shape == (3, 2) and x.is_leaf and x.requires_grad


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: x.t_(), RuntimeError),
        (lambda x: x.unsqueeze_(5), IndexError),
        (lambda x: x.transpose_(0, 3), IndexError),
        (lambda x: x.squeeze_(3), IndexError),
        (lambda x: x.as_strided_((2, 9), (1, 1)), RuntimeError),
    ],
)
def test_errors(oracle, call, error):
    for x in both(oracle):
        with pytest.raises(error):
            call(x)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (7, 3), (8, 3), (4, 3), (3, 7), (2, 2, 2), (0, 3), (1, 1)])
def test_fill_diagonal(oracle, shape, wrap):
    ours = rl.zeros(shape)
    oracle.assert_same(ours.fill_diagonal_(5, wrap), oracle.to_torch(rl.zeros(shape)).fill_diagonal_(5, wrap))


def test_fill_diagonal_blocks_the_gradient_of_what_it_overwrites(oracle):
    def steps(x):
        (x * 2).fill_diagonal_(3).sum().backward()
        return x.grad

    ours = rl.ones(3, 2, requires_grad=True)
    oracle.assert_same(steps(ours), steps(oracle.to_torch(ours).detach().requires_grad_()))


@pytest.mark.parametrize("shape", [(3,), (2, 3, 3)])
def test_fill_diagonal_errors(oracle, shape):
    for x in (rl.zeros(shape), oracle.to_torch(rl.zeros(shape))):
        with pytest.raises(RuntimeError, match="dimensions"):
            x.fill_diagonal_(1)
