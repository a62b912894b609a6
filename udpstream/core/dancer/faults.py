"""What a dancer can be told to do wrong, so that it is known what a score ought to say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

LIMBS = tuple(
    f"{side} {bone}"
    for bone in ("upper arm", "forearm", "thigh", "shin")
    for side in ("left", "right")
)

_MOST_DEG = 180.0
_MOST_LAG_S = 60.0


@dataclass(frozen=True)
class Faults:
    """What a dancer does wrong. The default is nothing.

    Attributes:
        limbs_deg: limbs of `LIMBS` that are off all the time, and by how many degrees as
            seen from the dancer's front: positive away from the body and up, as an arm
            is raised to the side. The bone alone is turned; those that hang on it keep
            their directions.
        lag_s: how far the dancer is behind the music, in seconds; negative is ahead.
        mirrored: does with the left what is to be done with the right.
        still: stands and breathes instead.
        away_s: from when until when, within each period of the dance, nothing of the
            dancer is in the picture; the way out and back takes a second each.
        offset: how far the camera is turned away: where the dancer is seen, in shares of
            the picture's width and height to the right of and below the middle.
            (0.5, 0) leaves the half of the dancer that is to the left in the picture,
            (0, 0.5) the upper half.
    """

    limbs_deg: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    lag_s: float = 0.0
    mirrored: bool = False
    still: bool = False
    away_s: tuple[float, float] | None = None
    offset: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for limb, degrees in self.limbs_deg.items():
            if limb not in LIMBS:
                raise ValueError(f"no limb {limb!r}: it is one of {', '.join(LIMBS)}")
            _within(limb, degrees, -_MOST_DEG, _MOST_DEG)
        _within("lag", self.lag_s, -_MOST_LAG_S, _MOST_LAG_S)
        for share in self.offset:
            _within("offset", share, -2.0, 2.0)
        if self.away_s is not None:
            begin, end = self.away_s
            _within("away", begin, 0.0, 60.0)
            _within("away", end, begin, 60.0)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{name} {value:g} is not within {least:g} and {most:g}")


def parse_faults(words: list[str]) -> Faults:
    """Read faults as they stand in a source's name.

    Args:
        words: ``mirror``, ``still``, ``lag=SECONDS``, ``away=FROM:UNTIL``,
            ``offset=RIGHT:DOWN`` and any of `LIMBS` with degrees and hyphens for the
            spaces, as in ``left-upper-arm=30``.

    Raises:
        ValueError: one of them is none of these; the message says which.
    """
    faults = Faults()
    for word in words:
        name, _, value = word.partition("=")
        limb = name.replace("-", " ")
        if word == "mirror":
            faults = replace(faults, mirrored=True)
        elif word == "still":
            faults = replace(faults, still=True)
        elif name == "lag":
            faults = replace(faults, lag_s=_number(word, value))
        elif name == "away":
            faults = replace(faults, away_s=_pair(word, value))
        elif name == "offset":
            faults = replace(faults, offset=_pair(word, value))
        elif limb in LIMBS:
            limbs = {**faults.limbs_deg, limb: _number(word, value)}
            faults = replace(faults, limbs_deg=limbs)
        else:
            known = [each.replace(" ", "-") + "=DEGREES" for each in LIMBS]
            raise ValueError(
                f"a dancer has no fault {word!r}: give mirror, still, lag=SECONDS, "
                f"away=FROM:UNTIL, offset=RIGHT:DOWN or one of {', '.join(known)}"
            )
    return faults


def _pair(word: str, text: str) -> tuple[float, float]:
    first, _, second = text.partition(":")
    return _number(word, first), _number(word, second)


def _number(word: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{word!r} lacks a number: write it like lag=0.4 or away=3:5") from None
