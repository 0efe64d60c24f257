"""Jacobians, Hessians, Hessian-vector products, Newton's method, custom Functions, functional transforms."""

import torch
from torch.autograd import Function, grad, gradcheck
from torch.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp

torch.manual_seed(19)


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


point = torch.tensor([-1.2, 1.0], dtype=torch.float64)
print(hessian(rosenbrock, point), jacobian(rosenbrock, point))
x = point.clone()
for step in range(6):
    x = x - torch.linalg.solve(hessian(rosenbrock, x), jacobian(rosenbrock, x))
    print(step, x, rosenbrock(x).item())

f = lambda a, b: (a.exp() * b, a.sum() + b**2)  # noqa: E731
a, b = torch.randn(2), torch.randn(2)
print(jacobian(f, (a, b)))
print(vjp(lambda t: t**3, a, torch.ones(2)), jvp(lambda t: t**3, a, torch.ones(2)))
print(vhp(lambda t: (t**3).sum(), a, b), hvp(lambda t: (t**3).sum(), a, b))

x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = (x**3).sum() + x.prod()
(g,) = grad(y, x, create_graph=True)
H = torch.stack([grad(g[i], x, retain_graph=True)[0] for i in range(3)])
print(g, H, torch.linalg.eigvalsh(H))
v = torch.tensor([1.1, 0.3, -1.2])
print(grad((g * v).sum(), x))

# A gradient-based loss.
w = torch.randn(3, requires_grad=True)
inputs = torch.randn(5, 3, requires_grad=True)
energy = torch.tanh(inputs @ w).sum()
(force,) = grad(energy, inputs, create_graph=True)
loss = force.pow(2).mean()
loss.backward()
print(loss, w.grad)
unused = torch.ones(1, requires_grad=True)
print(grad(w.sum(), [w, unused], allow_unused=True))
try:
    grad(w.sum(), unused)
except RuntimeError as error:
    print(type(error).__name__, str(error)[:30])


class MyReLU(Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


class LinearFunction(Function):
    @staticmethod
    def forward(ctx, input, weight, bias=None):
        ctx.save_for_backward(input, weight, bias)
        output = input.mm(weight.t())
        if bias is not None:
            output += bias.unsqueeze(0).expand_as(output)
        return output

    @staticmethod
    def backward(ctx, grad_output):
        input, weight, bias = ctx.saved_tensors
        grad_input = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_input = grad_output.mm(weight)
        if ctx.needs_input_grad[1]:
            grad_weight = grad_output.t().mm(input)
        if bias is not None and ctx.needs_input_grad[2]:
            grad_bias = grad_output.sum(0)
        return grad_input, grad_weight, grad_bias


class Scale(Function):
    @staticmethod
    def forward(x, factor):
        return x * factor

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.factor = inputs
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None


class StraightThrough(Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


x = torch.randn(4, requires_grad=True)
y = MyReLU.apply(x)
y.sum().backward()
print(y, x.grad)
args = (torch.randn(4, 3, dtype=torch.double, requires_grad=True), torch.randn(2, 3, dtype=torch.double, requires_grad=True))
print(gradcheck(LinearFunction.apply, args, eps=1e-6, atol=1e-4), LinearFunction.apply(*args).grad_fn.name())
print(Scale.apply(x, 3), StraightThrough.apply(x))
x.grad = None
(StraightThrough.apply(x) * 2 + Scale.apply(x, 3)).sum().backward()
print(x.grad)
