"""DCGAN, a toy diffusion model, a planar flow, an RBM, a pixel model with masked convolutions, skip-gram with negatives."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(33)

# DCGAN.
nz, ngf = 6, 4
netG = nn.Sequential(
    nn.ConvTranspose2d(nz, ngf * 2, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 2), nn.ReLU(True),
    nn.ConvTranspose2d(ngf * 2, 1, 4, 2, 1, bias=False), nn.Tanh(),
)  # fmt: skip
netD = nn.Sequential(
    nn.Conv2d(1, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(4, 1, 4, 1, 0, bias=False), nn.Sigmoid()
)
print(netG, netD)
criterion = nn.BCELoss()
optimizerD = torch.optim.Adam(netD.parameters(), lr=0.002, betas=(0.5, 0.999))
optimizerG = torch.optim.Adam(netG.parameters(), lr=0.002, betas=(0.5, 0.999))
fixed_noise = torch.randn(2, nz, 1, 1)
for i in range(4):
    netD.zero_grad()
    real = torch.rand(8, 1, 8, 8) * 2 - 1
    label = torch.full((8,), 1.0, dtype=torch.float)
    output = netD(real).view(-1)
    errD_real = criterion(output, label)
    errD_real.backward()
    D_x = output.mean().item()
    fake = netG(torch.randn(8, nz, 1, 1))
    label.fill_(0.0)
    output = netD(fake.detach()).view(-1)
    errD_fake = criterion(output, label)
    errD_fake.backward()
    optimizerD.step()
    netG.zero_grad()
    label.fill_(1.0)
    errG = criterion(netD(fake).view(-1), label)
    errG.backward()
    optimizerG.step()
    print(f"[{i}/4]\tLoss_D: {(errD_real + errD_fake).item():.4f}\tLoss_G: {errG.item():.4f}\tD(x): {D_x:.4f}")
with torch.no_grad():
    print(netG(fixed_noise).detach().cpu()[0, 0, 0])

# Diffusion on two-dimensional points.
T = 20
betas = torch.linspace(1e-4, 0.2, T)
alphas = 1.0 - betas
alphas_cumprod = torch.cumprod(alphas, dim=0)
alphas_cumprod_prev = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
posterior_variance = betas * (1.0 - alphas_cumprod_prev) / (1.0 - alphas_cumprod)
print(alphas_cumprod[::5], posterior_variance[:3])


def extract(a, t, x_shape):
    out = a.gather(-1, t)
    return out.reshape(t.shape[0], *((1,) * (len(x_shape) - 1)))


class SinusoidalPositionEmbeddings(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, time):
        half_dim = self.dim // 2
        embeddings = math.log(10000) / (half_dim - 1)
        embeddings = torch.exp(torch.arange(half_dim) * -embeddings)
        embeddings = time[:, None] * embeddings[None, :]
        return torch.cat((embeddings.sin(), embeddings.cos()), dim=-1)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(SinusoidalPositionEmbeddings(8), nn.Linear(8, 16), nn.SiLU())
        self.inp, self.out = nn.Linear(2, 16), nn.Linear(16, 2)

    def forward(self, x, t):
        return self.out(F.silu(self.inp(x) + self.time(t)))


denoiser = Denoiser()
optimizer = torch.optim.AdamW(denoiser.parameters(), lr=1e-2)
for step in range(10):
    angle = torch.rand(32) * 2 * torch.pi
    x0 = torch.stack((angle.cos(), angle.sin()), dim=-1)
    t = torch.randint(0, T, (32,)).long()
    noise = torch.randn_like(x0)
    root = extract(alphas_cumprod.sqrt(), t, x0.shape)
    x_noisy = root * x0 + extract((1 - alphas_cumprod).sqrt(), t, x0.shape) * noise
    loss = F.smooth_l1_loss(noise, denoiser(x_noisy, t))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 3 == 0:
        print(step, loss.item())


@torch.no_grad()
def sample(count):
    x = torch.randn(count, 2)
    for i in reversed(range(T)):
        t = torch.full((count,), i, dtype=torch.long)
        mean = extract(1 / alphas.sqrt(), t, x.shape) * (
            x - extract(betas, t, x.shape) * denoiser(x, t) / extract((1 - alphas_cumprod).sqrt(), t, x.shape)
        )
        x = mean if i == 0 else mean + extract(posterior_variance, t, x.shape).sqrt() * torch.randn_like(x)
    return x


print(sample(3))


# A planar flow.
class Planar(nn.Module):
    def __init__(self):
        super().__init__()
        self.u, self.w = nn.Parameter(torch.randn(2) * 0.1), nn.Parameter(torch.randn(2) * 0.1)
        self.b = nn.Parameter(torch.zeros(1))

    def forward(self, z):
        activation = torch.tanh(z @ self.w + self.b)
        psi = (1 - activation**2)[:, None] * self.w
        return z + self.u * activation[:, None], torch.log(torch.abs(1 + psi @ self.u) + 1e-8)


flow = nn.ModuleList([Planar() for _ in range(3)])
optimizer = torch.optim.Adam(flow.parameters(), lr=0.05)
for _ in range(6):
    z = torch.randn(64, 2)
    log_det = torch.zeros(64)
    log_q0 = -0.5 * (z**2).sum(1) - math.log(2 * math.pi)
    for layer in flow:
        z, ld = layer(z)
        log_det = log_det + ld
    log_p = -0.5 * ((z[:, 0] - 1) ** 2 + (z[:, 1] - z[:, 0] ** 2) ** 2)
    loss = (log_q0 - log_det - log_p).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss, flow[0].u)

# A restricted Boltzmann machine by contrastive divergence.
W, vb, hb = torch.randn(6, 4) * 0.1, torch.zeros(6), torch.zeros(4)
v_data = torch.bernoulli(torch.tensor([0.9, 0.9, 0.1, 0.1, 0.5, 0.5]).expand(20, 6))
for _ in range(5):
    ph = torch.sigmoid(v_data @ W + hb)
    h = torch.bernoulli(ph)
    pv = torch.sigmoid(h @ W.t() + vb)
    v1 = pv.bernoulli()
    ph1 = torch.sigmoid(v1 @ W + hb)
    W += 0.1 * (v_data.t() @ ph - v1.t() @ ph1) / 20
    vb += 0.1 * (v_data - v1).mean(0)
    hb.add_((ph - ph1).mean(0), alpha=0.1)
print(v_data.mean(0), (v_data - pv).pow(2).mean(), W[0])


class MaskedConv2d(nn.Conv2d):
    def __init__(self, mask_type, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_buffer("mask", self.weight.data.clone())
        _, _, kH, kW = self.weight.size()
        self.mask.fill_(1)
        self.mask[:, :, kH // 2, kW // 2 + (mask_type == "B") :] = 0
        self.mask[:, :, kH // 2 + 1 :] = 0

    def forward(self, x):
        self.weight.data *= self.mask
        return super().forward(x)


pixel = nn.Sequential(MaskedConv2d("A", 1, 4, 3, padding=1), nn.ReLU(), MaskedConv2d("B", 4, 2, 3, padding=1))
x = torch.randint(0, 2, (4, 1, 5, 5))
loss = F.cross_entropy(pixel(x.float()), x.squeeze(1))
loss.backward()
print(pixel, loss, pixel[0].weight[0, 0], pixel[0].mask[0, 0])

# Skip-gram with negative sampling.
center, context = nn.Embedding(9, 4, sparse=False), nn.Embedding(9, 4)
optimizer = torch.optim.SparseAdam if False else torch.optim.Adagrad
optimizer = optimizer([*center.parameters(), *context.parameters()], lr=0.5)
for _ in range(5):
    c, o = torch.randint(0, 9, (16,)), torch.randint(0, 9, (16,))
    negatives = torch.multinomial(torch.arange(1.0, 10).pow(0.75), 16 * 3, replacement=True).view(16, 3)
    positive = F.logsigmoid((center(c) * context(o)).sum(1))
    negative = F.logsigmoid(-torch.bmm(context(negatives), center(c).unsqueeze(2)).squeeze(2)).sum(1)
    loss = -(positive + negative).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss, center.weight[0])
