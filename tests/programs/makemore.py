"""In the style of makemore and micrograd: bigrams, an MLP with manual statistics, waves of hand-written layers."""

import torch
import torch.nn.functional as F

words = "emma olivia ava isabella sophia charlotte mia amelia harper evelyn abigail emily ella elizabeth camila luna".split()
chars = sorted(set("".join(words)))
stoi = {s: i + 1 for i, s in enumerate(chars)}
stoi["."] = 0
itos = {i: s for s, i in stoi.items()}
V = len(itos)

N = torch.zeros((V, V), dtype=torch.int32)
for w in words:
    chs = ["."] + list(w) + ["."]
    for ch1, ch2 in zip(chs, chs[1:], strict=False):
        N[stoi[ch1], stoi[ch2]] += 1
print(N[:4])
P = (N + 1).float()
P /= P.sum(1, keepdims=True)
g = torch.Generator().manual_seed(2147483647)
print(torch.rand(3, generator=g))
for _ in range(5):
    out, ix = [], 0
    while True:
        p = P[ix]
        ix = torch.multinomial(p, num_samples=1, replacement=True, generator=g).item()
        out.append(itos[ix])
        if ix == 0:
            break
    print("".join(out))
log_likelihood, n = 0.0, 0
for w in words:
    chs = ["."] + list(w) + ["."]
    for ch1, ch2 in zip(chs, chs[1:], strict=False):
        logprob = torch.log(P[stoi[ch1], stoi[ch2]])
        log_likelihood += logprob
        n += 1
print(f"{log_likelihood=} {-log_likelihood / n}")

xs = torch.tensor([stoi[a] for w in words for a in "." + w])
ys = torch.tensor([stoi[a] for w in words for a in w + "."])
num = xs.nelement()
W = torch.randn((V, V), generator=g, requires_grad=True)
for k in range(10):
    xenc = F.one_hot(xs, num_classes=V).float()
    logits = xenc @ W
    counts = logits.exp()
    probs = counts / counts.sum(1, keepdims=True)
    loss = -probs[torch.arange(num), ys].log().mean() + 0.01 * (W**2).mean()
    W.grad = None
    loss.backward()
    W.data += -10 * W.grad
    if k % 3 == 0:
        print(k, loss.item())

block_size = 3
X, Y = [], []
for w in words:
    context = [0] * block_size
    for ch in w + ".":
        X.append(context)
        Y.append(stoi[ch])
        context = context[1:] + [stoi[ch]]
X, Y = torch.tensor(X), torch.tensor(Y)
print(X.shape, X.dtype, Y[:8])
g = torch.Generator().manual_seed(42)
n_embd, n_hidden = 6, 32
C = torch.randn((V, n_embd), generator=g)
W1 = torch.randn((n_embd * block_size, n_hidden), generator=g) * (5 / 3) / ((n_embd * block_size) ** 0.5)
W2 = torch.randn((n_hidden, V), generator=g) * 0.01
b2 = torch.randn(V, generator=g) * 0
bngain, bnbias = torch.ones((1, n_hidden)), torch.zeros((1, n_hidden))
bnmean_running, bnstd_running = torch.zeros((1, n_hidden)), torch.ones((1, n_hidden))
parameters = [C, W1, W2, b2, bngain, bnbias]
print(sum(p.nelement() for p in parameters))
for p in parameters:
    p.requires_grad = True
lossi = []
for i in range(30):
    ix = torch.randint(0, X.shape[0], (16,), generator=g)
    Xb, Yb = X[ix], Y[ix]
    emb = C[Xb]
    embcat = emb.view(emb.shape[0], -1)
    hpreact = embcat @ W1
    bnmeani = hpreact.mean(0, keepdim=True)
    bnstdi = hpreact.std(0, keepdim=True)
    hpreact = bngain * (hpreact - bnmeani) / bnstdi + bnbias
    with torch.no_grad():
        bnmean_running = 0.999 * bnmean_running + 0.001 * bnmeani
        bnstd_running = 0.999 * bnstd_running + 0.001 * bnstdi
    h = torch.tanh(hpreact)
    logits = h @ W2 + b2
    loss = F.cross_entropy(logits, Yb)
    for p in parameters:
        p.grad = None
    loss.backward()
    lr = 0.1 if i < 20 else 0.01
    for p in parameters:
        p.data += -lr * p.grad
    if i % 10 == 0:
        print(f"{i:7d}/{30:7d}: {loss.item():.4f}")
    lossi.append(loss.log10().item())
