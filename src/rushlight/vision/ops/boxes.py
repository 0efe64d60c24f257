"""Boxes in images, given as (x1, y1, x2, y2): areas, overlaps, and the choice of the best ones."""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import int64
from rushlight.core.public import Tensor
from rushlight.ops.from_data import from_numpy
from rushlight.ops.shape import stack
from rushlight.ops.where import maximum, minimum

__all__ = ["batched_nms", "box_area", "box_convert", "box_iou", "clip_boxes_to_image", "nms", "remove_small_boxes"]


def box_area(boxes: Tensor) -> Tensor:
    """The areas [N] of boxes [N, 4]."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union [N, M] of each box of [N, 4] with each of [M, 4]."""
    corner = maximum(boxes1[:, None, :2], boxes2[:, :2])
    opposite = minimum(boxes1[:, None, 2:], boxes2[:, 2:])
    sides = (opposite - corner).clamp(min=0)
    shared = sides[:, :, 0] * sides[:, :, 1]
    return shared / (box_area(boxes1)[:, None] + box_area(boxes2) - shared)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes [..., 4] in another form: "xyxy" (two corners), "xywh" (corner and size) or "cxcywh" (middle and size)."""
    for form in (in_fmt, out_fmt):
        if form not in ("xyxy", "xywh", "cxcywh"):
            raise ValueError(
                f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}: {form!r}"
            )
    a, b, c, d = boxes.unbind(-1)
    if in_fmt == "xywh":
        c, d = a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if out_fmt == "xywh":
        c, d = c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return stack((a, b, c, d), dim=-1)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes [..., 4] cut off at the edges of an image of `size` (height, width)."""
    height, width = size
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return stack((x, y), dim=-1).reshape(boxes.shape)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """The indices of the boxes of [N, 4] whose sides are all at least `min_size` long."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return (sides >= min_size).all(dim=1).nonzero().squeeze(1)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression: the indices of the boxes to keep, the best first.

    boxes: [N, 4]. scores: [N]. A box goes when its overlap (intersection over union) with a better one that stays is
    above the threshold.
    """
    order = scores.detach().cpu().argsort(descending=True, stable=True).numpy()
    overlap = box_iou(boxes.detach(), boxes.detach()).cpu().numpy() > iou_threshold
    kept: list[int] = []
    gone = np.zeros(len(order), dtype=bool)
    for index in order:
        if not gone[index]:
            kept.append(int(index))
            gone |= overlap[index]
    return from_numpy(np.array(kept, dtype=np.int64)).to(boxes.device)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` within each group of boxes; idxs: the group of each box, [N]."""
    if boxes.shape[0] == 0:
        return idxs.new_zeros(0, dtype=int64)
    # Each group is moved to a place of its own, where it meets no other.
    apart = idxs.to(boxes.dtype) * (boxes.max() + 1)
    return nms(boxes + apart[:, None], scores, iou_threshold)
