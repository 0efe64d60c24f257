"""Fine-tuning: frozen layers, a new head, parameter groups, weight init by apply, deepcopy, EMA."""

import copy

import torch
import torch.nn as nn
from torchvision import models

torch.manual_seed(7)

model = models.resnet18(weights=None)
for param in model.parameters():
    param.requires_grad = False
num_ftrs = model.fc.in_features
model.fc = nn.Linear(num_ftrs, 5)
print(model.fc, num_ftrs)
print([name for name, p in model.named_parameters() if p.requires_grad])
print(sum(p.numel() for p in model.parameters()), sum(p.numel() for p in model.parameters() if p.requires_grad))
print(model.layer1)
x = torch.randn(2, 3, 32, 32)
optimizer = torch.optim.SGD(model.fc.parameters(), lr=0.01, momentum=0.9)
model.eval()
for _ in range(2):
    loss = nn.functional.cross_entropy(model(x), torch.tensor([1, 3]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss)
print(model.conv1.weight.grad, model.fc.bias.grad)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU())
        self.classifier = nn.Linear(16, 3)

    def forward(self, x):
        return self.classifier(self.base(x))


@torch.no_grad()
def init_weights(m):
    print(m)
    if type(m) is nn.Linear:
        m.weight.fill_(0.1)
        print(m.weight.shape)


net = Net()
net.apply(init_weights)


def kaiming(module):
    if isinstance(module, nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)


net.apply(kaiming)
print(net.classifier.weight)
nn.init.xavier_uniform_(net.classifier.weight, gain=nn.init.calculate_gain("tanh"))
nn.init.constant_(net.classifier.bias, 0.1)
nn.init.orthogonal_(net.base[2].weight)
nn.init.normal_(net.base[0].bias, mean=0, std=0.02)
nn.init.trunc_normal_(net.base[2].bias, std=0.1)
print(net.classifier.weight.std(), net.classifier.bias, net.base[0].bias)
w = net.base[2].weight.detach()
print(torch.allclose(w @ w.T, torch.eye(16), atol=1e-5))

optimizer = torch.optim.Adam(
    [
        {"params": net.base.parameters(), "lr": 1e-4},
        {"params": net.classifier.parameters()},
    ],
    lr=1e-2,
    weight_decay=1e-4,
)
print(optimizer)
optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))], "lr": 0.5})
print(len(optimizer.param_groups), [group["lr"] for group in optimizer.param_groups])

decay = [p for name, p in net.named_parameters() if not name.endswith("bias")]
no_decay = [p for name, p in net.named_parameters() if name.endswith("bias")]
optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": no_decay, "weight_decay": 0.0}], lr=1e-2)
ema = copy.deepcopy(net)
for p in ema.parameters():
    p.requires_grad_(False)
data, labels = torch.randn(32, 8), torch.randint(0, 3, (32,))
for step in range(10):
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)(net(data), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for ema_p, p in zip(ema.parameters(), net.parameters(), strict=True):
            ema_p.mul_(0.9).add_(p, alpha=0.1)
    if step % 3 == 0:
        print(step, loss.item())
print(ema.classifier.bias, net.classifier.bias)

backup = copy.deepcopy(net.state_dict())
net.base.requires_grad_(False)
net.base[0].weight.data.zero_()
print(net.base[0].weight.abs().sum(), backup["base.0.weight"].abs().sum() > 0)
net.load_state_dict(backup)
print([p.requires_grad for p in net.parameters()])
for name, child in net.named_children():
    print(name, type(child).__name__, len(list(child.parameters())))
print([name for name, _ in net.named_modules()])
net.base.add_module("drop", nn.Dropout(0.5))
net.base[3] = nn.Identity()
del net.base[1]
print(net)
print(net.get_submodule("base.2"), net.get_parameter("classifier.bias").shape)
