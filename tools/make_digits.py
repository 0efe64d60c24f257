"""Rebuild src/rushlight/vision/datasets/optdigits.npz from the digits.csv.gz that scikit-learn ships.

    pip download scikit-learn --no-deps --dest somewhere
    python tools/make_digits.py somewhere/scikit_learn-*.whl

Takes the wheel or the csv(.gz) itself. That file is the test set of "Optical Recognition of Handwritten Digits"
(UCI, DOI 10.24432/C50P49, CC BY 4.0): a line holds 64 pixels, 0 to 16, and the label. The result is the same
bytes on every run with the same zlib.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import zipfile
from pathlib import Path

import numpy as np

INSIDE_WHEEL = "sklearn/datasets/data/digits.csv.gz"
TARGET = Path(__file__).resolve().parents[1] / "src" / "rushlight" / "vision" / "datasets" / "optdigits.npz"


def read_table(source: Path) -> np.ndarray:
    """The table [1797, 65] from a scikit-learn wheel, a csv.gz or a csv."""
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            raw = gzip.decompress(wheel.read(INSIDE_WHEEL))
    else:
        raw = source.read_bytes()
        raw = gzip.decompress(raw) if source.suffix == ".gz" else raw
    return np.loadtxt(raw.decode("ascii").splitlines(), delimiter=",")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="scikit-learn wheel, digits.csv.gz or digits.csv")
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    table = read_table(arguments.source)
    if table.shape != (1797, 65) or table.min() < 0 or table.max() > 16 or (table != np.rint(table)).any():
        print(f"{arguments.source}: not the expected table of 1797 lines of 65 integers 0..16", file=sys.stderr)
        return 1
    images = table[:, :64].astype(np.uint8).reshape(-1, 8, 8)
    labels = table[:, 64].astype(np.uint8)
    np.savez_compressed(arguments.target, images=images, labels=labels)
    print(f"{arguments.target}: {len(images)} images, {arguments.target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
