"""How tensors, sizes, modules and options print."""

import torch
from torch import nn

torch.manual_seed(21)

print(torch.randn(3), torch.randn(2, 3), torch.randn(2, 2, 2))
print(
    torch.tensor([1.0, 2.0, 3.0]),
    torch.tensor([1e-5, 1.0]),
    torch.tensor([1e8, 1.0]),
    torch.tensor([1e-10]),
    torch.tensor([0.1, 1000.5]),
)
print(torch.tensor([1, 10, -100]), torch.tensor([[True, False]]), torch.tensor([1.5, float("nan"), float("-inf")]))
print(torch.zeros(0), torch.zeros(2, 0), torch.tensor([], dtype=torch.int64), torch.tensor(3.14159), torch.tensor(-2), torch.tensor(False))
print(
    torch.randn(2, dtype=torch.float64),
    torch.randn(2).half(),
    torch.randn(2).bfloat16(),
    torch.tensor([1], dtype=torch.uint8),
    torch.randn(2, dtype=torch.cfloat),
)
print(torch.randn(1000), torch.randn(30, 40), torch.arange(2000).view(2, 1000))
print(torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True) * 2, torch.randn(2, 2, requires_grad=True).sum())
print(nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1), requires_grad=False), nn.Linear(2, 2).weight)
print(
    [torch.tensor(1.0), torch.tensor([2])],
    {"a": torch.ones(1)},
    (torch.tensor(1),),
    torch.Size([1, 2]),
    torch.float32,
    torch.device("cpu"),
)
print(f"{torch.tensor(3.14159):.2f} {torch.tensor(42):5d} {torch.tensor([1.0])} {torch.tensor(1.0)} {torch.tensor(True)}")
print("%.3f" % torch.tensor(2.0), "{:>8.3f}".format(torch.tensor(2.5)), str(torch.tensor([1])), repr(torch.tensor(1)))  # noqa: UP031, UP032
torch.set_printoptions(precision=2)
print(torch.randn(4), torch.tensor([1e-6, 1]))
torch.set_printoptions(precision=4, threshold=5, edgeitems=1)
print(torch.arange(10), torch.randn(4, 4))
torch.set_printoptions(profile="default")
torch.set_printoptions(sci_mode=True)
print(torch.tensor([1.0, 200.0]))
torch.set_printoptions(sci_mode=False, linewidth=40)
print(torch.tensor([1e-8, 200.0]), torch.arange(20))
torch.set_printoptions(profile="full")
print(torch.arange(1200).sum(), torch.randn(3))
torch.set_printoptions(profile="default", sci_mode=None)
print(torch.randn(3).numpy().shape, torch.ones(2).numpy(), torch.tensor([1, 2]).numpy().dtype)

for layer in (
    nn.Conv2d(3, 6, (3, 5), stride=(2, 1), padding=(1, 0), dilation=2, groups=3, bias=False),
    nn.ConvTranspose2d(2, 2, 3, output_padding=0),
    nn.BatchNorm1d(3, affine=False), nn.LayerNorm((2, 3)), nn.GroupNorm(1, 4), nn.Dropout(0.1, inplace=True), nn.Softmax(dim=-1),
    nn.LogSoftmax(dim=1), nn.LeakyReLU(0.1), nn.ELU(), nn.GELU(approximate="tanh"), nn.Hardswish(), nn.Embedding(5, 2, padding_idx=1),
    nn.Flatten(2), nn.Upsample(scale_factor=2, mode="nearest"),
    nn.MaxPool2d(3, 2, ceil_mode=True), nn.AdaptiveAvgPool2d((None, 2)), nn.CrossEntropyLoss(), nn.MSELoss(), nn.Identity(),
    nn.ParameterList([nn.Parameter(torch.ones(2))]), nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.ReLU()]),
    nn.Bilinear(2, 3, 4), nn.PReLU(), nn.Threshold(0.1, 2), nn.Unflatten(1, (2, 3)),
):  # fmt: skip
    print(layer)


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))
        self.scale = nn.Parameter(torch.ones(1))
        self.loss = nn.BCEWithLogitsLoss()

    def extra_repr(self):
        return f"scale={self.scale.item()}"


model = Custom()
print(model)
print(model.state_dict())
print(model.layers[1][1].weight.shape, model.layers[-1], model.layers[:1], len(model.layers))
print(dict(model.named_parameters()).keys())
print(next(model.parameters()).dtype, next(model.parameters()).device, model.double().scale)
try:
    model(torch.ones(2))
except NotImplementedError as error:
    print(type(error).__name__, str(error)[:30])
try:
    model.missing  # noqa: B018
except AttributeError as error:
    print(type(error).__name__, str(error)[:30])
