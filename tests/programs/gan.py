"""A GAN on a Gaussian with the usual step loop, and a WGAN with gradient penalty (double backward)."""

import torch
import torch.autograd as autograd
import torch.nn as nn

torch.manual_seed(13)
latent_dim, batch_size = 4, 32


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Linear") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.2)
        if m.bias is not None:
            nn.init.constant_(m.bias.data, 0)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


generator = nn.Sequential(
    nn.Linear(latent_dim, 16, bias=False),
    nn.BatchNorm1d(16, 0.8),
    nn.LeakyReLU(0.2, inplace=True),
    nn.Linear(16, 2),
    nn.Tanh(),
)
discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2, inplace=True), nn.Linear(16, 1), nn.Sigmoid())
generator.apply(weights_init)
discriminator.apply(weights_init)
print(generator, discriminator)
adversarial_loss = nn.BCELoss()
optimizer_G = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))


def real_batch():
    return torch.randn(batch_size, 2) * 0.2 + torch.tensor([0.5, -0.5])


for i in range(20):
    valid = torch.ones(batch_size, 1, requires_grad=False)
    fake = torch.full((batch_size, 1), 0.0)
    real = real_batch()
    optimizer_G.zero_grad()
    z = torch.randn(batch_size, latent_dim)
    gen = generator(z)
    g_loss = adversarial_loss(discriminator(gen), valid)
    g_loss.backward()
    optimizer_G.step()
    optimizer_D.zero_grad()
    real_loss = adversarial_loss(discriminator(real), valid)
    fake_loss = adversarial_loss(discriminator(gen.detach()), fake)
    d_loss = (real_loss + fake_loss) / 2
    d_loss.backward()
    optimizer_D.step()
    if i % 5 == 0:
        print("[Batch %d] [D loss: %f] [G loss: %f]" % (i, d_loss.item(), g_loss.item()))  # noqa: UP031
fixed_noise = torch.randn(3, latent_dim)
generator.eval()
print(generator(fixed_noise))
generator.train()

critic = nn.Sequential(nn.Linear(2, 16), nn.Softplus(), nn.Linear(16, 1))
optimizer_C = torch.optim.RMSprop(critic.parameters(), lr=1e-3)


def compute_gradient_penalty(D, real_samples, fake_samples):
    alpha = torch.rand(real_samples.size(0), 1)
    interpolates = (alpha * real_samples + ((1 - alpha) * fake_samples)).requires_grad_(True)
    d_interpolates = D(interpolates)
    gradients = autograd.grad(
        outputs=d_interpolates, inputs=interpolates, grad_outputs=torch.ones_like(d_interpolates),
        create_graph=True, retain_graph=True, only_inputs=True,
    )[0]  # fmt: skip
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


for i in range(6):
    optimizer_C.zero_grad()
    real = real_batch()
    with torch.no_grad():
        fake = generator(torch.randn(batch_size, latent_dim))
    penalty = compute_gradient_penalty(critic, real.data, fake.data)
    d_loss = -torch.mean(critic(real)) + torch.mean(critic(fake)) + 10 * penalty
    d_loss.backward()
    optimizer_C.step()
    for p in critic.parameters():
        p.data.clamp_(-0.5, 0.5)
    print(i, d_loss, penalty)
print(critic[0].weight.grad[:3], critic[2].weight)

soft = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))
logits = torch.tensor([[0.3], [-1.2]], requires_grad=True)
loss = soft(logits, torch.tensor([[1.0], [0.0]]))
loss.backward()
print(loss, logits.grad)
