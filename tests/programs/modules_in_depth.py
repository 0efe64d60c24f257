"""What Module does: registration, iteration, buffers, moving, copying, pickling, lists and dictionaries of modules."""

import copy
import io
from collections import OrderedDict

import torch
import torch.nn as nn

torch.manual_seed(24)


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Model(nn.Module):
    n_instances = 0

    def __init__(self, width=4):
        super().__init__()
        self.stem = nn.Linear(2, width)
        self.blocks = nn.ModuleList([Residual(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))) for _ in range(2)])
        self.activations = nn.ModuleDict([["relu", nn.ReLU()], ["lrelu", nn.LeakyReLU()]])
        self.weights = nn.ParameterList([nn.Parameter(torch.full((1,), float(i))) for i in range(2)])
        self.gains = nn.ParameterDict({"a": nn.Parameter(torch.ones(1))})
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.register_parameter("optional", None)
        self.bias = None
        self.tensor = torch.ones(1)

    def forward(self, x, activation="relu"):
        self.steps += 1
        x = self.stem(x)
        for block, weight in zip(self.blocks, self.weights, strict=True):
            x = self.activations[activation](block(x)) * (1 + weight)
        return x * self.gains["a"]


model = Model()
print(model)
print(list(model.state_dict()))
print([n for n, _ in model.named_parameters()], [n for n, _ in model.named_buffers()], [n for n, _ in model.named_modules()])
print(model(torch.ones(1, 2)), model(-torch.ones(1, 2), activation="lrelu"), model.steps)
twin = copy.deepcopy(model)
twin.stem.weight.data.add_(1)
print((twin.stem.weight - model.stem.weight).mean(), twin.steps)
print(model.stem.weight.data_ptr() != twin.stem.weight.data_ptr(), model.optional, "optional" in model._parameters)
model.eval()
print(model.training, model.blocks[0].inner.training, model.train().training)
model.half()
print(model.stem.weight.dtype, model.steps.dtype, model.tensor.dtype)
model.to(torch.float64)
print(model.gains["a"], model.float().stem.bias.dtype)
model.requires_grad_(False)
print(any(p.requires_grad for p in model.parameters()))
model.requires_grad_()
for p in model.parameters():
    p.grad = torch.ones_like(p)
model.zero_grad()
print([p.grad for p in model.parameters()][:2])
model.zero_grad(set_to_none=False)
model.stem = nn.Linear(2, 4, bias=False)
print(model.stem, "stem.bias" in model.state_dict())
try:
    model.stem = torch.ones(2)
except TypeError as error:
    print(type(error).__name__, str(error)[:30])
try:
    model.stem.weight = torch.ones(4, 2)
except TypeError as error:
    print(type(error).__name__, str(error)[:30])
del model.scratch
print([n for n, _ in model.named_buffers()], hasattr(model, "scratch"))

seq = nn.Sequential(OrderedDict([("fc", nn.Linear(2, 3)), ("act", nn.Tanh())]))
seq.append(nn.Linear(3, 1))
print(seq, seq.fc, seq[-1], [type(m).__name__ for m in seq], nn.Sequential(seq, nn.ReLU())[0] is seq)
layers = nn.ModuleList()
layers.extend([nn.Linear(1, 2), nn.Linear(2, 1)])
layers.append(nn.ReLU())
print(layers, len(layers), layers[1:], nn.ReLU in [type(m) for m in layers])
choices = nn.ModuleDict({"conv": nn.Conv1d(1, 1, 1)})
choices.update({"pool": nn.MaxPool1d(2)})
print(choices, "pool" in choices, choices.pop("conv"), list(choices.items()))

net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
print(net.apply(lambda m: m.reset_parameters() if hasattr(m, "reset_parameters") else None))
buffer = io.BytesIO()
torch.save(net, buffer)
buffer.seek(0)
again = torch.load(buffer, weights_only=False)
print(again, all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True)))
state = net.state_dict()
state["0.weight"] = torch.zeros(2, 2)
net.load_state_dict(state)
print(net[0].weight, type(state).__name__, state["0.bias"].requires_grad)
print(sum(1 for _ in net.children()), net[1].extra_repr(), repr(net[0]), net._get_name())
print(isinstance(net[0].weight, torch.Tensor), type(net[0].weight), net[0].weight.is_leaf, net[0].weight.T.is_leaf)
print(nn.Linear(2, 2) == nn.Linear(2, 2), hash(net) == hash(net), callable(net), net.__class__.__mro__[-2])
lazy = nn.LazyLinear(3)
print(lazy, lazy(torch.ones(1, 5)).shape, lazy)
for hidden in (nn.Linear(2, 2), nn.Conv2d(1, 2, 3)):
    print({n: (p.mean(), p.std()) for n, p in hidden.named_parameters()})
print(dir(net)[:2], "forward" in dir(net), net.state_dict(prefix="net.").keys())


class NoSuper(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(1, 1)


try:
    NoSuper()
except AttributeError as error:
    print(type(error).__name__, str(error)[:30])
with torch.no_grad():
    net[0].weight.copy_(torch.eye(2))
    net[0].weight[0, 1] = 9
    net[0].bias.zero_()
print(net[0](torch.tensor([[1.0, 2.0]])))
