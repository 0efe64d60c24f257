"""A gentle introduction to torch.autograd, on real data.

Follows the official tutorial: a pretrained ResNet-18 and one training step, `Q = 3a³ - b²`, then fine-tuning with frozen
layers, here on 8×8 images of handwritten digits that ship with the package. Run it with `make demo`, or

    python examples/gentle_introduction.py [--output FOLDER] [--quick]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import rushlight as torch
from rushlight import nn, optim
from rushlight.utils.data import DataLoader, DataLoaders, TensorDataset
from rushlight.vision.datasets import Digits
from rushlight.vision.models import ResNet18_Weights, resnet18
from rushlight.viz.training import plot_history


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def load_model() -> tuple[nn.Module, bool]:
    """ResNet-18 with the official weights, or seeded random ones where they can't be had. True: pretrained."""
    try:
        return resnet18(weights=ResNet18_Weights.DEFAULT), True
    except (OSError, RuntimeError):
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        print(
            f"No pretrained weights: {ResNet18_Weights.DEFAULT.url} can't be reached and is not in {folder}; download that file "
            "on another machine and put it there. Going on with seeded random weights."
        )
        torch.manual_seed(0)
        return resnet18(), False


def one_training_step(model: nn.Module) -> None:
    """The tutorial's step: forward, loss, backward, gradient descent."""
    data = torch.rand(1, 3, 64, 64)
    labels = torch.rand(1, 1000)

    prediction = model(data)  # forward pass
    loss = (prediction - labels).sum()
    print("loss:", loss)
    loss.backward()  # backward pass
    print("gradient of conv1.weight:", model.conv1.weight.grad.shape)

    optimizer = optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    print(optimizer)
    optimizer.step()  # gradient descent


def differentiate_q() -> None:
    """Q = 3a³ - b², its gradient from a cotangent and from a sum."""
    a = torch.tensor([2.0, 3.0], requires_grad=True)
    b = torch.tensor([6.0, 4.0], requires_grad=True)
    Q = 3 * a**3 - b**2
    print("Q =", Q)
    external_grad = torch.tensor([1.0, 1.0])
    Q.backward(gradient=external_grad)
    print("9a² == a.grad:", 9 * a**2 == a.grad)
    print("-2b == b.grad:", -2 * b == b.grad)

    a.grad = b.grad = None
    (3 * a**3 - b**2).sum().backward()
    print("the same from Q.sum().backward():", bool((9 * a**2 == a.grad).all() and (-2 * b == b.grad).all()))


def prepared(digits: Digits, size: int) -> TensorDataset:
    """The digits as a network for photographs wants them: three channels, size × size, in [-1, 1]."""
    images = torch.stack([image for image, _ in digits])
    labels = torch.tensor([label for _, label in digits])
    images = nn.functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    return TensorDataset((images * 2 - 1).expand(-1, 3, -1, -1).contiguous(), labels)


def digit_loaders(size: int) -> DataLoaders:
    """Dataset → DataLoader → DataLoaders: four fifths of the training digits to learn from, one fifth to validate."""
    return DataLoaders.from_dataset(prepared(Digits(train=True), size), valid=0.2, batch_size=50, seed=0)


def accuracy(model: nn.Module, loader: DataLoader) -> float:
    """The share of images the model labels correctly."""
    model.eval()
    right = total = 0
    with torch.no_grad():
        for images, labels in loader:
            right += int((model(images).argmax(1) == labels).sum())
            total += len(labels)
    return right / total


def fit(model: nn.Module, loaders: DataLoaders, optimizer: optim.Optimizer, epochs: int, stop_at: float = 1.0) -> list[dict[str, float]]:
    """Train with cross-entropy, the learning rate falling along a cosine; returns loss and accuracies per epoch."""
    from tqdm import tqdm

    loss_fn = nn.CrossEntropyLoss()
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    history: list[dict[str, float]] = []
    for epoch in range(1, epochs + 1):
        model.train()
        total = right = seen = 0.0
        for images, labels in tqdm(loaders.train, desc=f"epoch {epoch}", leave=False, disable=None):
            logits = model(images)
            loss = loss_fn(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
            right += int((logits.argmax(1) == labels).sum())
            seen += len(labels)
        scheduler.step()
        valid = accuracy(model, loaders.valid)
        history.append({"epoch": epoch, "train_loss": total / seen, "train_accuracy": right / seen, "valid_accuracy": valid})
        print(f"epoch {epoch}: loss {total / seen:.3f}, accuracy {right / seen:.1%} in training, {valid:.1%} in validation")
        if valid >= stop_at:
            break
    return history


def fine_tune(model: nn.Module, pretrained: bool, output: Path, quick: bool) -> None:
    """Freeze the network, give it a new head for ten classes, and train that; then, if need be, train all of it."""
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = nn.Linear(512, 10)  # new layers are not frozen
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{trainable:,} of {sum(p.numel() for p in model.parameters()):,} parameters are trained")
    optimizer = optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    loaders = digit_loaders(size=32)
    print(loaders)
    history = fit(model, loaders, optimizer, epochs=1 if quick else 3)
    print("picture:", plot_history(history, output / "frozen_backbone.png", title="ResNet-18, frozen, with a new head"))
    if pretrained and history[-1]["valid_accuracy"] > 0.95:
        return

    heading("The whole network")
    if not pretrained:
        print("A backbone of random weights is a poor feature extractor, so now all of it is trained, on smaller images.")
    torch.manual_seed(0)
    model = resnet18(num_classes=10)
    optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    history = fit(model, digit_loaders(size=16), optimizer, epochs=1 if quick else 12, stop_at=0.98)
    print("picture:", plot_history(history, output / "whole_network.png", title="ResNet-18, all layers, handwritten digits"))
    unseen = DataLoader(prepared(Digits(train=False), 16), batch_size=50)
    print(f"accuracy on digits of people it has never seen: {accuracy(model, unseen):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for the pictures")
    parser.add_argument("--quick", action="store_true", help="one epoch each, for testing")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()

    heading("One training step of ResNet-18")
    model, pretrained = load_model()
    one_training_step(model)

    heading("Q = 3a³ - b²")
    differentiate_q()

    heading("Fine-tuning: frozen layers and a new head")
    model = resnet18(weights=ResNet18_Weights.DEFAULT) if pretrained else resnet18()
    fine_tune(model, pretrained, options.output, options.quick)
    print(f"\nThat took {time.perf_counter() - start:.0f} s.")


if __name__ == "__main__":
    main()
