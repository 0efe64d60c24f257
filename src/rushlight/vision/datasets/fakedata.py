"""Images of noise, to try things out without data."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import int64
from rushlight.ops.random import randint, randn
from rushlight.random import get_rng_state, manual_seed, set_rng_state
from rushlight.vision.datasets.vision import Transform, VisionDataset
from rushlight.vision.transforms.functional import to_pil_image


class FakeData(VisionDataset):
    """`size` PIL images of noise with random targets; the same index always gives the same image.

    image_size: (channels, height, width). random_offset: added to the index that seeds an image.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range: {index} of {len(self)}")
        state = get_rng_state()
        try:
            manual_seed(index + self.random_offset)
            image = randn(*self.image_size)
            target = randint(0, self.num_classes, (1,), dtype=int64).item()
        finally:
            set_rng_state(state)
        return self._transformed(to_pil_image(image), target)

    def __len__(self) -> int:
        return self.size
