"""LBFGS with a closure: a sine fit, Rosenbrock's valley, matrix factorisation, style of the time-sequence example."""

import torch
import torch.nn as nn

torch.manual_seed(23)
x = torch.linspace(-1, 1, 40).unsqueeze(1)
y = torch.sin(3 * x) + 0.05 * torch.randn(40, 1)
model = nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1)).double()
x, y = x.double(), y.double()
criterion = nn.MSELoss()
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.8, max_iter=5)
print(optimizer)
for i in range(4):
    print("STEP: ", i)

    def closure():
        optimizer.zero_grad()
        out = model(x)
        loss = criterion(out, y)
        loss.backward()
        return loss

    print("loss:", optimizer.step(closure).item())
print(closure(), sorted(optimizer.state_dict()["state"][0]))

point = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
optimizer = torch.optim.LBFGS([point], history_size=10, max_iter=4, line_search_fn="strong_wolfe")
for i in range(6):

    def closure():
        optimizer.zero_grad()
        loss = (1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    print(i, f"{loss.item():.6f}", point.data)

# Matrix factorisation with Adam, and recovering a low-rank matrix by SVD.
target = torch.randn(6, 2) @ torch.randn(2, 5)
A, B = torch.randn(6, 2, requires_grad=True), torch.randn(2, 5, requires_grad=True)
optimizer = torch.optim.Adam([A, B], lr=0.05)
for step in range(60):
    loss = torch.dist(A @ B, target) ** 2
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(step, loss.item())
U, S, Vh = torch.linalg.svd(target, full_matrices=False)
print(S, torch.allclose(U @ torch.diag(S) @ Vh, target, atol=1e-5), torch.linalg.matrix_rank(target))
M = target.T @ target + torch.eye(5)
L = torch.linalg.cholesky(M)
print(torch.allclose(L @ L.T, M, atol=1e-4), torch.linalg.slogdet(M), torch.logdet(M), torch.trace(M), torch.linalg.eigvalsh(M))
print(torch.linalg.qr(M).R.abs().diagonal(), torch.linalg.cond(M), torch.linalg.matrix_power(M, 2).diagonal())
