"""Gradient clipping and accumulation, hooks, feature extraction, weight sharing, L1/L2."""

import time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(18)
model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 2))
data, target = torch.randn(32, 6), torch.randint(0, 2, (32,))
start = time.time()

# Accumulation gives the gradient of the whole batch.
F.cross_entropy(model(data), target).backward()
whole = [p.grad.clone() for p in model.parameters()]
model.zero_grad()
for x, y in zip(data.chunk(4), target.chunk(4), strict=True):
    (F.cross_entropy(model(x), y) / 4).backward()
print(all(torch.allclose(a, p.grad, atol=1e-6) for a, p in zip(whole, model.parameters(), strict=True)))
print(whole[0][0], model[4].bias.grad)

optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
accumulation_steps = 2
optimizer.zero_grad()
for i, (x, y) in enumerate(zip(torch.split(data, 8), torch.split(target, 8), strict=True)):
    loss = F.cross_entropy(model(x), y) / accumulation_steps
    loss.backward()
    if (i + 1) % accumulation_steps == 0:
        before = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.1)
        after = torch.norm(torch.stack([p.grad.norm(2) for p in model.parameters()]), 2)
        print(before, after)
        optimizer.step()
        optimizer.zero_grad()
print(model[0].weight.grad)

# Hooks.
activation = {}


def get_activation(name):
    def hook(model, input, output):
        activation[name] = output.detach()

    return hook


handles = [model[1].register_forward_hook(get_activation("relu1")), model[2].register_forward_hook(get_activation("fc2"))]
output = model(data[:2])
print({name: value.shape for name, value in activation.items()}, activation["relu1"][0])
for handle in handles:
    handle.remove()
activation.clear()
model(data)
print(activation)


def print_gradients(module, grad_input, grad_output):
    print(module, [None if g is None else tuple(g.shape) for g in grad_input], [g.norm() for g in grad_output])


handle = model[2].register_full_backward_hook(print_gradients)
model(data).sum().backward()
handle.remove()
model[0].register_forward_pre_hook(lambda module, args: (args[0] * 2,))
print(model(data[:1]))
v = torch.tensor([0.0, 0.0, 0.0], requires_grad=True)
h = v.register_hook(lambda grad: grad * 2)
v.backward(torch.tensor([1.0, 2.0, 3.0]))
print(v.grad)
h.remove()
y = torch.ones(2, requires_grad=True) * 3
y.register_hook(lambda grad: print("gradient of y", grad))
y.pow(2).sum().backward()
weight = nn.Parameter(torch.ones(2))
weight.register_post_accumulate_grad_hook(lambda p: print("accumulated", p.grad))
(weight * 3).sum().backward()

# Penalties.
l1 = sum(p.abs().sum() for p in model.parameters())
l2 = sum((p**2).sum() for p in model.parameters())
loss = F.cross_entropy(model(data), target) + 1e-3 * l1 + 1e-4 * l2
loss.backward()
print(l1, l2, loss)

# Sharing weights, tying, freezing.
shared = nn.Linear(4, 4)
tied = nn.Sequential(shared, nn.ReLU(), shared)
print(tied, len(list(tied.parameters())), list(tied.state_dict()))
tied(torch.ones(1, 4)).sum().backward()
print(shared.weight.grad[0])

# A training loop with logging, a best checkpoint and a moving average of the loss.
model = nn.Sequential(nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, steps_per_epoch=4, epochs=3)
history = {"loss": [], "accuracy": []}
ema = None
for epoch in range(3):
    model.train()
    for x, y in zip(data.chunk(4), target.chunk(4), strict=True):
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        ema = loss.item() if ema is None else 0.9 * ema + 0.1 * loss.item()
    model.eval()
    with torch.no_grad():
        logits = model(data)
        history["loss"].append(F.cross_entropy(logits, target).item())
        history["accuracy"].append((logits.argmax(1) == target).sum().item() / len(target))
    print(f"epoch {epoch}: ema {ema:.4f} val {history['loss'][-1]:.4f} acc {history['accuracy'][-1]:.3f}")
print(history)
print(time.time() - start < 100)

print(nn.utils.parameters_to_vector(model.parameters()).shape)
flat = torch.zeros(sum(p.numel() for p in model.parameters()))
nn.utils.vector_to_parameters(flat, model.parameters())
print(model[0].weight.abs().max())
wn = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
print(wn, sorted(wn.state_dict()))
