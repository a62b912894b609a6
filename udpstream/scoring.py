"""Scores a performer against a reference: frames in, a result for each of them out.

    scorer = Scorer(reference)
    for time_s, landmarks in poses:
        result = scorer.push(time_s, landmarks, aspect)
        print(result.verdict or result.reason, result.hint)
    print(scorer.summary())

Times and landmarks alone decide, so a recording gives what the same frames gave live.
docs/scoring.md says what the score means and how well it tells people apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pose.elsewhere import Elsewhere
from udpstream.core.pose.follow import LAG_STEP_S, MAX_LAG_S, TOLERANCE_S, Follow
from udpstream.core.pose.landmarks import Joints, joints_of
from udpstream.core.pose.limbs import LIMBS, Hint, hint_of, own_sides
from udpstream.core.pose.matcher import Match, Matcher
from udpstream.core.pose.original import Original
from udpstream.core.pose.scale import (
    CORRECT,
    NOT_CORRECT,
    PASS_SCORE,
    Scale,
    grade_of,
    scale_of,
    verdict_of,
)
from udpstream.core.pose.tally import Moment, Summary, Tally
from udpstream.core.pose.template import STEP_S, Template
from udpstream.core.reference import Reference
from udpstream.errors import BadReferenceError

__all__ = [
    "CORRECT",
    "LIMBS",
    "METRICS",
    "MIRRORS",
    "NOT_CORRECT",
    "PASS_SCORE",
    "SYNCS",
    "Hint",
    "Metric",
    "Mirror",
    "Moment",
    "Result",
    "Scale",
    "Scorer",
    "Summary",
    "Sync",
]

Metric = Literal["motion", "cosine"]
Mirror = Literal["auto", "on", "off"]
Sync = Literal["auto", "start", "none"]
# The first of each is the default.
METRICS: tuple[Metric, ...] = ("motion", "cosine")
MIRRORS: tuple[Mirror, ...] = ("auto", "on", "off")
SYNCS: tuple[Sync, ...] = ("auto", "start", "none")

NOBODY = "nobody in view"
TOO_LITTLE = "too little of the body in view"
TOO_FEW = "too few frames in the window"
NO_REFERENCE = "nobody in the reference at this moment"
WAITING = "waiting for the start"
ENDED = "the reference has ended"

WINDOW_S = 1.0
CONTEXT_S = 5.0  # looked back on: see match.combined
_WINDOWS_S = (0.5, 10.0)
_LEAST_FRAMES = 4  # in a window: 5 frames a second are enough
_LEAST_SPAN = 0.7  # of the window, from its first frame to its last
# Of the joints that the reference shows, by their visibility. Without the legs or a side it
# is less, even where a tracker half believes in a knee; with one arm hidden it is more.
_LEAST_SEEN = 0.8
_LEAST_EXPECTED = 6
_ANYWHERE_S = 0.1  # between the moments that any frame may belong to ...
_MOST_PLACES = 4000  # ... of which there are no more, for time and memory


@dataclass(frozen=True, slots=True)
class Result:
    """What is said of one frame, from it and those before it.

    Attributes:
        time_s: of the frame.
        score: 0 to 100 over the trailing window; None where there is none.
        reason: why there is no score, in words; None where there is one.
        verdict: CORRECT or NOT_CORRECT; None without a score.
        grade: perfect, great, good, fair or off; None without a score. Never perfect
            beside a hint.
        limbs_deg: each of LIMBS, the performer's own left and right, to the median angle
            by which it was off in the window; None where it was not seen.
        hint: what to mend first; None where nothing is far off, or without a score.
        lag_s: how far the performer is behind the reference, negative ahead; None as
            long as nothing matches, and with sync "none".
        reference_s: the moment of the reference that belongs to this one; None without
            a score.
        mirrored: whether the performer does it mirrored, as far as is known.
        error_deg: E, which the score is read from; None without a score.
    """

    time_s: float
    score: float | None = None
    reason: str | None = None
    verdict: str | None = None
    grade: str | None = None
    limbs_deg: Mapping[str, float | None] = field(default_factory=lambda: dict.fromkeys(LIMBS))
    hint: Hint | None = None
    lag_s: float | None = None
    reference_s: float | None = None
    mirrored: bool = False
    error_deg: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the reference is over, and the session with it."""
        return self.reason == ENDED


