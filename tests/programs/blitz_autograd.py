"""The autograd tutorials: tracking, grad_fn, vector-Jacobian products, no_grad, detach, second derivatives."""

import torch

torch.manual_seed(1)

x = torch.ones(2, 2, requires_grad=True)
print(x)
y = x + 2
print(y)
print(type(y.grad_fn).__name__)
z = y * y * 3
out = z.mean()
print(z, out)
a = torch.randn(2, 2)
a = (a * 3) / (a - 1)
print(a.requires_grad)
a.requires_grad_(True)
print(a.requires_grad)
b = (a * a).sum()
print(type(b.grad_fn).__name__)
out.backward()
print(x.grad)

x = torch.randn(3, requires_grad=True)
y = x * 2
while y.data.norm() < 1000:
    y = y * 2
print(y)
v = torch.tensor([0.1, 1.0, 0.0001], dtype=torch.float)
y.backward(v)
print(x.grad)
print(x.requires_grad, (x**2).requires_grad)
with torch.no_grad():
    print((x**2).requires_grad)
y = x.detach()
print(y.requires_grad, x.eq(y).all())

a = torch.tensor([2.0, 3.0], requires_grad=True)
b = torch.tensor([6.0, 4.0], requires_grad=True)
Q = 3 * a**3 - b**2
external_grad = torch.tensor([1.0, 1.0])
Q.backward(gradient=external_grad)
print(9 * a**2 == a.grad, -2 * b == b.grad)

x = torch.ones(5)
y = torch.zeros(3)
w = torch.randn(5, 3, requires_grad=True)
b = torch.randn(3, requires_grad=True)
z = torch.matmul(x, w) + b
loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
print(f"Gradient function for z = {type(z.grad_fn).__name__}", f"for loss = {type(loss.grad_fn).__name__}")
loss.backward()
print(w.grad, b.grad)

inp = torch.eye(4, 5, requires_grad=True)
out = (inp + 1).pow(2).t()
out.backward(torch.ones_like(out), retain_graph=True)
print(f"First call\n{inp.grad}")
out.backward(torch.ones_like(out), retain_graph=True)
print(f"\nSecond call\n{inp.grad}")
inp.grad.zero_()
out.backward(torch.ones_like(out), retain_graph=True)
print(f"\nCall after zeroing gradients\n{inp.grad}")

x = torch.tensor(1.5, requires_grad=True)
f = torch.sin(x) * torch.exp(-x)
for order in range(4):
    (f,) = torch.autograd.grad(f, x, create_graph=True)
    print(order + 1, f)

print(x.is_leaf, f.is_leaf, x.grad is None)
f.retain_grad()
(f * 2).backward()
print(f.grad, x.grad)

leaf = torch.ones(2, requires_grad=True)
for attempt in (
    lambda: leaf.add_(1),
    lambda: (leaf * 2).backward(),
    lambda: torch.ones(2).sum().backward(),
    lambda: leaf.numpy(),
    lambda: torch.tensor([1, 2], requires_grad=True),
):
    try:
        attempt()
    except RuntimeError as error:
        print(type(error).__name__)
s = (leaf * leaf).sum()
s.backward()
try:
    s.backward()
except RuntimeError as error:
    print("a second time" in str(error))
v = leaf * 3
w = v.exp()
v.mul_(2)
try:
    print(w.sum().backward())
    (v * v).sum().backward()
    q = leaf.exp()
    q.add_(1)
    q.sum().backward()
except RuntimeError as error:
    print("inplace operation" in str(error))

node = (leaf.exp() * 2).sum().grad_fn
while node is not None:
    print(type(node).__name__)
    node = node.next_functions[0][0] if node.next_functions else None


@torch.no_grad()
def evaluate(values):
    return values * 2


print(evaluate(leaf), torch.is_grad_enabled())
with torch.set_grad_enabled(False):
    print((leaf + 1).requires_grad)
with torch.inference_mode():
    print((leaf + 1).is_inference())
