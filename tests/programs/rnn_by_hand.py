"""A character RNN, an LSTM cell and a GRU cell written by hand; greedy and sampled generation."""

import string

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(16)
all_letters = string.ascii_lowercase + " ."
n_letters = len(all_letters)


def letterToIndex(letter):
    return all_letters.find(letter)


def lineToTensor(line):
    tensor = torch.zeros(len(line), 1, n_letters)
    for li, letter in enumerate(line):
        tensor[li][0][letterToIndex(letter)] = 1
    return tensor


print(lineToTensor("abc").size(), lineToTensor("a")[0, 0, :5])


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        hidden = torch.tanh(self.i2h(combined))
        return self.softmax(self.i2o(combined)), hidden

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


names = {"greek": ["alexis", "nikos", "petros"], "italian": ["marco", "giulia", "rossi"], "dutch": ["jan", "pieter", "van dijk"]}
categories = list(names)
rnn = RNN(n_letters, 16, len(categories))
criterion = nn.NLLLoss()
print(rnn)
for epoch in range(6):
    total = 0.0
    for number, category in enumerate(categories):
        for name in names[category]:
            hidden = rnn.initHidden()
            rnn.zero_grad()
            for letter in lineToTensor(name):
                output, hidden = rnn(letter, hidden)
            loss = criterion(output, torch.tensor([number]))
            loss.backward()
            for p in rnn.parameters():
                p.data.add_(p.grad.data, alpha=-0.05)
            total += loss.item()
    print(epoch, f"{total:.4f}")
top_n, top_i = output.topk(1)
print(output, top_n, categories[top_i[0].item()])


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.ih = nn.Linear(input_size, 4 * hidden_size)
        self.hh = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, state):
        h, c = state
        i, f, g, o = (self.ih(x) + self.hh(h)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRUCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W = nn.Parameter(torch.randn(3, input_size, hidden_size) * 0.1)
        self.U = nn.Parameter(torch.randn(3, hidden_size, hidden_size) * 0.1)

    def forward(self, x, h):
        r = torch.sigmoid(x @ self.W[0] + h @ self.U[0])
        z = torch.sigmoid(x @ self.W[1] + h @ self.U[1])
        n = torch.tanh(x @ self.W[2] + (r * h) @ self.U[2])
        return (1 - z) * n + z * h


text = "the cat sat on the mat. the dog sat on the log. "
ids = torch.tensor([letterToIndex(c) for c in text])


class CharModel(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.embed = nn.Embedding(n_letters, 12)
        self.cell = LSTMCell(12, hidden)
        self.head = nn.Linear(hidden, n_letters)
        self.hidden = hidden

    def forward(self, tokens, state=None):
        if state is None:
            state = (torch.zeros(tokens.size(0), self.hidden), torch.zeros(tokens.size(0), self.hidden))
        outputs = []
        for t in range(tokens.size(1)):
            state = self.cell(self.embed(tokens[:, t]), state)
            outputs.append(self.head(state[0]))
        return torch.stack(outputs, dim=1), state


model = CharModel()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
x, y = ids[:-1].unfold(0, 11, 6), ids[1:].unfold(0, 11, 6)
print(x.shape, x[0])
for step in range(20):
    logits, _ = model(x)
    loss = F.cross_entropy(logits.transpose(1, 2), y)
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    nn.utils.clip_grad_value_(model.parameters(), 0.1)
    optimizer.step()
    if step % 5 == 0:
        print(step, loss, norm)

with torch.no_grad():
    tokens, state = torch.tensor([[letterToIndex("t")]]), None
    written = "t"
    for _ in range(20):
        logits, state = model(tokens, state)
        probs = F.softmax(logits[:, -1] / 0.8, dim=-1)
        tokens = torch.multinomial(probs, num_samples=1)
        written += all_letters[tokens.item()]
print(repr(written))

# Truncated backpropagation through time.
cell = GRUCell(4, 6)
optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
hidden = torch.zeros(2, 6)
for chunk in torch.randn(12, 2, 4).split(4):
    hidden = hidden.detach()
    for step in chunk:
        hidden = cell(step, hidden)
    loss = (hidden - 0.5).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss, [p.grad.norm() for p in cell.parameters()])
print(hidden)