print(torch.tensor(lossi).view(-1, 10).mean(1), (h.abs() > 0.99).float().mean())

# Backpropagation by hand, compared with autograd.
emb = C[Xb]
hpre = emb.view(16, -1) @ W1
h = hpre.tanh()
logits = h @ W2 + b2
logit_maxes = logits.max(1, keepdim=True).values
norm_logits = logits - logit_maxes
probs = norm_logits.exp() * norm_logits.exp().sum(1, keepdim=True) ** -1
loss = -probs.log()[range(16), Yb].mean()
for p in parameters:
    p.grad = None
for t in (h, hpre, emb, logits, norm_logits):
    t.retain_grad()
loss.backward()
dlogits = F.softmax(logits, 1)
dlogits[range(16), Yb] -= 1
dlogits /= 16
dh = dlogits @ W2.T
dW2 = h.T @ dlogits
dhpre = (1.0 - h**2) * dh
dW1 = emb.view(16, -1).T @ dhpre
demb = (dhpre @ W1.T).view(emb.shape)
dC = torch.zeros_like(C)
for k in range(Xb.shape[0]):
    for j in range(Xb.shape[1]):
        dC[Xb[k, j]] += demb[k, j]


def cmp(s, dt, t):
    ex = torch.all(dt == t.grad).item()
    app = torch.allclose(dt, t.grad, atol=1e-6)
    print(f"{s:15s} | exact: {ex in (True, False)} | approximate: {str(app):5s}")


for name, mine, tensor in (
    ("logits", dlogits, logits),
    ("h", dh, h),
    ("W2", dW2, W2),
    ("hpre", dhpre, hpre),
    ("W1", dW1, W1),
    ("C", dC, C),
):
    cmp(name, mine, tensor)


class Linear:
    def __init__(self, fan_in, fan_out, bias=True):
        self.weight = torch.randn((fan_in, fan_out), generator=g) / fan_in**0.5
        self.bias = torch.zeros(fan_out) if bias else None

    def __call__(self, x):
        self.out = x @ self.weight
        if self.bias is not None:
            self.out += self.bias
        return self.out

    def parameters(self):
        return [self.weight] + ([] if self.bias is None else [self.bias])


class Tanh:
    def __call__(self, x):
        self.out = torch.tanh(x)
        return self.out

    def parameters(self):
        return []


layers = [Linear(n_embd * block_size, n_hidden), Tanh(), Linear(n_hidden, n_hidden), Tanh(), Linear(n_hidden, V)]
with torch.no_grad():
    layers[-1].weight *= 0.1
    for layer in layers[:-1]:
        if isinstance(layer, Linear):
            layer.weight *= 5 / 3
parameters = [p for layer in layers for p in layer.parameters()]
for p in parameters:
    p.requires_grad = True
x = C.detach()[Xb].view(16, -1)
for layer in layers:
    x = layer(x)
loss = F.cross_entropy(x, Yb)
for layer in layers:
    layer.out.retain_grad()
loss.backward()
for i, layer in enumerate(layers[:-1]):
    t = layer.out
    print("layer %d (%10s): mean %+.2f, std %.2f, grad %e" % (i, layer.__class__.__name__, t.mean(), t.std(), t.grad.std()))  # noqa: UP031
for p in parameters:
    if p.ndim == 2:
        print(
            "weight %10s | mean %.5f | std %e | grad:data ratio %e"  # noqa: UP031
            % (tuple(p.shape), p.grad.abs().mean(), p.grad.std(), p.grad.std() / p.std())
        )
hist = torch.histogram(layers[0].out.detach(), bins=5)
print(hist.hist, hist.bin_edges)
a, b = torch.Tensor([2.0]).double(), torch.Tensor([-3.0]).double()
a.requires_grad = b.requires_grad = True
o = torch.tanh(a * b + 6.88)
print(o.data.item(), o)
o.backward()
print(a.grad.item(), b.grad.item())
