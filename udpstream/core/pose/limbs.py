"""Which limb is off, by how much, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pose.landmarks import HIPS, JOINT, N_JOINTS, SHOULDERS, Array

LIMBS = (
    "torso",
    "left upper arm", "left forearm", "right upper arm", "right forearm",
    "left thigh", "left shin", "right thigh", "right shin",
)  # fmt: skip
_FROM = np.array([JOINT[name] for name in (
    "left_shoulder", "left_elbow", "right_shoulder", "right_elbow",
    "left_hip", "left_knee", "right_hip", "right_knee")])  # fmt: skip
_TO = np.array([JOINT[name] for name in (
    "left_elbow", "left_wrist", "right_elbow", "right_wrist",
    "left_knee", "left_ankle", "right_knee", "right_ankle")])  # fmt: skip
_TRUNK = np.concatenate([SHOULDERS, HIPS])
_MIDDLES = np.zeros(N_JOINTS)  # from the middle of the hips to that of the shoulders
_MIDDLES[SHOULDERS], _MIDDLES[HIPS] = 0.5, -0.5
_OTHER_SIDE = np.array([0, 3, 4, 1, 2, 7, 8, 5, 6])
_OTHER_WAY = {"too far left": "too far right", "too far right": "too far left"}
_HANGS_ON = {2: 1, 4: 3, 6: 5, 8: 7}  # a forearm on its upper arm, a shin on its thigh

# A bone that points at the camera has no direction in the picture: under this share of its
# usual length it counts less.
_SHORT = 0.5
_SEEN = 0.2
# Two persons who dance well differ by that much without a fault.
MIN_HINT_DEG = 12.0
# Where the bone it hangs on is as far off, to the same side, that one is at fault.
_CARRIED = 0.85


@dataclass(frozen=True, slots=True)
class Hint:
    """What to mend first.

    Attributes:
        limb: one of LIMBS, the performer's own left or right.
        degrees: by how many it is off.
        direction: where it is: "too low", "too high", "too far out", "too far in",
            "too far forward", "too far back", "too far left", "too far right" (the last
            two the performer's own).
    """

    limb: str
    degrees: float
    direction: str

    def __str__(self) -> str:
        """In words, to 5 degrees: no camera tells it closer."""
        return f"{self.limb}: {max(5, 5 * round(self.degrees / 5))} degrees {self.direction}"


class Bones(NamedTuple):
    """The limbs of `n` frames, or of one without the first axis.

    Attributes:
        unit: `(n, 9, 2)`: their directions in the picture, x to the right, y down.
        length: `(n, 9)`, in torsos.
        weights: `(n, 9)`: 0 where an end is not visible.
    """

    unit: Array
    length: Array
    weights: Array


def bones_of(xy: Array, weights: Array) -> Bones:
    """Return the limbs of joints `(n, 13, 2)` in torsos with weights `(n, 13)`."""
    vectors = np.empty((len(xy), len(LIMBS), 2))
    vectors[:, 0] = _MIDDLES @ xy
    vectors[:, 1:] = xy[:, _TO] - xy[:, _FROM]
    known = np.empty((len(xy), len(LIMBS)))
    known[:, 0] = weights[:, _TRUNK].min(axis=1)
    known[:, 1:] = np.minimum(weights[:, _TO], weights[:, _FROM])
    length = np.hypot(vectors[..., 0], vectors[..., 1])
    return Bones(vectors / np.maximum(length, 1e-9)[..., None], length, known)


def usual_lengths(bones: Bones) -> Array:
    """Return each limb's length `(9,)` where it lies in the picture's plane; 1 if never seen."""
    usual = np.ones(len(LIMBS))
    for limb in range(len(LIMBS)):
        seen = bones.length[bones.weights[:, limb] > 0, limb]
        if seen.size:
            usual[limb] = max(float(np.percentile(seen, 90)), 1e-3)
    return usual


class LimbErrors(NamedTuple):
    """Each limb's error over a window, in the order of LIMBS, as compared.

    Attributes:
        degrees: `(9,)`: median of the angles in the picture; NaN: not seen.
        shift: `(9, 2)`: mean way from the reference's direction to the performer's, x to
            the right and y down.
    """

    degrees: Array
    shift: Array


def limb_errors(
    performer: Bones, reference: Bones, usual: Array, frames: int
) -> tuple[LimbErrors, LimbErrors]:
    """Compare limbs frame by frame.

    Args:
        performer: limbs of some last frames.
        reference: the same at the moments that belong to those frames.
        usual: the limbs' lengths, of `usual_lengths`.
        frames: how many of the last frames are the window.

    Returns:
        The errors over the window, and over all those frames.
    """
    ours, theirs = performer.unit, reference.unit
    way = ours - theirs
    apart = np.degrees(2 * np.arcsin(np.minimum(np.hypot(way[..., 0], way[..., 1]) / 2, 1.0)))
    short = _SHORT * usual
    weights = performer.weights * reference.weights
    weights *= np.minimum(performer.length / short, 1)
    weights *= np.minimum(reference.length / short, 1)

    def over(rows: slice) -> LimbErrors:
        total = weights[rows].sum(axis=0)
        degrees = _weighted_medians(apart[rows], weights[rows])
        shift = np.einsum("nl,nlx->lx", weights[rows], way[rows])
        shift /= np.maximum(total, 1e-9)[:, None]
        # Seen in a few of the frames only, or hardly: rather nothing than a guess.
        return LimbErrors(np.where(total >= _SEEN * len(apart[rows]), degrees, np.nan), shift)

    return over(slice(-frames, None)), over(slice(None))


def _weighted_medians(values: Array, weights: Array) -> Array:
    columns = np.arange(values.shape[1])
    order = np.argsort(values, axis=0)
    below = weights[order, columns].cumsum(axis=0)
    middle = np.minimum((below < below[-1] / 2).sum(axis=0), len(values) - 1)
    medians: Array = values[order[middle, columns], columns]
    return medians


def hint_of(errors: LimbErrors, xy: Array, *, mirrored: bool) -> Hint | None:
    """Return what to mend first, or None where nothing is worth a word.

    Args:
        errors: as compared.
        xy: `(13, 2)`: the performer's joints, as compared.
        mirrored: whether those were mirrored for it: the sides are given back.
    """
    known = np.nan_to_num(errors.degrees, nan=-1.0)
    worst = int(np.argmax(known))
    if known[worst] < MIN_HINT_DEG:
        return None
    carrier = _HANGS_ON.get(worst)
    if (
        carrier is not None
        and known[carrier] >= _CARRIED * known[worst]
        and errors.shift[carrier] @ errors.shift[worst] > 0
    ):
        worst = carrier
    direction = _direction(worst, errors.shift[worst], xy)
    if mirrored:
        direction = _OTHER_WAY.get(direction, direction)
    own = int(_OTHER_SIDE[worst]) if mirrored else worst
    return Hint(LIMBS[own], float(known[worst]), direction)


def own_sides(degrees: Array, *, mirrored: bool) -> Array:
    """Return limb errors `(9,)` in the order of LIMBS, by the performer's own sides."""
    return degrees[_OTHER_SIDE] if mirrored else degrees


def _direction(limb: int, shift: NDArray[np.float64], xy: Array) -> str:
    right, down = float(shift[0]), float(shift[1])
    if abs(down) >= abs(right):
        return "too low" if down > 0 else "too high"
    left, other = xy[SHOULDERS, 0]
    if abs(left - other) < 0.25:  # in profile
        ahead = xy[JOINT["nose"], 0] - (left + other) / 2
        return "too far forward" if right * ahead > 0 else "too far back"
    to_left = right * (left - other) > 0
    if limb == 0:
        return "too far left" if to_left else "too far right"
    return "too far out" if to_left == LIMBS[limb].startswith("left") else "too far in"
