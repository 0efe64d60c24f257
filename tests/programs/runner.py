"""Run programs that say ``import torch`` under PyTorch or under rushlight, all in one process, as ``__main__``.

python runner.py torch|rushlight FOLDER PROGRAM...      write what each program printed as FOLDER/NAME.json

The JSON holds one string for each call of ``print`` and, where the program failed, its traceback.
"""

import io
import json
import random
import runpy
import sys
import traceback
import warnings
from contextlib import redirect_stdout
from pathlib import Path


class Prints(io.TextIOBase):
    """Standard output that keeps apart what each ``print`` wrote (``print`` ends with a write of the newline alone)."""

    def __init__(self) -> None:
        self.blocks: list[str] = [""]

    def write(self, text: str) -> int:
        self.blocks[-1] += text
        if text == "\n":
            self.blocks.append("")
        return len(text)


def run(program: Path) -> dict[str, object]:
    printed, failure = Prints(), ""
    with redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            runpy.run_path(str(program), run_name="__main__")
        except Exception:
            failure = traceback.format_exc()
    return {"prints": printed.blocks, "failure": failure}


def main() -> None:
    side, folder, *programs = sys.argv[1:]
    if side == "rushlight":
        import rushlight.compat

        rushlight.compat.install()
    else:
        sys.path.append(str(Path(__file__).parents[1] / "notebooks"))
        from torch_runner import make_torchvision_importable

        library = make_torchvision_importable()  # noqa: F841  (its declarations live as long as it does)
    import torch

    for name in programs:
        program = Path(name)
        torch.manual_seed(0)
        torch.set_printoptions(profile="default", sci_mode=None)
        random.seed(0)
        Path(folder, f"{program.stem}.json").write_text(json.dumps(run(program)), encoding="utf-8")


if __name__ == "__main__":
    main()
