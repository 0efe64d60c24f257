"""Windows over a series, a one-dimensional CNN forecasting it, smoothing, numpy along the way."""

import numpy as np
import torch
from torch import nn

torch.manual_seed(28)
np.random.seed(28)
t = np.arange(0, 60, 0.5)
series = np.sin(t / 3) + 0.3 * np.cos(t) + 0.05 * np.random.randn(len(t))


def create_inout_sequences(data, tw):
    pairs = []
    for i in range(len(data) - tw):
        pairs.append((data[i : i + tw], data[i + tw : i + tw + 1]))
    return pairs


data = torch.FloatTensor(series).view(-1)
low, high = data.min(), data.max()
data = 2 * (data - low) / (high - low) - 1
pairs = create_inout_sequences(data, 8)
X = torch.stack([x for x, _ in pairs]).unsqueeze(-1)
Y = torch.stack([y for _, y in pairs])
print(X.shape, Y.shape, X[0].squeeze(), Y[0])


class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(1, 8, 3, padding=2, dilation=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 4, 2), nn.Flatten(), nn.LazyLinear(1)
        )

    def forward(self, x):
        return self.net(x.transpose(1, 2))


model = Conv()
model(X[:1])
print(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_function = nn.MSELoss()
for epoch in range(6):
    for batch in torch.randperm(len(X)).split(32):
        optimizer.zero_grad()
        loss = loss_function(model(X[batch]), Y[batch])
        loss.backward()
        optimizer.step()
    if epoch % 2 == 1:
        print(f"epoch: {epoch:3} loss: {loss.item():10.8f}")
model.eval()
window = data[-8:].tolist()
for _ in range(3):
    with torch.no_grad():
        window.append(model(torch.tensor(window[-8:]).view(1, -1, 1)).item())
print([round(value, 3) for value in window[-3:]])

kernel = torch.exp(-torch.linspace(-2, 2, 5) ** 2)
smooth = torch.nn.functional.conv1d(data.view(1, 1, -1), (kernel / kernel.sum()).view(1, 1, -1), padding=2).flatten()
print(smooth[:4], smooth.std() < data.std())
print(data.numpy()[:3], np.asarray(data[:2]), np.mean(data.numpy()), data.numpy().astype(np.float64).std(), np.sqrt(torch.ones(2)))
print(torch.as_tensor(np.arange(3)), torch.from_numpy(series[:2]), torch.tensor(series[:2], dtype=torch.float32), np.array(torch.arange(2)))
print(torch.tensor(np.float32(1.5)), torch.tensor(np.array([True])), torch.tensor([np.int64(3)]), np.ones(2) * torch.ones(2).numpy())
rolling = data.unfold(0, 4, 1).mean(-1)
print(rolling[:3], torch.cumsum(data, 0)[-1], torch.autocorr if hasattr(torch, "autocorr") else "no autocorr")
print(torch.trapezoid(data, dx=0.5), torch.linspace(0, 1, 3).square().sum(), torch.lerp(torch.tensor(0.0), torch.tensor(10.0), 0.3))
