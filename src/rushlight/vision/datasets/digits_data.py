"""The handwritten digits that ship with rushlight, as plain arrays.

"Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998), UCI Machine Learning Repository,
DOI 10.24432/C50P49, CC BY 4.0; see `optdigits_license.txt` beside this file. A 32 x 32 bitmap of a digit was cut into
blocks of 4 x 4, and a pixel counts the black points of its block: 0 is paper, 16 is ink.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

CLASSES = tuple("0123456789")
INK = 16
"""The largest value of a pixel."""


def load_arrays() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the digits.

    Returns `(images, labels)`: uint8 images of shape [1797, 8, 8] with values 0 (paper) to 16 (ink), rows from top to
    bottom, and uint8 labels of shape [1797] with values 0 to 9. The arrays are the caller's own.

    >>> images, labels = load_arrays()
    >>> images.shape, labels[:5].tolist()
    ((1797, 8, 8), [0, 1, 2, 3, 4])
    """
    with (files("rushlight.vision.datasets") / "optdigits.npz").open("rb") as file:
        with np.load(file, allow_pickle=False) as archive:
            return archive["images"], archive["labels"]
