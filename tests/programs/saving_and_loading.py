"""Saving and loading: state_dict, whole model, checkpoint with optimizer, partial transfer, map_location."""

import io
import os
import tempfile

import torch
import torch.nn as nn
import torch.optim as optim

torch.manual_seed(6)


class TheModelClass(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.bn = nn.BatchNorm2d(6)
        self.fc1 = nn.Linear(6 * 2 * 2, 12)
        self.fc3 = nn.Linear(12, 10)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn(self.conv1(x))))
        x = x.view(x.size(0), -1)
        return self.fc3(torch.relu(self.fc1(x)))


model = TheModelClass()
optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
print("Model's state_dict:")
for param_tensor in model.state_dict():
    print(param_tensor, "\t", model.state_dict()[param_tensor].size())
print("Optimizer's state_dict:")
for var_name in optimizer.state_dict():
    print(var_name, "\t", optimizer.state_dict()[var_name])

images = torch.randn(4, 3, 8, 8)
loss = model(images).pow(2).mean()
loss.backward()
optimizer.step()
model.eval()
expected = model(images)

folder = tempfile.TemporaryDirectory()
path = os.path.join(folder.name, "model.pt")
torch.save(model.state_dict(), path)
other = TheModelClass()
print(other.load_state_dict(torch.load(path, weights_only=True)))
other.eval()
print(torch.equal(other(images), expected))

torch.save(model, path)
torch.serialization.add_safe_globals([TheModelClass])
whole = torch.load(path, weights_only=False)
whole.eval()
print(whole, torch.equal(whole(images), expected), whole.training)

torch.save(
    {
        "epoch": 5,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": loss,
        "note": "tutorial",
    },
    path,
)
model = TheModelClass()
optimizer = optim.SGD(model.parameters(), lr=0.1)
checkpoint = torch.load(path)
print(checkpoint.keys(), checkpoint["epoch"], checkpoint["loss"])
model.load_state_dict(checkpoint["model_state_dict"])
optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
print(optimizer)
print(optimizer.state[model.fc3.bias]["momentum_buffer"])
for key, value in optimizer.state_dict()["state"][0].items():
    print(key, value.shape, value.abs().sum())


class Bigger(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.fc1 = nn.Linear(24, 12)
        self.extra = nn.Linear(2, 2)


bigger = Bigger()
result = bigger.load_state_dict(checkpoint["model_state_dict"], strict=False)
print(result)
print(result.missing_keys, result.unexpected_keys)
try:
    bigger.load_state_dict(checkpoint["model_state_dict"])
except RuntimeError as error:
    print(error)
try:
    nn.Linear(3, 4).load_state_dict(nn.Linear(4, 4).state_dict())
except RuntimeError as error:
    print(error)

pretrained = {k: v for k, v in checkpoint["model_state_dict"].items() if k in bigger.state_dict()}
state = bigger.state_dict()
state.update(pretrained)
print(bigger.load_state_dict(state), len(pretrained))

buffer = io.BytesIO()
torch.save([torch.arange(3), {"a": torch.ones(2, dtype=torch.half)}, (1, "two", None)], buffer)
buffer.seek(0)
print(torch.load(buffer, map_location=torch.device("cpu")))
buffer.seek(0)
print(torch.load(buffer, map_location="cpu", weights_only=True)[1]["a"].dtype)
shared = torch.zeros(4)
buffer = io.BytesIO()
torch.save((shared, shared[:2]), buffer)
buffer.seek(0)
a, b = torch.load(buffer)
b += 1
print(a)
torch.save({"weight": nn.Parameter(torch.ones(2)), "bool": True}, path)
print(torch.load(path))
try:
    torch.load(os.path.join(folder.name, "missing.pt"))
except FileNotFoundError as error:
    print(type(error).__name__)
folder.cleanup()
