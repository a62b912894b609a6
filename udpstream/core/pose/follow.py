"""Follows a performer's lag, and settles whether they dance the reference mirrored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pose.landmarks import Array

TOLERANCE_S = 0.2  # around the lag: people are early and late from beat to beat
MAX_LAG_S = 1.2  # a little over the second that is followed, so that 1.0 s lies inside
LAG_STEP_S = 0.05

# The best of many lags is low by chance, over a short time above all, and a tracker that
# jumps at chances makes strangers look in time. So to jump, E with its doubt must be that
# far below the middle of the scale, more by 9 degrees over a second and less the longer it
# is seen; and below that of the lag so far.
_JUMP_DEG, _JUMP_DEG_S = 2.5, 9.0
_BETTER_DEG_S = 12.0
_NEAR_S = 0.25  # what is nearer is no jump
_FORGET_DEG = 4.0  # above the middle, over seconds: whatever was followed is gone
_SETTLED_S = 4.5
_SETTLED_DEG = 4.0


class Follow:
    """What is believed so far of one performer.

    Attributes:
        lag_s: behind the reference; 0 until `found`.
        version: 0 as seen, 1 mirrored.
        found: whether anything has matched yet.
        settled: whether `version` is decided for the session.
    """

    def __init__(self, lags_s: Array, middle_deg: float, *, follows: bool, settled: bool) -> None:
        """Begin.

        Args:
            lags_s: `(l,)` lags of the profiles to come.
            middle_deg: the E of score 50.
            follows: whether the lag moves at all.
            settled: whether there is only one version.
        """
        self._lags_s = lags_s
        self._middle_deg = middle_deg
        self._follows = follows
        self.lag_s = 0.0
        self.version = 0
        self.found = False
        self.settled = settled

    @property
    def tolerated(self) -> NDArray[np.bool_]:
        """`(l,)`: the lags at which a window may match."""
        return self._within(TOLERANCE_S)

    def update(self, profile: Array, span_s: float, doubt_deg: Callable[[int, int], float]) -> None:
        """Take the evidence of the last seconds.

        Args:
            profile: `(m, l)`: E of each version at each lag.
            span_s: over how many seconds.
            doubt_deg: what is to be added to E of one version at one lag for what E is
                elsewhere in the reference.
        """
        first = self.version if self.settled else 0
        rows = profile[first : first + 1] if self.settled else profile
        best, place = np.unravel_index(int(np.argmin(rows)), rows.shape)
        version = first + int(best)
        least = profile[version, place]
        own = profile[self.version]
        near = self._within(_NEAR_S)
        here = np.where(near, own, np.inf)
        better = least + _BETTER_DEG_S / span_s < here.min()
        low = self._middle_deg - _JUMP_DEG - _JUMP_DEG_S / span_s
        if better and least + doubt_deg(version, int(place)) <= low:
            self.version = version
            self._move(profile[version], int(place))
        elif here.min() <= self._middle_deg:
            self._move(own, int(np.argmin(here)))
        else:
            gone = self._middle_deg + _FORGET_DEG < here.min() < np.inf
            if gone and span_s >= _SETTLED_S:
                self._forget()
            return
        if not self.settled and span_s >= _SETTLED_S:
            apart = profile.min(axis=1)
            self.settled = abs(float(apart[0] - apart[1])) >= _SETTLED_DEG

    def _forget(self) -> None:
        self.lag_s = 0.0
        self.found = False
        if not self.settled:
            self.version = 0

    def _within(self, range_s: float) -> NDArray[np.bool_]:
        if not self._follows:
            return np.ones(len(self._lags_s), bool)
        return np.asarray(np.abs(self._lags_s - self.lag_s) <= range_s + 1e-9)

    def _move(self, profile: Array, place: int) -> None:
        """Take a lag over, at the lowest point of a parabola through its neighbours."""
        self.found = True
        if not self._follows:
            return
        lag_s = self._lags_s[place]
        if 0 < place < len(profile) - 1:
            left, middle, right = profile[place - 1 : place + 2]
            curve = left - 2 * middle + right
            if np.isfinite(curve) and curve > 0:
                lag_s += LAG_STEP_S * 0.5 * (left - right) / curve
        self.lag_s = float(lag_s)
