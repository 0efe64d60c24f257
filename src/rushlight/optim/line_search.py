"""The line search of L-BFGS: a step length that meets the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# (step length, loss, flat gradient, slope along the direction)
Point = tuple[Any, Any, Any, Any]


def cubic_minimum(a: Point, b: Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """The step length in `bounds` (by default between the two) where the cubic through two points is least.

    The cubic has the losses and slopes of both points; where it has no minimum, the middle of the bounds is returned.
    """
    (x1, f1, _, g1), (x2, f2, _, g2) = a, b
    low, high = bounds if bounds is not None else ((x1, x2) if x1 <= x2 else (x2, x1))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1**2 - g1 * g2
    if square < 0:
        return (low + high) / 2.0
    d2 = square.sqrt()
    if x1 <= x2:
        found = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        found = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(found, low), high)


def strong_wolfe(
    evaluate: Callable[[Any], tuple[float, Any]],
    t: Any,
    d: Any,
    f: float,
    g: Any,
    slope: Any,
    most: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
) -> tuple[float, Any, Any, int]:
    """Search along direction `d` from loss `f`, gradient `g` and slope `slope` (g . d).

    evaluate: step length -> (loss, flat gradient). t: the first length to try. most: how many more lengths to try.
    Returns (loss, flat gradient, step length, number of evaluations).
    """

    def point(length: Any) -> Point:
        loss, gradient = evaluate(length)
        return length, loss, gradient.clone(), gradient.dot(d)

    start: Point = (0, f, g.clone(), slope)
    bracket, tries, evaluations = _bracket(point, start, t, most, c1, c2)
    if len(bracket) == 2:
        size = d.abs().max()
        bracket, more = _zoom(point, bracket, start, size, most - tries, c1, c2, tolerance_change)
        evaluations += more
    best = min(bracket, key=lambda p: p[1])
    return best[1], best[2], best[0], evaluations


def _bracket(
    point: Callable[[Any], Point], start: Point, t: Any, most: int, c1: float, c2: float
) -> tuple[list[Point], int, int]:
    """Grow the step until two lengths hold a good one between them, or one is good. Returns (points, tries, evaluations)."""
    before, now = start, point(t)
    for tries in range(most):
        if now[1] > start[1] + c1 * now[0] * start[3] or (tries > 1 and now[1] >= before[1]):
            return [before, now], tries, tries + 1
        if abs(now[3]) <= -c2 * start[3]:
            return [now], tries, tries + 1
        if now[3] >= 0:
            return [before, now], tries, tries + 1
        least = now[0] + 0.01 * (now[0] - before[0])
        t = cubic_minimum(before, now, (least, now[0] * 10))
        before, now = now, point(t)
    return [start, now], most, most + 1


def _zoom(
    point: Callable[[Any], Point],
    bracket: list[Point],
    start: Point,
    size: Any,
    most: int,
    c1: float,
    c2: float,
    tolerance_change: float,
) -> tuple[list[Point], int]:
    """Shrink the bracket until its better end is good. Returns (bracket, evaluations)."""
    bracket = list(bracket)
    low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
    stuck = False
    for evaluations in range(most):
        left, right = sorted((bracket[0][0], bracket[1][0]), key=float)
        if abs(bracket[1][0] - bracket[0][0]) * size < tolerance_change:
            return bracket, evaluations
        t = cubic_minimum(bracket[0], bracket[1])
        # A length near an end says little: when it happens twice, or outside, take one a tenth further in.
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        now = point(t)
        if now[1] > start[1] + c1 * now[0] * start[3] or now[1] >= bracket[low][1]:
            bracket[high] = now
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
            continue
        good = abs(now[3]) <= -c2 * start[3]
        if not good and now[3] * (bracket[high][0] - bracket[low][0]) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = now
        if good:
            return [now], evaluations + 1
    return bracket, most
