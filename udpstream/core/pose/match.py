"""How far a performer is from a reference: E, over a window, at every lag that is allowed.

E = theta + 20 (1 - C), in degrees, over the frames of a window at one constant lag:
theta is the mean angle between both poses as vectors, C the concordance of their motion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pose.landmarks import N_JOINTS, Array
from udpstream.core.pose.template import Sample

MOTION_DEG = 20.0  # what motion that has nothing in common costs
# Motion under 0.05 torsos a joint is a tracker's noise: still and still are concordant.
NOISE = 0.05**2 * N_JOINTS
UNKNOWN = np.inf

# What is kept of one frame against one moment of the reference; sums of them give E.
_ANGLE, _SEEN, _SHARED, _SPEEDS, _MOVING = range(5)
N_TERMS = 5


def compare(performer: Sample, reference: Sample, places: NDArray[np.int_]) -> Array:
    """Compare some versions of one moment with many moments of the reference.

    Args:
        performer: `m` versions of one frame: as it is, and mirrored.
        reference: the moments to compare with ...
        places: ... `(l,)`: and which of them.

    Returns:
        `(5, m, l)`: terms whose sums over frames `errors` takes.
    """
    ours, theirs = performer, reference
    return _terms(
        ours.weighted_xy @ theirs.weighted_xy[places].T,
        ours.weighted_square @ theirs.weights[places].T,
        ours.weights @ theirs.weighted_square[places].T,
        2 * ours.weighted_motion @ theirs.weighted_motion[places].T,
        ours.weighted_speed @ theirs.motion_weights[places].T
        + ours.motion_weights @ theirs.weighted_speed[places].T,
        ours.moving[:, None] & theirs.moving[places],
    )


def compare_pairs(sample: Sample, ones: NDArray[np.int_], others: NDArray[np.int_]) -> Array:
    """Compare moments `ones` `(l,)` of a sample with its moments `others`, one to one.

    Returns:
        `(5, l)`: terms as of `compare`.
    """
    weights, moving = sample.weights, sample.moving
    square, speed = sample.weighted_square, sample.weighted_speed
    steady = sample.motion_weights
    return _terms(
        (sample.weighted_xy[ones] * sample.weighted_xy[others]).sum(axis=1),
        (square[ones] * weights[others]).sum(axis=1),
        (weights[ones] * square[others]).sum(axis=1),
        2 * (sample.weighted_motion[ones] * sample.weighted_motion[others]).sum(axis=1),
        (speed[ones] * steady[others] + steady[ones] * speed[others]).sum(axis=1),
        moving[ones] & moving[others],
    )


def _terms(
    dot: Array,
    our_square: Array,
    their_square: Array,
    shared: Array,
    speeds: Array,
    moving: NDArray[np.bool_],
) -> Array:
    square = our_square * their_square
    seen = square > 0
    cosine = dot / np.sqrt(np.where(seen, square, 1.0))
    angle = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))) * seen
    moving = moving & seen
    return np.stack([angle, seen, shared * moving, speeds * moving, moving])


def errors(sums: Array, least: float | Array) -> Array:
    """Return E from sums of terms.

    Args:
        sums: `(5, ...)`: terms of `compare`, summed over a window.
        least: how many frames must have been seen on both sides, and half as many in
            motion; E is UNKNOWN where fewer were. One for all, or one for each.
    """
    known = (sums[_SEEN] >= least) & (sums[_MOVING] >= least / 2)
    theta = sums[_ANGLE] / np.maximum(sums[_SEEN], 1)
    noise = NOISE * np.maximum(sums[_MOVING], 1)
    concordance = (sums[_SHARED] + noise) / (sums[_SPEEDS] + noise)
    return np.where(known, theta + MOTION_DEG * (1 - concordance), UNKNOWN)


def seen(sums: Array) -> Array:
    """Return how many of the frames in sums of terms were seen on both sides."""
    frames: Array = sums[_SEEN]
    return frames


def combined(window: Array, context: Array) -> Array:
    """Return the E that is scored, from those of the window and of its longer context.

    A second of two dances is often alike by chance, several seconds are not: the window
    says what happens now, the context whether to believe it.
    """
    return (window + context) / 2
