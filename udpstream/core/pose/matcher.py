"""Finds where in a reference a performer is, and how far from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pose.elsewhere import Elsewhere
from udpstream.core.pose.follow import Follow
from udpstream.core.pose.history import History
from udpstream.core.pose.landmarks import N_JOINTS, Array, Joints
from udpstream.core.pose.limbs import LIMBS, Bones, LimbErrors, limb_errors, usual_lengths
from udpstream.core.pose.match import N_TERMS, UNKNOWN, combined, compare, errors, seen
from udpstream.core.pose.template import STEP_S, Sample, Template, versions

FOLLOW_S = 5.0  # the lag of so many last seconds is right to 0.1 s
_WORSE_DEG = 7.0  # the window than its context: who stopped a second ago
HINT_S = 2.5  # less, and what is to be mended first changes faster than anyone can read it


@dataclass(frozen=True, slots=True)
class Match:
    """Where a window belongs.

    Attributes:
        error_deg: E, at the best of the lags that are tolerated.
        place: the moment of the reference that belongs to the last frame, in grid steps.
        limbs: each limb's error over the window.
        lasting: the same over HINT_S, to name one by.
        xy: `(13, 2)`: the joints of the last frame, as compared.
    """

    error_deg: float
    place: int
    limbs: LimbErrors
    lasting: LimbErrors
    xy: Array


class Matcher:
    """Compares a performer's frames with the moments of a reference they may belong to.

    Args:
        template: the reference.
        offsets: `(l,)`: grid steps from a frame's own time to those moments.
        mirrors: the versions of the performer to try: as seen, mirrored, or both.
        follow: decides between versions and offsets; its lags are those of `offsets`.
        elsewhere: the moments they are held against; None: nothing is.
        window_s: over how long E is taken.
        context_s: over how long its context is.
        loop: whether the reference begins anew where it ends.
    """

    def __init__(
        self,
        template: Template,
        offsets: NDArray[np.int_],
        mirrors: Sequence[bool],
        follow: Follow,
        elsewhere: Elsewhere | None,
        *,
        window_s: float,
        context_s: float,
        loop: bool,
    ) -> None:
        self._template = template
        self._elsewhere = elsewhere
        self._offsets = offsets
        self._mirrors = mirrors
        self._follow = follow
        self._window_s = window_s
        self._context_s = context_s
        self._loop = loop
        self._usual = usual_lengths(template.sample.bones)
        n, n_limbs = len(mirrors), len(LIMBS)
        self._frames = History(
            time_s=float, step=int, moving=float,
            xy=(N_JOINTS, 2), weights=(N_JOINTS,), torso=float, pose=(n, N_JOINTS, 2),
            bone_unit=(n, n_limbs, 2), bone_length=(n, n_limbs), bone_weights=(n, n_limbs),
            terms=(N_TERMS, n, len(offsets)),
            elsewhere=(N_TERMS, n, 0 if elsewhere is None else len(elsewhere.offsets)),
        )  # fmt: skip

    def add(self, time_s: float, begun_s: float, joints: Joints) -> None:
        """Take one frame in.

        Args:
            time_s: its time, later than all before.
            begun_s: the time since the reference was begun.
            joints: `n` = 1.
        """
        frames = self._frames
        oldest_s = time_s - max(FOLLOW_S, self._context_s) - 1e-9
        frames.drop(int(np.searchsorted(frames["time_s"], oldest_s)))
        frames.add(time_s=time_s, xy=joints.xy[0], weights=joints.weights[0], torso=joints.torso[0])
        track = Joints(frames["xy"], frames["weights"], frames["torso"])
        moment = versions(frames["time_s"], track, time_s, self._mirrors)
        step = round(begun_s / STEP_S)
        frames.amend(
            step=step,
            moving=moment.moving[0],
            pose=moment.xy,
            bone_unit=moment.bones.unit,
            bone_length=moment.bones.length,
            bone_weights=moment.bones.weights,
            terms=self._compared(moment, step + self._offsets),
        )
        if self._elsewhere is not None:
            frames.amend(elsewhere=self._compared(moment, step + self._elsewhere.offsets))

    def _compared(self, moment: Sample, steps: NDArray[np.int_]) -> Array:
        places, there = self._template.places(steps, loop=self._loop)
        return compare(moment, self._template.sample, places) * there

    def span(self, now_s: float) -> tuple[int, float]:
        """Return how many frames the window up to now has, and the seconds they span.

        It has none if too few of them are near enough to others to know of any motion.
        """
        times_s = self._since(now_s, self._window_s)
        count = len(times_s)
        moving = self._frames["moving"][len(self._frames) - count :].sum()
        if not count or moving < count / 4:  # as `errors` asks for
            return 0, 0.0
        return count, float(times_s[-1] - times_s[0])

    def match(self, now_s: float) -> Match | None:
        """Return where the window up to now belongs; None where the reference has nobody."""
        self._update_follow(now_s)
        version = self._follow.version
        least = len(self._since(now_s, self._window_s)) / 2
        window, context = (
            errors(self._sums("terms", now_s, length_s)[:, version], least)
            for length_s in (self._window_s, self._context_s)
        )
        error = np.where(self._follow.tolerated, combined(window, context), UNKNOWN)
        best = int(np.argmin(error))
        if not np.isfinite(error[best]):
            return None
        doubt_deg = self._doubt_deg(now_s, self._context_s, version, best, float(context[best]))
        # What was good before is no reason to believe what is not so any more.
        trusted_deg = max(0.0, float(context[best]) + _WORSE_DEG - float(window[best]))
        limbs, lasting = self._limbs(now_s, version, int(self._offsets[best]))
        return Match(
            max(0.0, float(error[best]) + max(doubt_deg, -trusted_deg)),
            self._place(best),
            limbs,
            lasting,
            self._frames["pose"][-1, version],
        )

    def _since(self, now_s: float, length_s: float) -> Array:
        times_s = self._frames["time_s"]
        return times_s[np.searchsorted(times_s, now_s - length_s - 1e-9) :]

    def _sums(self, column: str, now_s: float, length_s: float) -> Array:
        count = len(self._since(now_s, length_s))
        sums: Array = self._frames[column][len(self._frames) - count :].sum(axis=0)
        return sums

    def _update_follow(self, now_s: float) -> None:
        times_s = self._since(now_s, FOLLOW_S)
        profile = errors(self._sums("terms", now_s, FOLLOW_S), len(times_s) / 2)

        def doubt_deg(version: int, place: int) -> float:
            return self._doubt_deg(now_s, FOLLOW_S, version, place, profile[version, place])

        self._follow.update(profile, float(times_s[-1] - times_s[0]), doubt_deg)

    def _doubt_deg(
        self, now_s: float, length_s: float, version: int, best: int, here_deg: float
    ) -> float:
        """Return what E elsewhere adds to `here_deg`, that of a version at an offset."""
        if self._elsewhere is None:
            return 0.0
        times_s = self._since(now_s, length_s)
        span_s, count = float(times_s[-1] - times_s[0]), len(times_s)
        sums = self._sums("elsewhere", now_s, length_s)[:, version]
        return self._elsewhere.doubt_deg(
            here_deg, errors(sums, count / 2), seen(sums) * span_s / count, self._place(best),
            int(self._offsets[best]),
        )  # fmt: skip

    def _place(self, best: int) -> int:
        """Return the moment that an offset leads to from the last frame, in grid steps."""
        steps = self._frames["step"][-1:] + self._offsets[best]
        return int(self._template.places(steps, loop=self._loop)[0][0])

    def _limbs(self, now_s: float, version: int, offset: int) -> tuple[LimbErrors, LimbErrors]:
        """Return the limbs' errors over the window, and over HINT_S if that is longer."""
        hint_s = max(HINT_S, self._window_s)
        rows = slice(len(self._frames) - len(self._since(now_s, hint_s)), None)
        places, there = self._template.places(self._frames["step"][rows] + offset, loop=self._loop)
        frames, reference = self._frames, self._template.sample.bones
        return limb_errors(
            Bones(
                frames["bone_unit"][rows, version],
                frames["bone_length"][rows, version],
                frames["bone_weights"][rows, version],
            ),
            Bones(
                reference.unit[places],
                reference.length[places],
                reference.weights[places] * there[:, None],
            ),
            self._usual,
            len(self._since(now_s, self._window_s)),
        )
