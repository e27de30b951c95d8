"""Where a smooth convex function is least: L-BFGS, step for step as SciPy's L-BFGS-B without bounds takes it.

In: a function that gives value and slope, a start, how flat is flat enough. Out: the place. The decision: a solver
that stops at a slope stops somewhere near the optimum, and where exactly moves a student's accuracy by half a point;
so the line search is MINPACK-2's, too, and TF-IDF students repeat what scikit-learn's say to the item.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Loss = Callable[["Floats"], "tuple[float, Floats]"]
"""Value and slope of a smooth convex function at a place."""

_STEPS = 1000
_REMEMBERED = 10  # pairs of a move and how the slope turned on it
_TRIALS = 50  # of one line search
_FALL, _FLATTER, _NARROW = 1e-3, 0.9, 0.1  # sufficient decrease, curvature, width of the bracket
_FURTHEST = 1e10
_ROUNDING = 2.0**-52
_NO_GAIN = 64 * _ROUNDING


def minimum(loss: Loss, start: Floats, near: float) -> Floats:
    """Where `loss` is least (Nocedal and Wright, algorithm 7.5; line search of Moré and Thuente, 1994).

    Args:
        loss: value and slope at a place; smooth and convex.
        near: largest component of the slope at which the place is good enough.
    """
    import numpy as np

    at, (value, slope) = start, loss(start)
    pairs: list[tuple[Floats, Floats, float]] = []
    for _ in range(_STEPS):
        if np.abs(slope).max() <= near:
            break
        way = _downhill(slope, pairs)
        fall = dot(slope, way)
        first = 1.0 if pairs else 1 / math.sqrt(dot(way, way))
        found = _along(loss, at, way, Point(0.0, value, fall), first)
        if found is None:
            break
        there, new_value, new_slope, step = found
        moved, turned = there - at, new_slope - slope
        curve = dot(moved, turned)
        if curve > -_ROUNDING * fall * step:
            pairs = [*pairs[-_REMEMBERED + 1 :], (moved, turned, curve)]
        gained = value - new_value
        at, value, slope = there, new_value, new_slope
        if gained <= _NO_GAIN * max(abs(value), abs(value + gained), 1.0):
            break
    return at


def _downhill(slope: Floats, pairs: Sequence[tuple[Floats, Floats, float]]) -> Floats:
    way = -slope
    if not pairs:
        return way
    shares = []
    for moved, turned, curve in reversed(pairs):
        share = dot(moved, way) / curve
        shares.append(share)
        way = way - share * turned
    moved, turned, curve = pairs[-1]
    way = way * (curve / dot(turned, turned))
    for (moved, turned, curve), share in zip(pairs, reversed(shares), strict=True):
        way = way + (share - dot(turned, way) / curve) * moved
    return way


def dot(one: Floats, other: Floats) -> float:
    """Inner product, without the threads that `@` starts: for short vectors they cost more than they bring."""
    return float((one * other).sum())


class Point(NamedTuple):
    """A place on the line: how far along it, the value there, the slope along it."""

    step: float
    value: float
    slope: float


def _along(
    loss: Loss, at: Floats, way: Floats, start: Point, step: float
) -> tuple[Floats, float, Floats, float] | None:
    """Place, value, slope and step of a point that is low and flat enough; None where rounding leaves none."""
    search = Search(start, step)
    for _ in range(_TRIALS):
        there = at + search.step * way
        value, slope = loss(there)
        if search.tried(value, dot(slope, way)):
            return there, value, slope, search.step
    return None


@dataclass(slots=True)
class Search:
    """Moré and Thuente's search for a step of sufficient decrease and curvature (MINPACK-2's dcsrch).

    Attributes:
        start: the line at its beginning.
        step: what is to be tried next.
    """

    start: Point
    step: float
    _best: Point = field(init=False)
    _other: Point = field(init=False)
    _high: float = field(init=False)
    _low: float = 0.0
    _bracketed: bool = False
    _late: bool = False
    _width: float = _FURTHEST
    _earlier_width: float = 2 * _FURTHEST

    def __post_init__(self) -> None:
        self._best = self._other = self.start
        self._high = 5 * self.step

    def tried(self, value: float, slope: float) -> bool:
        """Take in the value and the slope at `step`: whether it will do; else `step` is the next one to try."""
        demanded = _FALL * self.start.slope
        ceiling = self.start.value + self.step * demanded
        self._late = self._late or (value <= ceiling and slope >= 0)
        if self._exhausted(value, slope, ceiling, demanded):
            return True
        if value <= ceiling and abs(slope) <= -_FLATTER * self.start.slope:
            return True
        here = Point(self.step, value, slope)
        # Before any low point is found, what is searched is how far the line stays below the demanded fall.
        tilt = 0.0 if self._late or not ceiling < value <= self._best.value else demanded
        best, other, step, self._bracketed = _next(
            _tilted(self._best, tilt), _tilted(self._other, tilt), _tilted(here, tilt),
            self._bracketed, self._low, self._high,
        )  # fmt: skip
        self._best, self._other = _tilted(best, -tilt), _tilted(other, -tilt)
        self.step = self._narrowed(step)
        return False

    def _exhausted(self, value: float, slope: float, ceiling: float, demanded: float) -> bool:
        """Whether rounding leaves nothing to try."""
        if self._bracketed and (
            not self._low < self.step < self._high or self._high - self._low <= _NARROW * self._high
        ):
            return True
        return (self.step == _FURTHEST and value <= ceiling and slope <= demanded) or self.step == 0

    def _narrowed(self, step: float) -> float:
        one, other = self._best.step, self._other.step
        if self._bracketed:
            if abs(other - one) >= 0.66 * self._earlier_width:
                step = one + 0.5 * (other - one)
            self._earlier_width, self._width = self._width, abs(other - one)
            self._low, self._high = min(one, other), max(one, other)
        else:
            self._low, self._high = step + 1.1 * (step - one), step + 4 * (step - one)
        step = min(max(step, 0.0), _FURTHEST)
        if self._bracketed and (not self._low < step < self._high or self._high - self._low <= _NARROW * self._high):
            return one
        return step


def _tilted(point: Point, tilt: float) -> Point:
    return Point(point.step, point.value - point.step * tilt, point.slope - tilt) if tilt else point


def _next(
    best: Point, other: Point, here: Point, bracketed: bool, low: float, high: float
) -> tuple[Point, Point, float, bool]:
    """The interval with `here` taken in, the step to try next, whether the interval now holds a minimum (dcstep)."""
    turned = here.slope * math.copysign(1.0, best.slope) < 0
    if here.value > best.value:
        step, bracketed = _higher(best, here), True
    elif turned:
        step, bracketed = _beyond(best, here), True
    elif abs(here.slope) < abs(best.slope):
        step = _flatter(best, other, here, bracketed, low, high)
    elif bracketed:
        step = here.step + _cubic(here, other) * (other.step - here.step)
    else:
        step = high if here.step > best.step else low
    if here.value > best.value:
        return best, here, step, bracketed
    return here, best if turned else other, step, bracketed


def _cubic(one: Point, other: Point) -> float:
    """How far from `one` to `other` the cubic through both is least, as a share of the way."""
    bend, root = _bend(one, other)
    if one.step > other.step:
        root = -root
    return ((root - one.slope) + bend) / (((root - one.slope) + root) + other.slope)


def _bend(one: Point, other: Point) -> tuple[float, float]:
    bend = 3 * (one.value - other.value) / (other.step - one.step) + one.slope + other.slope
    scale = max(abs(bend), abs(one.slope), abs(other.slope))
    return bend, scale * math.sqrt(max(0.0, (bend / scale) ** 2 - (one.slope / scale) * (other.slope / scale)))


def _secant(best: Point, here: Point) -> float:
    return here.step + here.slope / (here.slope - best.slope) * (best.step - here.step)


def _higher(best: Point, here: Point) -> float:
    gap = here.step - best.step
    cubic = best.step + _cubic(best, here) * gap
    quadratic = best.step + best.slope / ((best.value - here.value) / gap + best.slope) / 2 * gap
    near = abs(cubic - best.step) < abs(quadratic - best.step)
    return cubic if near else cubic + (quadratic - cubic) / 2


def _beyond(best: Point, here: Point) -> float:
    cubic, secant = here.step + _cubic(here, best) * (best.step - here.step), _secant(best, here)
    return cubic if abs(cubic - here.step) > abs(secant - here.step) else secant


def _flatter(best: Point, other: Point, here: Point, bracketed: bool, low: float, high: float) -> float:
    bend, root = _bend(best, here)
    root = -root if here.step > best.step else root
    share = ((root - here.slope) + bend) / ((root + (best.slope - here.slope)) + root)
    if share < 0 and root != 0:
        cubic = here.step + share * (best.step - here.step)
    else:
        cubic = high if here.step > best.step else low
    secant = _secant(best, here)
    cubic_is_nearer = abs(cubic - here.step) < abs(secant - here.step)
    if not bracketed:
        return min(max(secant if cubic_is_nearer else cubic, low), high)
    step = cubic if cubic_is_nearer else secant
    most = here.step + 0.66 * (other.step - here.step)
    return min(most, step) if here.step > best.step else max(most, step)
