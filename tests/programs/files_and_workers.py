"""An ImageFolder on disk, workers, resuming from a checkpoint, logging, seeds and determinism, harmless switches."""

import argparse
import copy
import json
import os
import random
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torchvision.transforms as T
from PIL import Image
from torch.utils.data import DataLoader, Dataset, get_worker_info, random_split
from torchvision import datasets
from torchvision.utils import save_image


def seed_everything(seed):
    random.seed(seed)
    os.environ["PYTHONHASHSEED"] = str(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


parser = argparse.ArgumentParser()
parser.add_argument("--batch-size", type=int, default=4)
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--no-cuda", action="store_true", default=False)
args = parser.parse_args([])
use_cuda = not args.no_cuda and torch.cuda.is_available()
device = torch.device("cuda" if use_cuda else "cpu")
kwargs = {"num_workers": 1, "pin_memory": True} if use_cuda else {}
seed_everything(34)
print(args, device, kwargs, torch.cuda.device_count())
folder = tempfile.TemporaryDirectory()
root = Path(folder.name)
for index in range(12):
    name = ("cats", "dogs")[index % 2]
    (root / "train" / name).mkdir(parents=True, exist_ok=True)
    pixels = np.random.randint(0, 120, (10, 12, 3), dtype=np.uint8)
    pixels[..., index % 2] += 100
    Image.fromarray(pixels).save(root / "train" / name / f"{index:02d}.png")

transform = T.Compose([T.Resize((8, 8)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])
dataset = datasets.ImageFolder(root / "train", transform=transform)
print(dataset.classes, dataset.class_to_idx, len(dataset), [Path(path).name for path, _ in dataset.samples[:3]], dataset.targets)
print(str(dataset).splitlines()[:2], dataset[0][0].shape, dataset[7][1])
train_set, val_set = random_split(dataset, [8, 4], generator=torch.Generator().manual_seed(0))
loader = DataLoader(train_set, batch_size=args.batch_size, shuffle=True, **kwargs)
for images, labels in loader:
    print(images.shape, images.mean(), labels)


class Squares(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        info = get_worker_info()
        return index**2, info is None or info.num_workers > 0


def worker_init_fn(worker_id):
    np.random.seed(torch.initial_seed() % 2**32)


for values, _ in DataLoader(Squares(), batch_size=2, num_workers=2, worker_init_fn=worker_init_fn, persistent_workers=True):
    print(values)

model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
path = root / "checkpoint.pt"


def train_one(epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(loader):
        data, target = data.to(device, non_blocking=True), target.to(device)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(data), target)
        loss.backward()
        optimizer.step()
        print(
            f"Train Epoch: {epoch} [{batch_idx * len(data)}/{len(loader.dataset)} "
            f"({100.0 * batch_idx / len(loader):.0f}%)]\tLoss: {loss.item():.6f}"
        )
    scheduler.step()


for epoch in range(2):
    train_one(epoch)
    torch.save(
        {
            "epoch": epoch + 1,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "rng": torch.get_rng_state(),
            "args": vars(args),
        },
        path,
    )
continued = copy.deepcopy(model.state_dict())
train_one(2)
after = [p.detach().clone() for p in model.parameters()]
checkpoint = torch.load(path, map_location=device)
model.load_state_dict(checkpoint["model"])
optimizer.load_state_dict(checkpoint["optimizer"])
scheduler.load_state_dict(checkpoint["scheduler"])
torch.set_rng_state(checkpoint["rng"])
train_one(checkpoint["epoch"])
print(all(torch.equal(a, b) for a, b in zip(after, model.parameters(), strict=True)), checkpoint["args"], scheduler.get_last_lr())
save_image(torch.rand(4, 3, 6, 6), root / "grid.png", nrow=2)
print(Image.open(root / "grid.png").size, sorted(os.listdir(root)))
with open(root / "log.json", "w") as file:
    json.dump({"loss": torch.tensor(0.5).item(), "norms": [round(float(p.norm()), 3) for p in model.parameters()]}, file)
print(json.loads((root / "log.json").read_text()))
folder.cleanup()

state = torch.random.get_rng_state()
a = torch.rand(2)
torch.random.set_rng_state(state)
print(torch.equal(a, torch.rand(2)), torch.initial_seed())
with torch.random.fork_rng():
    torch.manual_seed(1)
    print(torch.rand(1))
g = torch.Generator(device="cpu")
g.manual_seed(5)
print(torch.randn(2, generator=g), torch.randperm(4, generator=g), g.initial_seed(), torch.normal(0.0, 1.0, (2,), generator=g))
compiled = torch.compile(model) if False else model
scripted = torch.jit.script(model) if False else model
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
print(torch.ones(1).dtype, nn.Linear(1, 1).weight.dtype, torch.tensor(1.5).dtype)
torch.set_default_dtype(torch.float32)
torch.use_deterministic_algorithms(True)
print(torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled())
torch.use_deterministic_algorithms(False)
with torch.device("cpu"):
    print(torch.ones(1).device)
with torch.autograd.set_detect_anomaly(True):
    x = torch.tensor(0.0, requires_grad=True)
    try:
        (torch.sqrt(x) * 0).backward()
    except RuntimeError as error:
        print("returned nan values" in str(error))
torch.cuda.empty_cache()
print(torch.cuda.is_available(), torch.backends.mps.is_available(), torch.backends.cudnn.enabled, torch.version.cuda)
print(torch.__version__.split("+")[0].split(".")[0], hasattr(torch, "compile"), nn.Module.__module__)
meta = torch.empty(2, 3, device="meta")
print(meta.shape, meta.device, meta)
