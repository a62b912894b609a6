"""From E in degrees to a score, a verdict and a grade; the scale of one reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udpstream.core.pose.follow import MAX_LAG_S, TOLERANCE_S
from udpstream.core.pose.itself import EVERY, REPEATS_DEG, ROW_S, against_itself
from udpstream.core.pose.landmarks import Array
from udpstream.core.pose.match import combined
from udpstream.core.pose.template import Template

CORRECT = "CORRECT STEPS"
NOT_CORRECT = "NOT CORRECT STEPS"
PASS_SCORE = 50.0
GRADES = ((90.0, "perfect"), (75.0, "great"), (60.0, "good"), (PASS_SCORE, "fair"), (0.0, "off"))

# E at which the score is 100, 50 and 0: see docs/scoring.md.
BEST_DEG = 6.0
MIDDLE_DEG = 33.0
ZERO_AFTER_DEG = 14.0
# Under it, another person in time would no longer pass, however alike the reference's moves.
LEAST_MIDDLE_DEG = 26.0
ALIKE_PERCENT = 10.0  # of a reference's moments out of time may pass on its own scale

_MAX_PAIRS = 400_000  # of moments, a fraction of a second's work


def verdict_of(score: float) -> str:
    """Return the verdict in words."""
    return CORRECT if score >= PASS_SCORE else NOT_CORRECT


def grade_of(score: float, *, hinted: bool = False) -> str:
    """Return one word: perfect, great, good, fair or off.

    One limb weighs little in a score. But what has something to mend is not perfect.
    """
    grades = GRADES[1:] if hinted and score >= GRADES[0][0] else GRADES
    return next(grade for least, grade in grades if score >= least)


@dataclass(frozen=True, slots=True)
class Scale:
    """What E means for one reference.

    Attributes:
        middle_deg: the E of score 50.
        period_s: after what time the reference's moves come again; None: they do not.
    """

    middle_deg: float = MIDDLE_DEG
    period_s: float | None = None

    def score(self, error_deg: float) -> float:
        """Return 0 to 100 for E in degrees."""
        zero = self.middle_deg + ZERO_AFTER_DEG
        return float(np.interp(error_deg, [BEST_DEG, self.middle_deg, zero], [100.0, 50.0, 0.0]))


def scale_of(template: Template, window_s: float, context_s: float) -> Scale:
    """Set a reference's scale from itself.

    The reference is scored against itself at other times. Where that is often near, its
    moves are alike, and the middle of the scale has to lie lower. Times at which it repeats
    its moves as a whole do not count: to dance those is to dance in time.
    """
    rows = -(-len(template) // EVERY)
    window, context = (round(each / ROW_S) for each in (window_s, context_s))
    context = max(window, min(context, rows // 3))  # a short one is scored with less context
    first = round((MAX_LAG_S + TOLERANCE_S) / ROW_S)
    shifts = np.arange(first, rows - context)
    if not shifts.size:
        return Scale()
    tolerance = round(TOLERANCE_S / ROW_S)
    most = max(1, _MAX_PAIRS // (rows * (2 * tolerance + 1)))
    middles = shifts if rows * len(shifts) <= _MAX_PAIRS else shifts[:: -(-len(shifts) // most)]
    known: dict[int, Array] = {}
    least = []
    for middle in middles.tolist():
        around = range(middle - tolerance, middle + tolerance + 1)
        for shift in around:
            if shift not in known:
                windows = against_itself(template.sample, shift, [window, context])
                known[shift] = combined(*windows[:, context - 1 :])
        shortest = min(len(known[shift]) for shift in around)
        least.append(np.min([known[shift][:shortest] for shift in around], axis=0))
    means = np.array([_finite_mean(each) for each in least])
    repeats = means < REPEATS_DEG
    period_s = None
    if repeats.any():
        begin = int(np.argmax(repeats))
        end = begin + int(np.argmin(np.append(repeats[begin:], False)))
        period_s = float(middles[begin + np.argmin(means[begin:end])]) * ROW_S
    others = [
        each[np.isfinite(each)] for each, same in zip(least, repeats, strict=True) if not same
    ]
    apart = np.concatenate(others) if others else np.zeros(0)
    if not apart.size:
        return Scale(period_s=period_s)
    alike = float(np.percentile(apart, ALIKE_PERCENT))
    return Scale(float(np.clip(alike, LEAST_MIDDLE_DEG, MIDDLE_DEG)), period_s)


def _finite_mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else np.inf
