"""The alias over rushlight itself: the paths programs import from are there, under both names the same objects."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run_code(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_public_paths_are_torchs():
    run_code("""
        import importlib, re, sys
        import rushlight
        from rushlight.compat import alias, install
        install()
        import torch, torchvision
        import torch.nn as nn, torch.nn.functional as F, torch.optim as optim
        import torch.optim.lr_scheduler, torch.utils.data, torch.autograd
        from torch.utils.data import DataLoader, Dataset, TensorDataset
        from torch.nn.modules.conv import Conv2d
        from torchvision import datasets, models, transforms
        assert torch is rushlight and torchvision is rushlight.vision
        assert nn is rushlight.nn and F is nn.functional and optim is rushlight.optim
        assert Conv2d is nn.Conv2d and issubclass(Conv2d, nn.Module)
        assert re.fullmatch(r"2\\.13\\.0\\+rushlight\\.[\\w.]+", torch.__version__), torch.__version__
        assert re.fullmatch(r"0\\.28\\.0\\+rushlight\\.[\\w.]+", torchvision.__version__), torchvision.__version__
        lost = [path for path in alias.ALIASES if alias.resolve(path) is None]
        assert not lost, lost
        twice = {name for name, module in sys.modules.items() if name.split(".")[0] in alias.ROOTS
                 and getattr(module, "__name__", "").split(".")[0] != "rushlight"}
        assert not twice, twice
        assert not hasattr(torch, "there_is_no_such_function")
    """)


def test_an_unmodified_program_trains():
    output = run_code("""
        from rushlight.compat import install
        install()
        import torch
        from torch import nn
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x = torch.rand(16, 2)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), x.sum(dim=1, keepdim=True))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] / 2, losses
        print(type(loss).__name__)
    """)
    assert output == "Tensor\n"


def test_info_describes_this_installation():
    done = subprocess.run([sys.executable, "-m", "rushlight", "info"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "kernels" in done.stdout and "threads" in done.stdout
