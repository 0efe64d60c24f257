"""Learning-rate schedulers against torch's, to the last bit."""

from __future__ import annotations

import warnings

import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")


class Halving:
    """A factor with state of its own, which state dicts keep."""

    def __init__(self):
        self.base = 0.5

    def __call__(self, epoch):
        return self.base**epoch


def sequential(s, o):
    return s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=7), s.CosineAnnealingLR(o, 50), s.ExponentialLR(o, 0.9)], milestones=[7, 60]
    )


def quietly(make, *args, **kwargs):
    """A sequence in the first place warns, in torch too, of a step before the optimizer's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(*args, **kwargs)


SCHEDULES = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda e: 0.97**e),
    "LambdaLR-list": lambda s, o: s.LambdaLR(o, [lambda e: 1 / (1 + e), Halving()]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.99),
    "StepLR": lambda s, o: s.StepLR(o, 7, gamma=0.7),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [3, 30, 30, 80], gamma=0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.3, total_iters=9),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.2, 0.9, total_iters=50),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.98),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 90, power=1.7),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 17, eta_min=0.001),
    "CosineAnnealingLR-0": lambda s, o: s.CosineAnnealingLR(o, 130),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, T_mult=2, eta_min=0.01),
    "CosineAnnealingWarmRestarts-1": lambda s, o: s.CosineAnnealingWarmRestarts(o, 13),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.3, step_size_up=7, step_size_down=5),
    "CyclicLR-2": lambda s, o: s.CyclicLR(o, [0.01, 0.02], [0.3, 0.4], step_size_up=8, mode="triangular2"),
    "CyclicLR-exp": lambda s, o: s.CyclicLR(o, 0.01, 0.3, step_size_up=8, mode="exp_range", gamma=0.99),
    "CyclicLR-own": lambda s, o: s.CyclicLR(o, 0.01, 0.3, step_size_up=8, scale_fn=Halving(), cycle_momentum=False),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.4, total_steps=150),
    "OneCycleLR-3": lambda s, o: s.OneCycleLR(o, [0.4, 0.2], epochs=15, steps_per_epoch=10, three_phase=True,
                                              anneal_strategy="linear", pct_start=0.4),
    "SequentialLR": sequential,
    "SequentialLR-nested": lambda s, o: quietly(
        s.SequentialLR, o, [sequential(s, o), s.ConstantLR(o, 0.1, 3)], milestones=[80]),
    "SequentialLR-restarts": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 3), s.CosineAnnealingWarmRestarts(o, 9)], milestones=[4]),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 5), s.ExponentialLR(o, 0.9)]),
}


def optimizer_of(library, name="SGD", tensor_lr=False):
    def lr(value):
        return library.tensor(value) if tensor_lr else value

    groups = [
        {"params": [library.ones(1, requires_grad=True)], "lr": lr(0.5)},
        {"params": [library.ones(1, requires_grad=True)]},
    ]
    settings = {"momentum": 0.9} if name == "SGD" else {}
    return getattr(library.optim, name)(groups, lr=lr(0.05), **settings)


def rates(library, make, steps=140, name="SGD", tensor_lr=False):
    optimizer = optimizer_of(library, name, tensor_lr)
    scheduler = make(library.optim.lr_scheduler, optimizer)
    seen = []
    for _ in range(steps):
        optimizer.step()
        groups = optimizer.param_groups
        moving = [g["betas"] if name == "Adam" else g["momentum"] for g in groups]
        seen.append(([float(g["lr"]) for g in groups], [float(r) for r in scheduler.get_last_lr()], moving))
        scheduler.step()
    return seen


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_values_equal_torchs(name, optimizer):
    assert rates(rl, SCHEDULES[name], name=optimizer) == rates(torch, SCHEDULES[name], name=optimizer)


@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingLR", "LinearLR", "SequentialLR", "OneCycleLR", "LambdaLR"])
def test_tensor_learning_rates_are_filled(name):
    ours, theirs = (rates(library, SCHEDULES[name], 60, tensor_lr=True) for library in (rl, torch))
    for (a, b, _), (c, d, _) in zip(ours, theirs, strict=True):
        assert a == pytest.approx(c, rel=1e-5) and b == pytest.approx(d, rel=1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_training_continues_from_a_state_dict(name):
    whole = rates(rl, SCHEDULES[name], 40)
    optimizer = optimizer_of(rl)
    scheduler = SCHEDULES[name](rl.optim.lr_scheduler, optimizer)
    for _ in range(20):
        optimizer.step()
        scheduler.step()
    saved, saved_optimizer = scheduler.state_dict(), optimizer.state_dict()
    again = optimizer_of(rl)
    resumed = SCHEDULES[name](rl.optim.lr_scheduler, again)
    resumed.load_state_dict(saved)
    again.load_state_dict(saved_optimizer)
    assert "optimizer" not in saved
    for lrs, last, moving in whole[20:]:
        assert [g["lr"] for g in again.param_groups] == lrs and resumed.get_last_lr() == last
        assert [g["momentum"] for g in again.param_groups] == moving
        again.step()
        resumed.step()


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in ("LambdaLR-list", "CyclicLR-own")])
def test_state_dicts_have_torchs_keys(name):
    def keys(state):
        members = [keys(member) for member in state.get("_schedulers", [])]
        return set(state), members

    ours, theirs = (
        keys(SCHEDULES[name](library.optim.lr_scheduler, optimizer_of(library)).state_dict()) for library in (rl, torch)
    )
    assert ours == theirs


def test_a_sequence_may_come_second():
    def build(s, o):
        return s.SequentialLR(o, [s.ConstantLR(o, 0.1, 3), sequential(s, o)], milestones=[4])

    nested, plain = rates(rl, build, 100), rates(rl, sequential, 96)
    for (a, _, _), (b, _, _) in zip(nested[4:], plain, strict=True):
        assert a == pytest.approx(b, rel=1e-12)


def test_objects_among_the_functions_are_saved():
    optimizer = optimizer_of(rl)
    factor = Halving()
    factor.base = 0.25
    saved = rl.optim.lr_scheduler.LambdaLR(optimizer, [lambda e: 1.0, factor]).state_dict()
    assert saved["lr_lambdas"] == [None, {"base": 0.25}]
    other = Halving()
    rl.optim.lr_scheduler.LambdaLR(optimizer_of(rl), [lambda e: 1.0, other]).load_state_dict(saved)
    assert other.base == 0.25 and "lr_lambdas" in saved


@pytest.mark.parametrize("settings", [
    {},
    {"patience": 1, "cooldown": 2, "threshold": 0.05},
    {"patience": 0, "threshold_mode": "abs", "threshold": 0.1, "min_lr": [0.01, 0.02]},
    {"mode": "max", "patience": 2, "factor": 0.5},
    {"mode": "max", "patience": 1, "threshold_mode": "abs", "eps": 0.01},
])
def test_reduce_on_plateau(settings):
    metrics = [5, 4, 4, 4, 3.99, 3.5, 3.6, 3.7, 2, 2, 2, 2, 2, 2, 2.5, 1.9, 1.8, 1.8, 1.8, 1.8, float("nan"), 1, 1, 1, 1]

    def run(library):
        optimizer = optimizer_of(library)
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
        seen = []
        for metric in metrics * 2:
            optimizer.step()
            scheduler.step(library.tensor(float(metric)))
            seen.append((scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.cooldown_counter))
        state = scheduler.state_dict()
        return seen, {key: state[key] for key in state}

    ours, theirs = run(rl), run(torch)
    assert ours == theirs
    resumed = rl.optim.lr_scheduler.ReduceLROnPlateau(optimizer_of(rl))
    resumed.load_state_dict(ours[1])
    assert resumed.state_dict() == ours[1]


def test_groups_added_after_the_plateau_scheduler():
    optimizer = optimizer_of(rl)
    scheduler = rl.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=0.2)
    listed = rl.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.1, 0.1])
    optimizer.add_param_group({"params": [rl.ones(1, requires_grad=True)], "lr": 1.0})
    for _ in range(2):
        scheduler.step(1.0)
    assert [g["lr"] for g in optimizer.param_groups] == [0.2, 0.05, 0.2]
    listed.step(1.0)
    with pytest.raises(RuntimeError, match="number of param groups"):
        listed.step(1.0)


def test_resuming_needs_initial_rates():
    optimizer = optimizer_of(rl)
    with pytest.raises(KeyError, match="'initial_lr' is not specified in param_groups\\[0\\]"):
        rl.optim.lr_scheduler.StepLR(optimizer, 5, last_epoch=3)
    for library in (rl, torch):
        resumed = optimizer_of(library)
        for group in resumed.param_groups:
            group["initial_lr"] = 1.0
        scheduler = library.optim.lr_scheduler.CosineAnnealingLR(resumed, 10, last_epoch=4)
        resumed.step()
        scheduler.step()
        if library is rl:
            ours = scheduler.get_last_lr(), scheduler.last_epoch
        else:
            assert ours == (scheduler.get_last_lr(), scheduler.last_epoch)


@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR",
                                  "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "LambdaLR"])
def test_steps_to_an_epoch(name):
    def run(library):
        optimizer = optimizer_of(library)
        scheduler = SCHEDULES[name](library.optim.lr_scheduler, optimizer)
        optimizer.step()
        seen = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for epoch in (3, 40, 7, 89, 0):
                scheduler.step(epoch)
                seen.append(scheduler.get_last_lr())
        return seen

    assert run(rl) == run(torch)


def test_warnings():
    optimizer = optimizer_of(rl)
    scheduler = rl.optim.lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match="before `optimizer.step\\(\\)`"):
        scheduler.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(3)
    overridden = optimizer_of(rl)
    scheduler = rl.optim.lr_scheduler.StepLR(overridden, 2)
    overridden.step = lambda: None
    with pytest.warns(UserWarning, match="has been overridden"):
        scheduler.step()
    # A step before the scheduler was made does not count.
    early = optimizer_of(rl)
    early.step()
    scheduler = rl.optim.lr_scheduler.StepLR(early, 2)
    with pytest.warns(UserWarning, match="before `optimizer.step\\(\\)`"):
        scheduler.step()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda s, o: s.StepLR(3, 1), TypeError, "int is not an Optimizer"),
        (lambda s, o: s.CyclicLR(3, 1, 2), TypeError, "int is not an Optimizer"),
        (lambda s, o: s.LambdaLR(o, [abs]), ValueError, "Expected 2 lr_lambdas, but got 1"),
        (lambda s, o: s.MultiplicativeLR(o, 3), TypeError, "should be a function, but got int"),
        (lambda s, o: s.ConstantLR(o, 2), ValueError, "expected to be between 0 and 1"),
        (lambda s, o: s.LinearLR(o, 0), ValueError, "Starting multiplicative factor"),
        (lambda s, o: s.LinearLR(o, 1, 2), ValueError, "Ending multiplicative factor"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "positive integer T_0"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 0), ValueError, "T_mult >= 1"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 1).step(-1), ValueError, "non-negative epoch"),
        (lambda s, o: s.CyclicLR(o, [1], 2), ValueError, "base_lr must have the same length"),
        (lambda s, o: s.CyclicLR(o, 1, 2, mode="x"), ValueError, "mode is invalid"),
        (lambda s, o: s.OneCycleLR(o, 1), ValueError, "either total_steps OR"),
        (lambda s, o: s.OneCycleLR(o, 1, total_steps=-1), ValueError, "positive integer total_steps"),
        (lambda s, o: s.OneCycleLR(o, 1, epochs=0, steps_per_epoch=1), ValueError, "positive integer epochs"),
        (lambda s, o: s.OneCycleLR(o, 1, total_steps=9, pct_start=2.0), ValueError, "between 0 and 1 pct_start"),
        (lambda s, o: s.OneCycleLR(o, 1, total_steps=9, anneal_strategy="x"), ValueError, "anneal_strategy"),
        (lambda s, o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda s, o: s.ReduceLROnPlateau(o, mode="x"), ValueError, "mode x is unknown"),
        (lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "threshold mode x is unknown"),
        (lambda s, o: s.ReduceLROnPlateau(o, min_lr=[1]), ValueError, "expected 2 min_lrs, got 1"),
        (lambda s, o: s.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [1]), ValueError, "one more than the number of milestone"),
        (lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []), ValueError, "does not support"),
        (lambda s, o: s.SequentialLR(optimizer_of(rl), [s.StepLR(o, 1)], []), ValueError, "the same optimizer"),
        (lambda s, o: s.ChainedScheduler([]), ValueError, "at least one scheduler"),
        (lambda s, o: s.ChainedScheduler([3]), TypeError, "should have `optimizer`"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make(rl.optim.lr_scheduler, optimizer_of(rl))


def test_cycles_need_momentum():
    plain = rl.optim.RMSprop([rl.ones(1, requires_grad=True)])
    del plain.defaults["momentum"]
    with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
        rl.optim.lr_scheduler.CyclicLR(plain, 0.1, 0.2)
    with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
        rl.optim.lr_scheduler.OneCycleLR(plain, 0.1, total_steps=3)


def test_one_cycle_ends():
    optimizer = optimizer_of(rl)
    scheduler = rl.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2)
    optimizer.step()
    scheduler.step()
    scheduler.step()
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        scheduler.step()


def test_a_scheduler_of_ones_own():
    class Reciprocal(rl.optim.lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / (1 + self.last_epoch) for base in self.base_lrs]

    optimizer = optimizer_of(rl)
    scheduler = Reciprocal(optimizer)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.25, 0.025] and optimizer.param_groups[0]["initial_lr"] == 0.5
