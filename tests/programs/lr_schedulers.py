"""Learning-rate schedules, one line of rates each, and what a scheduler saves."""

import torch
from torch import nn, optim
from torch.optim import lr_scheduler

torch.manual_seed(8)


def rates(make, steps=8, metric=None):
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = make(optimizer)
    seen = []
    for step in range(steps):
        optimizer.zero_grad()
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        seen.append(optimizer.param_groups[0]["lr"])
        scheduler.step(*([metric(step)] if metric else []))
    return [f"{rate:.5f}" for rate in seen], scheduler


schedules = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=2, gamma=0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, milestones=[2, 5], gamma=0.1),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=6, eta_min=0.001),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lr_lambda=lambda epoch: 0.95**epoch),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lr_lambda=lambda epoch: 0.8),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, start_factor=0.25, total_iters=4),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, factor=0.5, total_iters=3),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=6, power=2.0),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.4, total_steps=9),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=3),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        schedulers=[lr_scheduler.LinearLR(o, 0.1, total_iters=3), lr_scheduler.ExponentialLR(o, 0.5)],
        milestones=[3],
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.1, total_iters=2), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
}
for name, make in schedules.items():
    seen, scheduler = rates(make)
    print(name, *seen, scheduler.get_last_lr())

seen, scheduler = rates(
    lambda o: lr_scheduler.ReduceLROnPlateau(o, mode="min", factor=0.5, patience=1), 8, lambda step: max(1.0 - step, 0.5)
)
print("ReduceLROnPlateau", *seen)
print(sorted(scheduler.state_dict()))

model = nn.Linear(2, 1)
optimizer = optim.Adam(model.parameters(), lr=0.01)
scheduler = lr_scheduler.StepLR(optimizer, 3)
for _ in range(4):
    optimizer.step()
    scheduler.step()
print({k: v for k, v in scheduler.state_dict().items() if not k.startswith("_")})
other = lr_scheduler.StepLR(optim.Adam(model.parameters(), lr=0.01), 1)
other.load_state_dict(scheduler.state_dict())
print(other.last_epoch, other.step_size, other.get_last_lr())
print(optimizer)


def warmup_then_decay(step, warmup=3):
    return (step + 1) / warmup if step < warmup else 0.9 ** (step - warmup)


optimizer = optim.RMSprop([{"params": [nn.Parameter(torch.ones(1))]}, {"params": [nn.Parameter(torch.ones(1))], "lr": 1.0}], lr=0.1)
scheduler = lr_scheduler.LambdaLR(optimizer, [warmup_then_decay, lambda epoch: 1.0])
for epoch in range(5):
    print(epoch, [round(rate, 6) for rate in scheduler.get_last_lr()])
    optimizer.step()
    scheduler.step()
