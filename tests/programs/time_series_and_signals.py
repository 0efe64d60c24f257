"""Windows over a series, an LSTM and a one-dimensional CNN forecasting it, Fourier features, numpy along the way."""

import math

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


class LSTM(nn.Module):
    def __init__(self, input_size=1, hidden_layer_size=12, output_size=1):
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_layer_size, batch_first=True)
        self.linear = nn.Linear(hidden_layer_size, output_size)

    def forward(self, x):
        lstm_out, (h, c) = self.lstm(x)
        return self.linear(lstm_out[:, -1])


class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(1, 8, 3, padding=2, dilation=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 4, 2), nn.Flatten(), nn.LazyLinear(1)
        )

    def forward(self, x):
        return self.net(x.transpose(1, 2))


for model in (Conv(), LSTM()):
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

spectrum = torch.fft.rfft(data - data.mean())
frequencies = torch.fft.rfftfreq(len(data), d=0.5)
top = spectrum.abs().topk(2).indices
print(spectrum.shape, spectrum.dtype, frequencies[top], torch.fft.irfft(spectrum, n=len(data)).sub(data - data.mean()).abs().max() < 1e-5)
signal = torch.sin(2 * math.pi * 5 * torch.linspace(0, 1, 64))
print(torch.fft.fft(signal).abs()[:8], torch.hann_window(6), torch.polar(torch.tensor(1.0), torch.tensor(0.5)))
kernel = torch.exp(-torch.linspace(-2, 2, 5) ** 2)
smooth = torch.nn.functional.conv1d(data.view(1, 1, -1), (kernel / kernel.sum()).view(1, 1, -1), padding=2).flatten()
print(smooth[:4], smooth.std() < data.std())
print(data.numpy()[:3], np.asarray(data[:2]), np.mean(data.numpy()), data.numpy().astype(np.float64).std(), np.sqrt(torch.ones(2)))
print(torch.as_tensor(np.arange(3)), torch.from_numpy(series[:2]), torch.tensor(series[:2], dtype=torch.float32), np.array(torch.arange(2)))
print(torch.tensor(np.float32(1.5)), torch.tensor(np.array([True])), torch.tensor([np.int64(3)]), np.ones(2) * torch.ones(2).numpy())
rolling = data.unfold(0, 4, 1).mean(-1)
print(rolling[:3], torch.cumsum(data, 0)[-1], torch.autocorr if hasattr(torch, "autocorr") else "no autocorr")
print(torch.trapezoid(data, dx=0.5), torch.linspace(0, 1, 3).square().sum(), torch.lerp(torch.tensor(0.0), torch.tensor(10.0), 0.3))
