"""Drawing a pose on a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.core.landmarks import LANDMARK_NAMES, SKELETON

Colour = tuple[int, int, int]  # blue, green, red

# Told apart by everybody who sees colours at all; the person's own left and right.
LEFT: Colour = (60, 170, 255)
RIGHT: Colour = (255, 190, 40)
MIDDLE: Colour = (235, 235, 235)
_EDGE: Colour = (25, 25, 25)

_VISIBLE = 0.5
_WIDTH_SHARE = 0.007  # of the picture's height
_SHIFT = 4  # OpenCV takes sixteenths of a pixel, without which slow limbs jerk


def draw_skeleton(image_bgr: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> None:
    """Draw the visible bones of a pose, its left orange and its right blue.

    Args:
        image_bgr: `(H, W, 3)` uint8 BGR, C-contiguous, drawn on in place.
        landmarks: `(33, 4)`: x and y in shares of the picture's width and height, z,
            visibility.
    """
    height, width = image_bgr.shape[:2]
    line_px = max(1, round(_WIDTH_SHARE * min(height, width)))
    fixed = np.rint(landmarks[:, :2] * (width, height) * (1 << _SHIFT)).astype(int)
    visible = landmarks[:, 3] >= _VISIBLE
    bones = [(start, end) for start, end in SKELETON if visible[start] and visible[end]]
    for edge_px in (2, 0):  # a dark edge first, to stand out from any picture
        for start, end in bones:
            colour = _EDGE if edge_px else _colour(start, end)
            cv2.line(image_bgr, fixed[start].tolist(), fixed[end].tolist(), colour,
                     line_px + edge_px, cv2.LINE_AA, _SHIFT)  # fmt: skip
    for joint in sorted({joint for bone in bones for joint in bone}):
        centre = fixed[joint].tolist()
        radius = (line_px + 1) << _SHIFT
        cv2.circle(image_bgr, centre, radius, _EDGE, -1, cv2.LINE_AA, _SHIFT)
        colour = _colour(joint, joint)
        cv2.circle(image_bgr, centre, line_px << _SHIFT, colour, -1, cv2.LINE_AA, _SHIFT)


def _colour(start: int, end: int) -> Colour:
    names = LANDMARK_NAMES[start], LANDMARK_NAMES[end]
    if all(name.startswith("left_") for name in names):
        return LEFT
    return RIGHT if all(name.startswith("right_") for name in names) else MIDDLE
