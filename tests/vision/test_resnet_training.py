"""ResNet-18 training steps: rushlight's float32 against torch's, both measured from torch's float64 run."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.vision.models import resnet18

STEPS = 5
# Where torch's float32 run happens to hit the float64 one, a few units of rounding are allowed all the same.
FLOOR = 4 * np.finfo(np.float32).eps
CHECKED_STEPS = (1, STEPS)


def inputs(rng):
    return rng.random((4, 3, 64, 64)), rng.integers(0, 1000, 4)


def train(library, model, data, labels, dtype, tutorial_loss):
    """Logits, loss, gradients and parameters at the checked steps, as float64 arrays by name."""
    optimizer = library.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    x = library.tensor(data, dtype=dtype)
    y = library.tensor(labels)
    seen = {}
    for step in range(1, (1 if tutorial_loss else STEPS) + 1):
        logits = model(x)
        loss = (logits - 0.5).sum() if tutorial_loss else library.nn.functional.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        optimizer.step()
        if step in CHECKED_STEPS:
            seen[f"{step}: logits"], seen[f"{step}: loss"] = logits, loss
            seen.update({f"{step}: gradient of {name}": g for name, g in gradients.items()})
            seen.update({f"{step}: {name}": value.clone() for name, value in model.state_dict().items()})
    return {name: np.array(value.detach().numpy(), dtype=np.float64) for name, value in seen.items()}


def error(found, reference):
    """The root mean square difference relative to the reference's."""
    size = np.sqrt(np.mean(reference**2))
    return float(np.sqrt(np.mean((found - reference) ** 2)) / (size if size else 1.0))


# How many draws of the data a comparison is the median of.
DRAWS = 5


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="parity tests need torch")


@pytest.fixture(scope="module")
def checkpoint(torch, torchvision):
    torch.manual_seed(0)
    return {name: value.numpy().copy() for name, value in torchvision.models.resnet18().state_dict().items()}


def models(torch, torchvision, checkpoint, dtype_name, mode):
    theirs = torchvision.models.resnet18().to(getattr(torch, dtype_name))
    theirs.load_state_dict({name: torch.tensor(value) for name, value in checkpoint.items()})
    ours = resnet18().to(getattr(rl, dtype_name))
    ours.load_state_dict({name: rl.tensor(value) for name, value in checkpoint.items()})
    return ours.train(mode == "train"), theirs.train(mode == "train")


@pytest.mark.slow
@pytest.mark.parametrize("tutorial_loss", [False, True], ids=["cross_entropy", "tutorial_loss"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_steps_are_as_accurate_as_torchs(torch, torchvision, checkpoint, mode, tutorial_loss):
    """The median, over draws of the data, of our error over torch's: where an activation lies within rounding of zero, one
    flipped ReLU is a thousand times what arithmetic loses, for torch as for us, and the steps after it drift apart."""
    ratios = {}
    for seed in range(DRAWS):
        data, labels = inputs(np.random.default_rng(seed))
        ours64, theirs64 = models(torch, torchvision, checkpoint, "float64", mode)
        ours32, theirs32 = models(torch, torchvision, checkpoint, "float32", mode)
        reference = train(torch, theirs64, data, labels, torch.float64, tutorial_loss)
        rounded = train(torch, theirs32, data, labels, torch.float32, tutorial_loss)
        found32 = train(rl, ours32, data, labels, rl.float32, tutorial_loss)
        assert reference.keys() == found32.keys()
        if seed == 0:
            for name, value in train(rl, ours64, data, labels, rl.float64, tutorial_loss).items():
                assert error(value, reference[name]) <= 1e-7, f"float64, {name}"
        for name, value in reference.items():
            ratios.setdefault(name, []).append(error(found32[name], value) / max(error(rounded[name], value), FLOOR))
    for name, found in ratios.items():
        assert np.median(found) <= 3, f"float32, {name}: {np.median(found):.2f} times torch's error; at each draw {found}"
