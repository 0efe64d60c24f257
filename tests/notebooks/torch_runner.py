"""Run notebooks' programs under the installed PyTorch and torchvision, each with seed 0.

python torch_runner.py FOLDER PROGRAM...      write what each program showed as FOLDER/NAME.json

The programs load resnet18's official checkpoint; a random one is put in its place in TORCH_HOME if none is there.
"""

import os
import sys
from pathlib import Path

import torch
from cells import run_program

CHECKPOINT = Path(os.environ["TORCH_HOME"], "hub", "checkpoints", "resnet18-f37072fd.pth")


def make_torchvision_importable() -> torch.library.Library | None:
    """Declare what ``import torchvision`` describes to torch even where its compiled operators do not load.

    A torchvision wheel built for another torch (or for CUDA) imports once these two are declared; its models need
    none of them. The declarations live as long as the returned library.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return None
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def write_checkpoint() -> None:
    """A random resnet18 under the official file's name, which torchvision reads from its cache unchecked.

    The batch-norm parameters and statistics are moved off 1 and 0, and ``num_batches_tracked`` is left out as in
    checkpoints older than that buffer: a loader that mixes them up, or insists on it, is found out.
    """
    from torchvision.models import resnet18

    torch.manual_seed(20240229)
    state = resnet18(weights=None).state_dict()
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    for name, tensor in kept.items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith("running_mean") or name.endswith("bias"):
            tensor.normal_(0, 0.1)
        elif tensor.ndim == 1:
            tensor.uniform_(0.5, 1.5)
    CHECKPOINT.parent.mkdir(parents=True, exist_ok=True)
    torch.save(kept, CHECKPOINT)


def main() -> None:
    library = make_torchvision_importable()
    if not CHECKPOINT.exists():
        write_checkpoint()
    folder, *programs = map(Path, sys.argv[1:])
    for program in programs:
        torch.set_default_device(None)
        torch.manual_seed(0)
        run_program(program, folder)
    del library


if __name__ == "__main__":
    main()
