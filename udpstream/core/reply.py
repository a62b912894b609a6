"""What is said of a performer, in words."""

from __future__ import annotations

from udpstream.core.pose.limbs import Hint
from udpstream.protocol import Result

_IN_TIME_S = 0.05


def points(score: float) -> str:
    """A score in whole points, rounded down: what is not correct has fewer than 50."""
    return f"{int(score)}"


def timing(lag_s: float | None) -> str:
    """How far a performer is behind; empty if that is not known."""
    if lag_s is None:
        return ""
    if abs(lag_s) < _IN_TIME_S:
        return "in time"
    return f"{abs(lag_s):.1f} s {'behind' if lag_s > 0 else 'ahead'}"


def headline(result: Result) -> str:
    """The verdict; without a score the reason why there is none."""
    if result.score is None:
        return result.reason or "no score"
    return result.verdict or "scored"


def hint(result: Result) -> str:
    """What to mend first, ``left forearm: 40 degrees too low``; empty if nothing."""
    if not result.limb:
        return ""
    return str(Hint(result.limb, result.degrees, result.direction))


def in_a_line(result: Result | None) -> str:
    """All of it in a line of at most 80 columns."""
    if result is None:
        return "no score from a receiver"
    fields = [
        "" if result.score is None else points(result.score),
        headline(result),
        hint(result) or timing(result.lag_s),
    ]
    return "  ".join(field for field in fields if field)
