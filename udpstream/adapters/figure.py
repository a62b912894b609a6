"""A little drawn man, in whom MediaPipe sees a person: to try it out on.

The face and the hair matter: without them he is taken to show his back.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 256
_MIDDLE = _SIDE // 2
_WALL = (150, 150, 150)
_SKIN, _HAIR, _INK = (140, 170, 225), (40, 50, 70), (20, 20, 20)
_SHIRT, _TROUSERS = (60, 60, 160), (110, 70, 40)

# Of his left half, in pixels to the right of the middle and down: from, to, width, colour.
_LIMBS = (
    ((24, 75), (40, 108), 13, _SHIRT),
    ((40, 108), (44, 138), 10, _SKIN),
    ((12, 138), (15, 182), 18, _TROUSERS),
    ((15, 182), (16, 224), 14, _TROUSERS),
    ((16, 228), (24, 232), 9, _INK),
)
_TRUNK = ((-26, 70), (26, 70), (20, 142), (-20, 142))


def draw_figure() -> NDArray[np.uint8]:
    """Draw him from the front, standing: `(256, 256, 3)` uint8 BGR."""
    image_bgr = np.full((_SIDE, _SIDE, 3), _WALL, np.uint8)
    for side in (-1, 1):
        for (x, y), (to_x, to_y), width, colour in _LIMBS:
            start, end = (_MIDDLE + side * x, y), (_MIDDLE + side * to_x, to_y)
            cv2.line(image_bgr, start, end, colour, width, cv2.LINE_AA)
    trunk = np.array([(_MIDDLE + x, y) for x, y in _TRUNK], np.int32)
    cv2.fillPoly(image_bgr, [trunk], _SHIRT, cv2.LINE_AA)
    cv2.line(image_bgr, (_MIDDLE, 60), (_MIDDLE, 70), _SKIN, 10, cv2.LINE_AA)
    cv2.ellipse(image_bgr, (_MIDDLE, 40), (17, 20), 0, 0, 360, _HAIR, -1, cv2.LINE_AA)
    cv2.ellipse(image_bgr, (_MIDDLE, 45), (13, 17), 0, 0, 360, _SKIN, -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.circle(image_bgr, (_MIDDLE + side * 5, 43), 2, _INK, -1, cv2.LINE_AA)
    cv2.line(image_bgr, (_MIDDLE - 4, 54), (_MIDDLE + 4, 54), _SHIRT, 1, cv2.LINE_AA)
    return image_bgr
