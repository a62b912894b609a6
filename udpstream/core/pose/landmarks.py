"""From a tracker's landmarks to joints that can be compared between people and cameras."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from udpstream.core.landmarks import PLACE

Array: TypeAlias = NDArray[np.float64]

# The joints that say how somebody stands. What hangs on them (face, fingers, feet) adds
# noise and no pose.
JOINTS = (
    "nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
N_JOINTS = len(JOINTS)
JOINT = {name: number for number, name in enumerate(JOINTS)}
_PLACES = np.array([PLACE[name] for name in JOINTS])
SHOULDERS = np.array([JOINT["left_shoulder"], JOINT["right_shoulder"]])
HIPS = np.array([JOINT["left_hip"], JOINT["right_hip"]])
_OTHER_SIDE = {"left": "right", "right": "left"}
MIRRORED = np.array([
    JOINT["_".join(_OTHER_SIDE.get(word, word) for word in name.split("_"))] for name in JOINTS
])  # fmt: skip

VISIBLE = 0.5  # a tracker guesses what it does not see, and says so by less than that


class Joints(NamedTuple):
    """Joints of `n` frames.

    Attributes:
        xy: `(n, 13, 2)`: x to the right, y down, from the middle of the hips, in heights
            of the picture; 0 where a joint is not visible.
        weights: `(n, 13)`: visibility, 0 where it is under VISIBLE or out of the picture.
        torso: `(n,)`: from the middle of the hips to that of the shoulders; 0 where one
            of the two is not visible, and then all weights are 0.
    """

    xy: Array
    weights: Array
    torso: Array


def joints_of(landmarks: NDArray[np.floating], aspect: float) -> Joints:
    """Return the joints of landmarks `(n, 33, 4)`: x, y in shares of the picture, z, visibility.

    A row that is not finite is one with nobody.

    Args:
        landmarks: as MediaPipe orders them; left and right are the person's own.
        aspect: the picture's width by its height, which makes x and y alike.
    """
    chosen = np.asarray(landmarks, np.float64)[:, _PLACES]
    xy, seen = chosen[..., :2], chosen[..., 3]
    # Out of the picture a tracker may be ever so sure: it extrapolates.
    inside = (np.abs(xy - 0.5) <= 0.5).all(axis=-1)
    with np.errstate(invalid="ignore"):
        weights = np.where(inside & (seen >= VISIBLE), np.minimum(seen, 1.0), 0.0)
    xy = np.where(weights[..., None] > 0, xy, 0.0) * (aspect, 1.0)
    hips, hips_seen = _middle(xy, weights, HIPS)
    shoulders, shoulders_seen = _middle(xy, weights, SHOULDERS)
    torso = np.hypot(*(shoulders - hips).T) * (hips_seen & shoulders_seen)
    weights = weights * (torso > 0)[:, None]
    xy = (xy - hips[:, None]) * (weights > 0)[..., None]
    return Joints(xy, weights, torso)


def _middle(xy: Array, weights: Array, pair: NDArray[np.int_]) -> tuple[Array, NDArray[np.bool_]]:
    """The middle of two joints, or the one that is visible, and whether there is any."""
    there = weights[:, pair] > 0
    count = there.sum(axis=1)
    return xy[:, pair].sum(axis=1) / np.maximum(count, 1)[:, None], count > 0


def mirrored(xy: Array) -> Array:
    """Joints `(..., 13, 2)` as a mirror shows them, left named right."""
    return xy[..., MIRRORED, :] * (-1.0, 1.0)
