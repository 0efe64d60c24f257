"""A CIFAR-style ResNet and a U-Net written out, mixup, a segmentation score, test-time averaging, summaries."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(31)
np.random.seed(31)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_planes, planes, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != self.expansion * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_planes, self.expansion * planes, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(self.expansion * planes),
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResNet(nn.Module):
    def __init__(self, block, num_blocks, num_classes=4):
        super().__init__()
        self.in_planes = 8
        self.conv1 = nn.Conv2d(3, 8, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = self._make_layer(block, 8, num_blocks[0], stride=1)
        self.layer2 = self._make_layer(block, 16, num_blocks[1], stride=2)
        self.linear = nn.Linear(16 * block.expansion, num_classes)

    def _make_layer(self, block, planes, num_blocks, stride):
        layers = []
        strides = [stride] + [1] * (num_blocks - 1)
        for stride in strides:
            layers.append(block(self.in_planes, planes, stride))
            self.in_planes = planes * block.expansion
        return nn.Sequential(*layers)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer2(self.layer1(out))
        out = F.avg_pool2d(out, 8)
        out = out.view(out.size(0), -1)
        return self.linear(out)


class DoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.inc = DoubleConv(3, 8)
        self.down = nn.Sequential(nn.MaxPool2d(2), DoubleConv(8, 16))
        self.up = nn.ConvTranspose2d(16, 8, kernel_size=2, stride=2)
        self.conv = DoubleConv(16, 8)
        self.outc = nn.Conv2d(8, 1, kernel_size=1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.up(self.down(x1))
        diffY, diffX = x1.size()[2] - x2.size()[2], x1.size()[3] - x2.size()[3]
        x2 = F.pad(x2, [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2])
        return self.outc(self.conv(torch.cat([x1, x2], dim=1)))


def mixup_data(x, y, alpha=0.4):
    lam = np.random.beta(alpha, alpha)
    index = torch.randperm(x.size(0))
    return lam * x + (1 - lam) * x[index, :], y, y[index], lam


def cutmix(x, lam):
    W, H = x.size(2), x.size(3)
    cut = int(W * np.sqrt(1.0 - lam))
    cx = np.random.randint(W)
    x1, x2 = np.clip(cx - cut // 2, 0, W), np.clip(cx + cut // 2, 0, W)
    mixed = x.clone()
    mixed[:, :, x1:x2, :] = x.flip(0)[:, :, x1:x2, :]
    return mixed, 1 - (x2 - x1) / H


torch.backends.cudnn.benchmark = True
net = ResNet(BasicBlock, [1, 1])
print(net)
images, labels = torch.randn(16, 3, 16, 16), torch.randint(0, 4, (16,))
images[labels == 0, 0] += 1
images[labels == 1, 1] += 1
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[3], gamma=0.1)
criterion = nn.CrossEntropyLoss()
for epoch in range(5):
    net.train()
    mixed, y_a, y_b, lam = mixup_data(images, labels)
    optimizer.zero_grad()
    outputs = net(mixed)
    loss = lam * criterion(outputs, y_a) + (1 - lam) * criterion(outputs, y_b)
    loss.backward()
    optimizer.step()
    scheduler.step()
    _, predicted = outputs.max(1)
    correct = (lam * predicted.eq(y_a).cpu().sum().float() + (1 - lam) * predicted.eq(y_b).cpu().sum().float()).item()
    print(f"epoch {epoch} loss {loss.item():.3f} lr {optimizer.param_groups[0]['lr']:.4f} acc {correct / 16:.2f}")
print(net.layer2[0].shortcut[1].running_var, cutmix(images, 0.5)[1])
net.eval()
with torch.no_grad():
    probabilities = torch.stack([F.softmax(net(view), dim=1) for view in (images, images.flip(3), images.roll(1, 2))]).mean(0)
print(probabilities[:2])

unet = UNet()
print(sum(p.numel() for p in unet.parameters()), unet.up)
masks = (images.mean(1, keepdim=True) > 0.2).float()
optimizer = torch.optim.RMSprop(unet.parameters(), lr=1e-3, weight_decay=1e-8, momentum=0.9)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=0)
for _ in range(4):
    prediction = unet(images[:, :, :15, :15])
    target = masks[:, :, :15, :15]
    loss = F.binary_cross_entropy_with_logits(prediction, target)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    hard = (torch.sigmoid(prediction) > 0.5).float()
    dice = 2 * (hard * target).sum() / (hard.sum() + target.sum()).clamp(min=1)
    iou = torch.logical_and(hard, target).sum() / torch.logical_or(hard, target).sum()
    scheduler.step(dice)
    print(f"loss {loss:.4f} dice {dice:.3f} iou {iou:.3f}")


def summary(model, x):
    rows = []

    def hook(module, inputs, output):
        rows.append((type(module).__name__, list(output.shape), sum(p.numel() for p in module.parameters())))

    handles = [m.register_forward_hook(hook) for m in model.modules() if not list(m.children())]
    model(x)
    for h in handles:
        h.remove()
    return rows


for row in summary(net, images[:2]):
    print("{:<14}{!s:<20}{:>8,}".format(*row))
depthwise = nn.Conv2d(4, 8, 3, groups=4)
print(depthwise.weight.shape, depthwise(torch.ones(1, 4, 5, 5)).shape, F.conv2d(torch.ones(1, 2, 4, 4), torch.ones(3, 2, 2, 2)).unique())
channels_last = images.to(memory_format=torch.channels_last)
print(channels_last.stride(), net(channels_last).sub(net(images)).abs().max() < 1e-4)
