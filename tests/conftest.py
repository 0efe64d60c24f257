"""What all tests share: seeds, the oracle (an installed PyTorch), and the rule for its absence.

Parity tests are skipped, with the reason printed, where torch is not installed. With `RUSHLIGHT_REQUIRE_TORCH=1`
(CI) such a skip is a failure: a run that compared nothing must not look green.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Generator, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

REQUIRE_TORCH = os.environ.get("RUSHLIGHT_REQUIRE_TORCH") == "1"
SEED = 0

settings.register_profile("rushlight", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("rushlight")


# ---------------------------------------------------------------- torch must be there when CI says so


def says_torch_is_missing(reason: str) -> bool:
    """Whether a skip's reason is the absence of torch or torchvision."""
    return re.search(r"needs? torch|(could not import|No module named) '?torch", reason) is not None


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a report that was skipped for want of torch into a failure, where torch is required."""
    if not (REQUIRE_TORCH and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if says_torch_is_missing(reason):
        report.outcome = "failed"
        report.longrepr = f"RUSHLIGHT_REQUIRE_TORCH=1, and this was skipped for want of torch: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


# ---------------------------------------------------------------- the same state before each test


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Seed NumPy's global generator, and rushlight's and torch's where a test file has imported them."""
    np.random.seed(SEED)
    for name in ("rushlight", "torch"):
        manual_seed = getattr(sys.modules.get(name), "manual_seed", None)
        if manual_seed is not None:
            manual_seed(SEED)
    limit_torch_threads()


def limit_torch_threads() -> None:
    """Give torch one thread: pytest-xdist's processes already fill the cores."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads") and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


# ---------------------------------------------------------------- the oracle


class Oracle:
    """Carries tensors between rushlight and torch and compares them; `oracle.torch` is the module."""

    def __init__(self, rushlight: ModuleType, torch: ModuleType) -> None:
        self.rushlight = rushlight
        self.torch = torch

    def to_torch(self, tensor: Any) -> Any:
        """A torch tensor with the values, dtype and `requires_grad` of a rushlight tensor. Copies."""
        return self._carry(tensor, self.torch)

    def to_rushlight(self, tensor: Any) -> Any:
        """A rushlight tensor with the values, dtype and `requires_grad` of a torch tensor. Copies."""
        return self._carry(tensor, self.rushlight)

    @staticmethod
    def _carry(tensor: Any, target: ModuleType) -> Any:
        plain, name = tensor.detach(), str(tensor.dtype).removeprefix("torch.")
        if name.startswith(("bfloat16", "float8")):  # NumPy has no such dtype; float32 holds all their values
            plain = plain.float()
        moved = target.from_numpy(np.array(plain.numpy())).to(getattr(target, name))
        return moved.requires_grad_(tensor.requires_grad)

    def assert_same(self, actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None) -> None:
        """Compare a rushlight tensor with a torch tensor: shape, dtype and values (NaN equals NaN).

        Tolerances default to those of `torch.testing.assert_close` for the dtype; `rtol=0, atol=0` asks for equality.
        """
        shapes = tuple(actual.shape), tuple(expected.shape)
        assert shapes[0] == shapes[1], f"shape {shapes[0]}, torch {shapes[1]}"
        assert str(actual.dtype) == str(expected.dtype), f"dtype {actual.dtype}, torch {expected.dtype}"
        self.torch.testing.assert_close(
            self.to_torch(actual).detach(), expected.detach(), rtol=rtol, atol=atol, equal_nan=True
        )


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """The comparison with an installed torch; tests that ask for it are skipped where there is none."""
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    import rushlight

    return Oracle(rushlight, torch)


@pytest.fixture(scope="session")
def torchvision() -> Iterator[ModuleType]:
    """torchvision, also where its C++ part does not load (its CUDA wheel beside a CPU build of torch)."""
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    with contextlib.ExitStack() as stack:
        try:
            import torchvision
        except ImportError:
            pytest.skip("parity tests need torchvision")
        except RuntimeError:
            # It registers shape rules for operators that its C++ part should have declared; declaring them is enough.
            library = stack.enter_context(torch.library._scoped_library("torchvision", "DEF"))
            for name in ("nms", "qnms"):
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            import torchvision
        yield torchvision
