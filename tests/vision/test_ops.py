"""Boxes: forms, overlaps, and non-maximum suppression."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight.vision import ops


def boxes(count, seed=0):
    rng = np.random.default_rng(seed)
    corner = rng.random((count, 2)) * 50
    return np.hstack([corner, corner + rng.random((count, 2)) * 30 + 1]).astype(np.float32)


def test_areas_and_overlaps(oracle, torchvision):
    a, b = boxes(6), boxes(4, 1)
    theirs, torch = torchvision.ops, oracle.torch
    oracle.assert_same(ops.box_area(rushlight.from_numpy(a)), theirs.box_area(torch.from_numpy(a)))
    oracle.assert_same(
        ops.box_iou(rushlight.from_numpy(a), rushlight.from_numpy(b)), theirs.box_iou(torch.from_numpy(a), torch.from_numpy(b))
    )


@pytest.mark.parametrize("source", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("target", ["xyxy", "xywh", "cxcywh"])
def test_forms(oracle, torchvision, source, target):
    a = boxes(5)
    expected = torchvision.ops.box_convert(oracle.torch.from_numpy(a), source, target)
    oracle.assert_same(ops.box_convert(rushlight.from_numpy(a), source, target), expected)


def test_cutting_off_and_small_boxes(oracle, torchvision):
    a = boxes(8) - 10
    ours, theirs = rushlight.from_numpy(a), oracle.torch.from_numpy(a)
    oracle.assert_same(
        ops.clip_boxes_to_image(ours, (30, 40)), torchvision.ops.clip_boxes_to_image(theirs, (30, 40))
    )
    oracle.assert_same(ops.remove_small_boxes(ours, 12), torchvision.ops.remove_small_boxes(theirs, 12))


def test_non_maximum_suppression():
    a = rushlight.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 9]])
    scores = rushlight.tensor([0.8, 0.9, 0.1, 0.7])
    assert ops.nms(a, scores, 0.5).tolist() == [1, 2]
    assert ops.nms(a, scores, 0.7).tolist() == [1, 0, 2]
    assert ops.nms(a, scores, 1.0).tolist() == [1, 0, 3, 2]
    assert ops.nms(a[:0], scores[:0], 0.5).tolist() == []
    assert ops.batched_nms(a, scores, rushlight.tensor([0, 1, 0, 0]), 0.5).tolist() == [1, 0, 2]
    assert ops.batched_nms(a[:0], scores[:0], rushlight.tensor([], dtype=rushlight.int64), 0.5).shape == (0,)


def test_an_unknown_form():
    with pytest.raises(ValueError, match="'xyz'"):
        ops.box_convert(rushlight.zeros(1, 4), "xyxy", "xyz")
