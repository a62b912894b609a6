"""A reference as a performer is compared with it: joints and their motion on a fine grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pose.landmarks import MIRRORED, N_JOINTS, Array, Joints, mirrored
from udpstream.core.pose.limbs import bones_of

STEP_S = 0.025  # a performer's frame is at most half of it off: 1 % of concordance at 2 Hz
MOTION_S = 0.2  # over which motion is measured: shorter is noise, longer blurs a beat
MAX_GAP_S = 0.35  # over which joints are interpolated: two frames in a row may be missing
SIZE_S = 1.0  # the torso's length is the median over so long: a bow does not blow a body up


class Track:
    """Joints over time, read between the frames.

    Args:
        times_s: `(n,)`, rising.
        joints: of those frames.
    """

    def __init__(self, times_s: Array, joints: Joints) -> None:
        self._times_s = times_s
        self._joints = joints

    def at(self, times_s: Array) -> tuple[Array, Array]:
        """Return xy `(m, 13, 2)` and weights `(m, 13)` at other times; weight 0: not known."""
        last = len(self._times_s) - 1
        after = np.clip(np.searchsorted(self._times_s, times_s - 1e-9), 0, last)
        before = np.where(self._times_s[after] <= times_s + 1e-9, after, np.maximum(after - 1, 0))
        gap_s = self._times_s[after] - self._times_s[before]
        share = (times_s - self._times_s[before]) / np.where(gap_s > 0, gap_s, 1.0)
        inside = (times_s >= self._times_s[0] - 1e-9) & (times_s <= self._times_s[last] + 1e-9)
        share = np.clip(share, 0.0, 1.0)[:, None]
        weights = np.minimum(self._joints.weights[before], self._joints.weights[after])
        weights = weights * (inside & (gap_s <= MAX_GAP_S))[:, None]
        xy = self._joints.xy[before] * (1 - share[..., None])
        return xy + self._joints.xy[after] * share[..., None], weights


def torso_of(times_s: Array, torso: Array, now_s: Array) -> Array:
    """Return the median length of the torso over the last SIZE_S at each moment."""
    first = np.searchsorted(times_s, now_s - SIZE_S)
    last = np.searchsorted(times_s, now_s + 1e-9, side="right")
    sizes = np.zeros(len(now_s))
    for number, (begin, end) in enumerate(zip(first, last, strict=True)):
        known = torso[begin:end]
        known = known[known > 0]
        if known.size:
            sizes[number] = np.partition(known, known.size // 2)[known.size // 2]
    return sizes


class Sample:
    """Scaled joints and motion at some moments, with the products that comparing them needs.

    All comparisons weight a joint by the product of both visibilities. Products part into
    a factor for each side, so that one moment against many is a few matrix products.

    Args:
        xy: `(n, 13, 2)`, in torsos.
        weights: `(n, 13)`.
        motion: `(n, 13, 2)`: the way of each joint over MOTION_S.
        motion_weights: `(n, 13)`.
    """

    def __init__(self, xy: Array, weights: Array, motion: Array, motion_weights: Array) -> None:
        n = len(xy)
        self.xy, self.weights = xy, weights
        self.motion, self.motion_weights = motion, motion_weights
        self.weighted_xy = (weights[..., None] * xy).reshape(n, -1)
        self.weighted_square = weights * (xy**2).sum(axis=-1)
        self.weighted_motion = (motion_weights[..., None] * motion).reshape(n, -1)
        self.weighted_speed = motion_weights * (motion**2).sum(axis=-1)
        self.moving = np.asarray(motion_weights.any(axis=1))
        self.bones = bones_of(xy, weights)

    def __len__(self) -> int:
        return len(self.xy)


def sample(times_s: Array, joints: Joints, now_s: Array) -> Sample:
    """Return a track's joints and motion at the moments `now_s`."""
    return Sample(*_moments(times_s, joints, now_s))


def versions(times_s: Array, joints: Joints, now_s: float, mirrors: Sequence[bool]) -> Sample:
    """Return one moment of a track as it is or mirrored, a row for each of `mirrors`."""
    xy, weights, motion, motion_weights = _moments(times_s, joints, np.array([now_s]))
    rows = np.array(mirrors, int)
    return Sample(
        np.concatenate([xy, mirrored(xy)])[rows],
        np.concatenate([weights, weights[:, MIRRORED]])[rows],
        np.concatenate([motion, mirrored(motion)])[rows],
        np.concatenate([motion_weights, motion_weights[:, MIRRORED]])[rows],
    )


def _moments(times_s: Array, joints: Joints, now_s: Array) -> tuple[Array, Array, Array, Array]:
    """What a Sample is made of."""
    track = Track(times_s, joints)
    sizes = torso_of(times_s, joints.torso, now_s)
    scale = np.where(sizes > 0, sizes, 1.0)[:, None, None]
    n = len(now_s)
    xy, weights = track.at(np.concatenate([now_s, now_s - MOTION_S]))  # one call: it costs
    now = weights[:n] * (sizes > 0)[:, None]
    return xy[:n] / scale, now, (xy[:n] - xy[n:]) / scale, np.minimum(now, weights[n:])


class Template:
    """A reference's sample on a grid of STEP_S from time 0.

    Args:
        times_s: `(n,)`, rising, from 0.
        joints: of those times; weights are 0 where there is nobody.
        length_s: where a loop begins anew.
    """

    def __init__(self, times_s: Array, joints: Joints, length_s: float) -> None:
        self.length_s = length_s
        grid_s = np.arange(max(1, round(length_s / STEP_S))) * STEP_S
        self.sample = sample(times_s, joints, np.minimum(grid_s, times_s[-1]))
        seen = (joints.weights > 0)[joints.torso > 0]
        # What a performer must show of the body: what the reference mostly shows.
        self.expected = seen.mean(axis=0) >= 0.5 if len(seen) else np.zeros(N_JOINTS, bool)

    def __len__(self) -> int:
        return len(self.sample)

    def places(
        self, steps: NDArray[np.int_], *, loop: bool
    ) -> tuple[NDArray[np.int_], NDArray[np.bool_]]:
        """Return where on the grid steps are, and which of them are on it at all."""
        if loop:
            return steps % len(self), np.ones(len(steps), bool)
        return np.clip(steps, 0, len(self) - 1), (steps >= 0) & (steps < len(self))