class Scorer:
    """Scores one performer's frames, in the order of their times.

    Args:
        reference: what is to be done.
        metric: "motion", or "cosine": the original, for comparison only.
        mirror: whether the performer does it mirrored; "auto" finds out in the first
            seconds and then keeps to it.
        sync: "auto" follows a lag of up to 1.2 s behind or ahead of the reference, which
            begins at time 0; "start" has the reference begin with the first pose that
            can be scored, or at `start_s`, and follows nothing; "none" takes the best
            match anywhere.
        start_s: for "start": when the reference begins.
        window_s: over how long a result is taken. 1 s is quick, 2 s is surer.
        context_s: how far back half of E comes from; 0 is the window alone.
        loop: begin the reference anew where it ends, instead of ending.

    Attributes:
        scale: what E means for this reference.

    Raises:
        BadReferenceError: too little of a body is seen in the reference.
        ValueError: an option has no such value.
    """

    def __init__(
        self,
        reference: Reference,
        *,
        metric: Metric = "motion",
        mirror: Mirror = "auto",
        sync: Sync = "auto",
        start_s: float | None = None,
        window_s: float = WINDOW_S,
        context_s: float = CONTEXT_S,
        loop: bool = False,
    ) -> None:
        _check("metric", metric, METRICS)
        _check("mirror", mirror, MIRRORS)
        _check("sync", sync, SYNCS)
        if not _WINDOWS_S[0] <= window_s <= _WINDOWS_S[1]:
            least_s, most_s = _WINDOWS_S
            raise ValueError(f"a window of {window_s:g} s: it can be {least_s:g} to {most_s:g} s")
        joints = joints_of(reference.landmarks, reference.aspect)
        self._template = Template(reference.times_s, joints, reference.duration_s)
        if self._template.expected.sum() < _LEAST_EXPECTED:
            raise BadReferenceError(
                "too little of a body is seen in the reference: take a video in which one "
                "person is in full view"
            )
        context_s = max(context_s, window_s)
        self.scale: Scale = scale_of(self._template, window_s, context_s)
        self._original = Original(reference) if metric == "cosine" else None
        self._sync = sync
        self._loop = loop or sync == "none"
        self._start_s = start_s if sync == "start" else 0.0
        self._window_s = window_s
        self._mirrors = (False, True) if mirror == "auto" else (mirror == "on",)
        offsets = _offsets(sync, len(self._template))
        self._follow = Follow(
            np.asarray(-offsets * STEP_S, np.float64),
            self.scale.middle_deg,
            follows=sync == "auto",
            settled=mirror != "auto",
        )
        elsewhere = (
            None if sync == "none" else Elsewhere(self._template, context_s, loop=self._loop)
        )
        self._matcher = Matcher(
            self._template, offsets, self._mirrors, self._follow, elsewhere,
            window_s=window_s, context_s=context_s, loop=self._loop,
        )  # fmt: skip
        self._latest_s = -np.inf
        self._tally = Tally()

    @property
    def lag_s(self) -> float | None:
        """The lag that is followed; None as long as nothing matches, and with sync "none"."""
        return self._follow.lag_s if self._follow.found and self._sync != "none" else None

    @property
    def mirrored(self) -> bool:
        """Whether the performer does it mirrored, as far as is known."""
        return self._mirrors[self._follow.version]

    def push(self, time_s: float, landmarks: NDArray[np.floating] | None, aspect: float) -> Result:
        """Take one frame in and return what is to be said of it.

        Args:
            time_s: its time on the session's axis, which begins at 0. A frame that is not
                later than those before adds nothing.
            landmarks: `(33, 4)`: x and y in shares of the picture, z, visibility; or None:
                nobody was seen.
            aspect: the picture's width by its height.
        """
        result = self._result(time_s, landmarks, aspect)
        self._tally.add(
            time_s, result.score, result.reason, result.limbs_deg,
            correct=result.verdict == CORRECT,
        )  # fmt: skip
        return result

    def summary(self) -> Summary:
        """Return what the session comes to so far."""
        return self._tally.summary(lag_s=self.lag_s, mirrored=self.mirrored)

    def _result(
        self, time_s: float, landmarks: NDArray[np.floating] | None, aspect: float
    ) -> Result:
        if self._over(time_s):
            return self._without(time_s, ENDED)
        joints = self._joints(landmarks, aspect)
        if isinstance(joints, str):
            return self._without(time_s, joints)
        if self._start_s is None:
            self._start_s = time_s
        if time_s < self._start_s:
            return self._without(time_s, WAITING)
        if time_s > self._latest_s:
            self._latest_s = time_s
            self._matcher.add(time_s, time_s - self._start_s, joints)
        frames, span_s = self._matcher.span(time_s)
        if frames < _LEAST_FRAMES or span_s < _LEAST_SPAN * self._window_s:
            return self._without(time_s, TOO_FEW)
        match = self._matcher.match(time_s)
        if match is None:
            return self._without(time_s, NO_REFERENCE)
        score = self.scale.score(match.error_deg)
        if self._original is not None:
            assert landmarks is not None
            score = self._original.score(landmarks, aspect)
        return self._judged(time_s, match, score)

    def _joints(self, landmarks: NDArray[np.floating] | None, aspect: float) -> Joints | str:
        """Return the joints of a frame, or why it cannot be scored."""
        if landmarks is None or not (landmarks[:, 3] > 0).any():
            return NOBODY
        joints = joints_of(landmarks[None], aspect)
        expected = self._template.expected
        if joints.weights[0, expected].sum() < _LEAST_SEEN * expected.sum():
            return TOO_LITTLE
        return joints

    def _judged(self, time_s: float, match: Match, score: float) -> Result:
        degrees = own_sides(match.limbs.degrees, mirrored=self.mirrored)
        hint = hint_of(match.lasting, match.xy, mirrored=self.mirrored)
        return Result(
            time_s,
            score=score,
            verdict=verdict_of(score),
            grade=grade_of(score, hinted=hint is not None),
            limbs_deg={
                limb: None if np.isnan(each) else float(each)
                for limb, each in zip(LIMBS, degrees, strict=True)
            },
            hint=hint,
            lag_s=self.lag_s,
            reference_s=match.place * STEP_S,
            mirrored=self.mirrored,
            error_deg=match.error_deg,
        )

    def _over(self, time_s: float) -> bool:
        if self._loop or self._start_s is None:
            return False
        return time_s - self._start_s - self._follow.lag_s >= self._template.length_s

    def _without(self, time_s: float, reason: str) -> Result:
        return Result(time_s, reason=reason, lag_s=self.lag_s, mirrored=self.mirrored)


def _offsets(sync: Sync, n_steps: int) -> NDArray[np.int_]:
    """Grid steps from a frame's time to the moments of the reference it may belong to."""
    if sync == "none":
        every = max(round(_ANYWHERE_S / STEP_S), -(-n_steps // _MOST_PLACES))
        return np.arange(0, n_steps, every)
    most_s = MAX_LAG_S if sync == "auto" else TOLERANCE_S
    every, most = round(LAG_STEP_S / STEP_S), round(most_s / STEP_S)
    return np.arange(most, -most - 1, -every)


def _check(option: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise ValueError(f"{option} {value!r}: it is one of {', '.join(values)}")
