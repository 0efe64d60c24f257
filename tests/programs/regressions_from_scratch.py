"""Linear, logistic and softmax regression from scratch, then with the library; gradient checking by hand."""

import random

import torch
from torch import nn

torch.manual_seed(14)
random.seed(14)


def synthetic_data(w, b, num_examples):
    X = torch.normal(0, 1, (num_examples, len(w)))
    y = torch.matmul(X, w) + b
    y += torch.normal(0, 0.01, y.shape)
    return X, y.reshape((-1, 1))


true_w = torch.tensor([2, -3.4])
true_b = 4.2
features, labels = synthetic_data(true_w, true_b, 200)
print("features:", features[0], "\nlabel:", labels[0])


def data_iter(batch_size, features, labels):
    num_examples = len(features)
    indices = list(range(num_examples))
    random.shuffle(indices)
    for i in range(0, num_examples, batch_size):
        batch_indices = torch.tensor(indices[i : min(i + batch_size, num_examples)])
        yield features[batch_indices], labels[batch_indices]


w = torch.normal(0, 0.01, size=(2, 1), requires_grad=True)
b = torch.zeros(1, requires_grad=True)


def linreg(X, w, b):
    return torch.matmul(X, w) + b


def squared_loss(y_hat, y):
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


for epoch in range(3):
    for X, y in data_iter(10, features, labels):
        loss = squared_loss(linreg(X, w, b), y)
        loss.sum().backward()
        sgd([w, b], 0.05, 10)
    with torch.no_grad():
        print(f"epoch {epoch + 1}, loss {float(squared_loss(linreg(features, w, b), labels).mean()):f}")
print(f"error in estimating w: {true_w - w.reshape(true_w.shape)}")
print(f"error in estimating b: {true_b - b}")

design = torch.cat([features, torch.ones(len(features), 1)], dim=1)
print(torch.linalg.lstsq(design, labels).solution.flatten())
print(torch.linalg.solve(design.T @ design, design.T @ labels).flatten())
print((torch.linalg.inv(design.T @ design) @ design.T @ labels).squeeze(), torch.linalg.pinv(design).shape)

net = nn.Sequential(nn.Linear(2, 1))
net[0].weight.data.normal_(0, 0.01)
net[0].bias.data.fill_(0)
trainer = torch.optim.SGD(net.parameters(), lr=0.03)
for _ in range(20):
    l = nn.MSELoss()(net(features), labels)  # noqa: E741
    trainer.zero_grad()
    l.backward()
    trainer.step()
print(f"loss {l:f}", net[0].weight.data, net[0].bias.data)

# Logistic regression.
X = torch.randn(100, 2)
y = (X[:, 0] - 2 * X[:, 1] + 0.3 * torch.randn(100) > 0).float()
w = torch.zeros(2, requires_grad=True)
b = torch.zeros((), requires_grad=True)
for step in range(30):
    p = 1 / (1 + torch.exp(-(X @ w + b)))
    loss = -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.5 * w.grad
        b -= 0.5 * b.grad
    w.grad.zero_()
    b.grad.zero_()
    if step % 10 == 0:
        print(step, loss.item())
print(w, b, ((p > 0.5) == y.bool()).float().mean())


# Softmax regression.
def softmax(X):
    X_exp = torch.exp(X)
    partition = X_exp.sum(1, keepdim=True)
    return X_exp / partition


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[range(len(y_hat)), y])


X = torch.randn(60, 5)
y = X[:, :3].argmax(dim=1)
W = torch.normal(0, 0.01, size=(5, 3), requires_grad=True)
b = torch.zeros(3, requires_grad=True)
for _ in range(25):
    l = cross_entropy(softmax(torch.matmul(X.reshape((-1, W.shape[0])), W) + b), y)  # noqa: E741
    l.sum().backward()
    sgd([W, b], 0.5, len(X))
print(l.mean(), W, b)
y_hat = torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
print(y_hat[[0, 1], [0, 2]], cross_entropy(y_hat, torch.tensor([0, 2])))
cmp = y_hat.argmax(axis=1).type(torch.int64) == torch.tensor([2, 2])
print(float(cmp.type(torch.int64).sum()))

# Numerical gradient against autograd.
f = lambda v: (v.sin() * v.exp()).sum()  # noqa: E731
v = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
(analytic,) = torch.autograd.grad(f(v), v)
eps = 1e-6
numeric = torch.stack([(f(v + eps * e) - f(v - eps * e)) / (2 * eps) for e in torch.eye(3, dtype=torch.float64)])
print(analytic, numeric.detach(), torch.allclose(analytic, numeric, atol=1e-8))
print(torch.autograd.gradcheck(f, (v,)))
