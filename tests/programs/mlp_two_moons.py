"""A small MLP on two moons with minibatches by hand, early stopping, metrics, several optimizers."""

import copy
import math

import torch
import torch.nn as nn

torch.manual_seed(10)


def make_moons(n, noise=0.1):
    t = torch.rand(n) * math.pi
    upper = torch.stack([torch.cos(t), torch.sin(t)], dim=1)
    lower = torch.stack([1 - torch.cos(t), 0.5 - torch.sin(t)], dim=1)
    y = torch.randint(0, 2, (n,))
    X = torch.where(y[:, None] == 0, upper, lower) + noise * torch.randn(n, 2)
    return X, y


X, y = make_moons(300)
X_train, y_train, X_val, y_val = X[:200], y[:200], X[200:], y[200:]
print(X_train.mean(0), X_train.std(dim=0), y.bincount())
mean, std = X_train.mean(0, keepdim=True), X_train.std(0, keepdim=True)
X_train, X_val = (X_train - mean) / std, (X_val - mean) / std


class MLP(nn.Module):
    def __init__(self, sizes, activation=nn.Tanh):
        super().__init__()
        layers = []
        for a, b in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(a, b), activation()]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.net(x)


def accuracy(model, X, y):
    model.eval()
    with torch.no_grad():
        result = (model(X).argmax(dim=1) == y).float().mean().item()
    model.train()
    return result


def fit(model, optimizer, epochs=30, patience=5):
    criterion = nn.CrossEntropyLoss()
    best, best_state, waited = float("inf"), None, 0
    for epoch in range(epochs):
        order = torch.randperm(len(X_train))
        for start in range(0, len(order), 50):
            batch = order[start : start + 50]
            optimizer.zero_grad()
            loss = criterion(model(X_train[batch]), y_train[batch])
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            val_loss = criterion(model(X_val), y_val).item()
        if val_loss < best - 1e-3:
            best, best_state, waited = val_loss, copy.deepcopy(model.state_dict()), 0
        else:
            waited += 1
            if waited >= patience:
                print(f"stopped early at {epoch}")
                break
    model.load_state_dict(best_state)
    return best


makers = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.02),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.02),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "Adadelta": lambda p: torch.optim.Adadelta(p),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True, momentum=0.5),
    "Adamax": lambda p: torch.optim.Adamax(p, lr=0.02),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.02),
    "RAdam": lambda p: torch.optim.RAdam(p, lr=0.02),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.1),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}
for name, make in makers.items():
    torch.manual_seed(0)
    model = MLP([2, 16, 16, 2])
    optimizer = make(model.parameters())
    best = fit(model, optimizer, epochs=12)
    print(name, f"{best:.4f}", accuracy(model, X_val, y_val), sorted(optimizer.defaults))
    print(optimizer)

probabilities = torch.softmax(model(X_val), dim=1)
values, classes = probabilities.max(dim=1)
print(values[:5], classes[:5])
confusion = torch.zeros(2, 2, dtype=torch.int64)
for t, p in zip(y_val, classes, strict=True):
    confusion[t, p] += 1
print(confusion, confusion.diag().sum() / confusion.sum())
precision = confusion[1, 1] / confusion[:, 1].sum()
recall = confusion[1, 1] / confusion[1].sum()
print(f"precision {precision:.3f} recall {recall:.3f} f1 {2 * precision * recall / (precision + recall):.3f}")
fast = torch.bincount(2 * y_val + classes, minlength=4).reshape(2, 2)
print(torch.equal(fast, confusion))
for activation in (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Mish, nn.Hardtanh):
    torch.manual_seed(1)
    model = MLP([2, 8, 2], activation)
    loss = nn.functional.cross_entropy(model(X_val), y_val)
    loss.backward()
    print(model.net[1], loss, model.net[0].weight.grad.norm())
