"""What a session comes to, kept up while it goes on, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from udpstream.core.pose.scale import GRADES

WORST_MOMENTS = 5
APART_S = 2.0  # nearer, two bad moments are one
PERFECT_SCORE = GRADES[0][0]  # from here on a moment is none of the worst


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment worth a look: its time and what it scored."""

    time_s: float
    score: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a session comes to.

    Attributes:
        frames: taken in.
        scored: of them, those with a score.
        mean_score: of those, 0 to 100; None without any.
        correct_share: of those, 0 to 1; None without any.
        unscored: reasons, to how many frames had no score for it, most frequent first.
        limbs_deg: limbs, to the mean of their errors, worst first; never seen: left out.
        worst: the lowest scores, at least 2 s apart, in the order of their times; none where
            all was perfect.
        lag_s: as followed in the end; None where nothing matched.
        mirrored: whether the performer did it mirrored.
    """

    frames: int
    scored: int
    mean_score: float | None
    correct_share: float | None
    unscored: Mapping[str, int]
    limbs_deg: Mapping[str, float]
    worst: tuple[Moment, ...]
    lag_s: float | None
    mirrored: bool


class Tally:
    """Adds results up."""

    def __init__(self) -> None:
        self._frames = self._scored = self._correct = 0
        self._score_sum = 0.0
        self._reasons: Counter[str] = Counter()
        self._limb_sums: dict[str, tuple[float, int]] = {}
        self._worst: list[Moment] = []

    def add(
        self,
        time_s: float,
        score: float | None,
        reason: str | None,
        limbs_deg: Mapping[str, float | None],
        *,
        correct: bool,
    ) -> None:
        """Count one frame's result in."""
        self._frames += 1
        if reason is not None:
            self._reasons[reason] += 1
        if score is None:
            return
        self._scored += 1
        self._correct += correct
        self._score_sum += score
        for limb, degrees in limbs_deg.items():
            if degrees is not None:
                total, count = self._limb_sums.get(limb, (0.0, 0))
                self._limb_sums[limb] = (total + degrees, count + 1)
        self._consider(Moment(time_s, score))

    def summary(self, *, lag_s: float | None, mirrored: bool) -> Summary:
        """Return what it comes to so far."""
        means = {limb: total / count for limb, (total, count) in self._limb_sums.items()}
        return Summary(
            frames=self._frames,
            scored=self._scored,
            mean_score=self._score_sum / self._scored if self._scored else None,
            correct_share=self._correct / self._scored if self._scored else None,
            unscored=dict(self._reasons.most_common()),
            limbs_deg=dict(sorted(means.items(), key=lambda item: -item[1])),
            worst=tuple(sorted(self._worst, key=lambda moment: moment.time_s)),
            lag_s=lag_s,
            mirrored=mirrored,
        )

    def _consider(self, moment: Moment) -> None:
        """Keep a moment if it is among the worst; of those near each other only the worst."""
        if moment.score >= PERFECT_SCORE:
            return
        near = [each for each in self._worst if abs(each.time_s - moment.time_s) < APART_S]
        if any(each.score <= moment.score for each in near):
            return
        kept = [each for each in self._worst if each not in near] + [moment]
        if len(kept) > WORST_MOMENTS:
            # Of equals the one that is least missed: who is lost all along is shown so.
            kept.remove(max(kept, key=lambda each: (each.score, -_room_s(each, kept))))
        self._worst = kept


def _room_s(moment: Moment, moments: list[Moment]) -> float:
    """Return how long a gap there would be without a moment; without the first, an endless one."""
    time_s = moment.time_s
    before_s = max((each.time_s for each in moments if each.time_s < time_s), default=-math.inf)
    after_s = min(
        (each.time_s for each in moments if each.time_s > time_s), default=2 * time_s - before_s
    )
    return after_s - before_s
