"""torchvision's transforms, utilities and models as courses use them, on generated pictures."""

import random

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision import datasets, models, transforms
from torchvision.transforms import functional as TF

torch.manual_seed(27)
random.seed(27)
pixels = (np.arange(20 * 24 * 3) % 251).reshape(20, 24, 3).astype(np.uint8)
image = Image.fromarray(pixels)
tensor = transforms.ToTensor()(image)
print(tensor.shape, tensor.dtype, tensor[0, 0, :4], transforms.PILToTensor()(image)[0, 0, :4])
pipeline = transforms.Compose(
    [
        transforms.Resize(16),
        transforms.CenterCrop(12),
        transforms.RandomHorizontalFlip(p=0.5),
        transforms.RandomCrop(8, padding=1),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)
print(pipeline)
for _ in range(3):
    out = pipeline(image)
    print(out.shape, out.mean(), out[0, 0, :3])
for transform in (
    transforms.RandomResizedCrop(8), transforms.RandomRotation(15), transforms.ColorJitter(0.2, 0.2, 0.2, 0.05), transforms.Grayscale(),
    transforms.Pad(2), transforms.RandomVerticalFlip(), transforms.RandomAffine(10, translate=(0.1, 0.1)), transforms.Resize((5, 7)),
    transforms.RandomApply([transforms.CenterCrop(4)], p=0.5), transforms.Lambda(lambda picture: picture), transforms.FiveCrop(4),
):  # fmt: skip
    result = transform(image)
    size = result.size if not isinstance(result, tuple) else [r.size for r in result]
    print(type(transform).__name__, size)
for transform in (
    transforms.RandomErasing(p=1.0), transforms.RandomCrop(6), transforms.RandomHorizontalFlip(1.0), transforms.Resize(10, antialias=True),
    transforms.Grayscale(3), transforms.GaussianBlur(3, sigma=1.0), transforms.ConvertImageDtype(torch.uint8), transforms.CenterCrop(30),
    transforms.ColorJitter(brightness=0.3, contrast=0.3), transforms.RandomInvert(1.0),
):  # fmt: skip
    result = transform(tensor)
    print(transform, tuple(result.shape), result.double().mean())
print(TF.hflip(tensor)[0, 0, :3], TF.crop(tensor, 1, 2, 3, 4).shape, TF.to_pil_image(tensor).size, TF.rotate(tensor, 90).shape)
print(TF.normalize(tensor, [0.5] * 3, [0.5] * 3)[0, 0, :3], TF.adjust_brightness(tensor, 2.0).max(), TF.pad(tensor, [1]).shape)
grid = torchvision.utils.make_grid(torch.stack([tensor] * 5), nrow=3, padding=1, normalize=True)
print(grid.shape, grid.mean())

fake = datasets.FakeData(size=6, image_size=(3, 16, 16), num_classes=3, transform=transforms.ToTensor())
print(fake)
loader = torch.utils.data.DataLoader(fake, batch_size=3)
for x, y in loader:
    print(x.shape, x.mean(), y)

vgg = models.vgg11(weights=None, num_classes=4)
print(vgg.classifier, len(vgg.features))
squeeze = models.squeezenet1_1(weights=None)
print(squeeze.features[3])
resnet = models.resnet18(num_classes=3)
resnet.eval()
print(resnet(torch.ones(1, 3, 32, 32)).shape, list(dict(resnet.named_children())))
body = torch.nn.Sequential(*list(resnet.children())[:-1])
print(body(torch.ones(1, 3, 32, 32)).flatten(1).shape, sum(p.numel() for p in body.parameters()))
print(models.ResNet18_Weights.DEFAULT, models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"][:2])
print(models.ResNet18_Weights.DEFAULT.transforms())
