"""The metric that this grew from, for comparison: it calls nearly everything CORRECT.

18 COCO keypoints in picture coordinates as one vector of length 1, the least cosine
distance to any row of the reference, CORRECT below 0.15. All coordinates are positive and
share one large offset, so all such vectors are nearly parallel, whatever the pose.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from udpstream.core.landmarks import PLACE
from udpstream.core.pose.landmarks import VISIBLE, Array
from udpstream.core.reference import Reference

_THRESHOLD = 0.15
_COCO = [PLACE[name] for name in (
    "nose", "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
)]  # fmt: skip
_SHOULDERS = [PLACE["left_shoulder"], PLACE["right_shoulder"]]


class Original:
    """Scores single frames as the original did.

    Args:
        reference: its rows are compared with whatever their time.
    """

    def __init__(self, reference: Reference) -> None:
        self._rows = _vectors(reference.landmarks, reference.aspect)

    def score(self, landmarks: NDArray[np.floating], aspect: float) -> float:
        """Return 0 to 100 for landmarks `(33, 4)`: 50 at the original's threshold."""
        distance = 1 - float((self._rows @ _vectors(landmarks[None], aspect)[0]).max())
        return float(np.interp(distance, [0.0, _THRESHOLD, 2 * _THRESHOLD], [100.0, 50.0, 0.0]))


def _vectors(landmarks: NDArray[np.floating], aspect: float) -> Array:
    """Return vectors `(n, 36)` of landmarks `(n, 33, 4)`; a point not seen is at 0, 0."""
    neck = landmarks[:, _SHOULDERS].mean(axis=1, keepdims=True)
    neck[..., 3] = landmarks[:, _SHOULDERS, 3].min(axis=1, keepdims=True)
    points = np.concatenate([landmarks[:, _COCO], neck], axis=1)
    xy = points[..., :2] * (aspect, 1.0) * (points[..., 3:] >= VISIBLE)
    vectors = xy.reshape(len(xy), -1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0), np.float64)
