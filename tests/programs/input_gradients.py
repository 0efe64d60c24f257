"""Gradients of inputs: saliency, FGSM, Grad-CAM, style transfer with Gram matrices, DeepDream-like ascent, PINN, MAML."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

torch.manual_seed(32)
cnn = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
)  # fmt: skip
cnn.eval()
image, label = torch.rand(1, 1, 8, 8), torch.tensor([2])


def fgsm_attack(image, epsilon, data_grad):
    perturbed_image = image + epsilon * data_grad.sign()
    return torch.clamp(perturbed_image, 0, 1)


data = image.clone()
data.requires_grad = True
output = F.log_softmax(cnn(data), dim=1)
loss = F.nll_loss(output, label)
cnn.zero_grad()
loss.backward()
data_grad = data.grad.data
for eps in (0, 0.05, 0.3):
    perturbed = fgsm_attack(data, eps, data_grad)
    print(eps, F.nll_loss(F.log_softmax(cnn(perturbed), dim=1), label).item(), perturbed.requires_grad)
saliency, _ = data.grad.abs().max(dim=1)
print(saliency.shape, saliency[0, :2])

# Grad-CAM.
kept = {}
cnn[3].register_forward_hook(lambda m, i, o: kept.update(features=o))
cnn[3].register_full_backward_hook(lambda m, gi, go: kept.update(gradient=go[0]))
scores = cnn(image)
scores[0, scores.argmax()].backward()
weights = kept["gradient"].mean(dim=(2, 3), keepdim=True)
cam = F.relu((weights * kept["features"]).sum(1, keepdim=True))
cam = F.interpolate(cam, size=(8, 8), mode="bilinear", align_corners=False)
cam = (cam - cam.min()) / (cam.max() - cam.min() + 1e-8)
print(cam[0, 0, 0])


# Style transfer.
def gram_matrix(input):
    a, b, c, d = input.size()
    features = input.view(a * b, c * d)
    G = torch.mm(features, features.t())
    return G.div(a * b * c * d)


class StyleLoss(nn.Module):
    def __init__(self, target_feature):
        super().__init__()
        self.target = gram_matrix(target_feature).detach()

    def forward(self, input):
        self.loss = F.mse_loss(gram_matrix(input), self.target)
        return input


content, style = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)
backbone = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=False)).requires_grad_(False)
style_loss = StyleLoss(backbone(style))
model = nn.Sequential(backbone, style_loss)
content_target = backbone(content).detach()
input_img = content.clone()
input_img.requires_grad_(True)
optimizer = optim.LBFGS([input_img], max_iter=5)
run = [0]
while run[0] <= 15:

    def closure():
        with torch.no_grad():
            input_img.clamp_(0, 1)
        optimizer.zero_grad()
        features = model(input_img)
        score = 1e3 * style_loss.loss + F.mse_loss(features, content_target)
        score.backward()
        run[0] += 1
        if run[0] % 5 == 0:
            print(f"run {run[0]}: style {style_loss.loss.item():.6f} total {score.item():.5f}")
        return score

    optimizer.step(closure)
with torch.no_grad():
    input_img.clamp_(0, 1)
print(input_img[0, 0, 0])

# Gradient ascent on the input.
dream = torch.zeros(1, 1, 8, 8, requires_grad=True)
for _ in range(5):
    activation = cnn[:4](dream)[0, 1].mean()
    activation.backward()
    with torch.no_grad():
        dream += 0.5 * dream.grad / (dream.grad.norm() + 1e-8)
        dream.grad.zero_()
print(activation, dream.norm())

# A physics-informed network: u'' = -u with u(0) = 0, u'(0) = 1.
u = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 1))
optimizer = optim.Adam(u.parameters(), lr=5e-3)
t = torch.linspace(0, 1.5, 20).view(-1, 1).requires_grad_(True)
for step in range(12):
    value = u(t)
    (du,) = torch.autograd.grad(value, t, torch.ones_like(value), create_graph=True)
    (ddu,) = torch.autograd.grad(du, t, torch.ones_like(du), create_graph=True)
    loss = (ddu + value).pow(2).mean() + value[0].pow(2).sum() + (du[0] - 1).pow(2).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 4 == 0:
        print(step, loss.item(), t.grad is not None)

# MAML: differentiate through an inner step.
theta = [torch.randn(1, 8) * 0.5, torch.zeros(8), torch.randn(8, 1) * 0.5]
for p in theta:
    p.requires_grad_()


def forward(x, w):
    return torch.tanh(x @ w[0] + w[1]) @ w[2]


meta = optim.Adam(theta, lr=1e-2)
for step in range(5):
    total = 0.0
    for phase in (0.0, 1.0):
        x = torch.rand(6, 1) * 4 - 2
        y = torch.sin(x + phase)
        grads = torch.autograd.grad(F.mse_loss(forward(x, theta), y), theta, create_graph=True)
        fast = [w - 0.1 * g for w, g in zip(theta, grads, strict=True)]
        x = torch.rand(6, 1) * 4 - 2
        total = total + F.mse_loss(forward(x, fast), torch.sin(x + phase))
    meta.zero_grad()
    total.backward()
    meta.step()
    print(step, total)
