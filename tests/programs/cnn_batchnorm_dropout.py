"""A CNN with batch norm and dropout: train and eval, buffers, gradients, schedules, augmentations."""

from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(11)


class ConvBlock(nn.Module):
    def __init__(self, c_in, c_out, **kwargs):
        super().__init__()
        self.block = nn.Sequential(
            OrderedDict(
                [
                    ("conv", nn.Conv2d(c_in, c_out, 3, padding=1, bias=False, **kwargs)),
                    ("norm", nn.BatchNorm2d(c_out)),
                    ("act", nn.ReLU(inplace=True)),
                ]
            )
        )

    def forward(self, x):
        return self.block(x)


class CNN(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.features = nn.ModuleList([ConvBlock(1, 8), ConvBlock(8, 16, stride=2), ConvBlock(16, 16, groups=4)])
        self.heads = nn.ModuleDict({"class": nn.Linear(16, num_classes), "angle": nn.Linear(16, 1)})
        self.dropout = nn.Dropout(p=0.25)
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.register_buffer("offset", torch.tensor([0.5]))

    def forward(self, x):
        x = x - self.offset
        for block in self.features:
            x = block(x)
        x = self.pool(x).flatten(1)
        x = self.dropout(x)
        return {name: head(x) for name, head in self.heads.items()}


model = CNN()
print(model)
print([name for name, _ in model.named_buffers()])
images = torch.rand(12, 1, 8, 8)
labels = torch.arange(12) % 3
images[labels == 1, :, 2:6, 2:6] += 1
images[labels == 2, :, ::2] += 1
angles = torch.randn(12, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
for epoch in range(6):
    model.train()
    out = model(images)
    loss = F.cross_entropy(out["class"], labels) + 0.1 * F.smooth_l1_loss(out["angle"], angles)
    optimizer.zero_grad()
    loss.backward()
    total_norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()
    scheduler.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(images)["class"].argmax(-1) == labels).float().mean()
    print(epoch, loss.item(), total_norm, accuracy, scheduler.get_last_lr())
norm = model.features[0].block.norm
print(norm.running_mean, norm.running_var, norm.num_batches_tracked)
print(norm.weight)
print(model.training, model.dropout.training, model.features[1].block[1])
print(model(images)["class"][:3])
print("conv" in dict(model.features[0].block.named_children()), len(model.features), list(model.heads.keys()))

x = torch.randn(2, 4, 6, 6, requires_grad=True)
layers = [
    nn.MaxPool2d(2), nn.AvgPool2d(3, stride=1, padding=1), nn.AdaptiveMaxPool2d(2), nn.Upsample(scale_factor=2),
    nn.Upsample(size=(4, 4), mode="bilinear", align_corners=False), nn.ZeroPad2d(1), nn.ReflectionPad2d(2),
    nn.ConvTranspose2d(4, 2, 3, stride=2), nn.InstanceNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm([4, 6, 6]),
    nn.PixelShuffle(2), nn.Unfold(3), nn.Dropout2d(0.5), nn.LPPool2d(2, 2), nn.PReLU(), nn.Softmax2d(), nn.Flatten(),
    nn.Conv2d(4, 4, 3, padding="same", padding_mode="reflect"), nn.LocalResponseNorm(2), nn.AlphaDropout(0.3),
]  # fmt: skip
for layer in layers:
    y = layer(x)
    (gradient,) = torch.autograd.grad(y.exp().sum(), x)
    print(layer, tuple(y.shape), y.abs().mean(), gradient.abs().sum())
print(layers[4](x)[0, 0])
pooled, where = F.max_pool2d(x, 2, return_indices=True)
print(where[0, 0], F.max_unpool2d(pooled, where, 2)[0, 0])
print(F.interpolate(torch.arange(4.0).view(1, 1, 2, 2), size=4, mode="bicubic"))
kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
print(F.conv2d(images[:1], kernel, padding=1)[0, 0, :2])
print(F.conv1d(torch.arange(6.0).view(1, 1, -1), torch.ones(1, 1, 3) / 3, stride=2, dilation=1))
print(nn.Conv1d(2, 3, 3, padding=1)(torch.randn(1, 2, 5)).shape, nn.Conv3d(1, 2, 3)(torch.randn(1, 1, 4, 4, 4)).shape)
