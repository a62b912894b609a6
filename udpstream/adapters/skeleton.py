"""Drawing a pose on a picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.core.landmarks import LANDMARK_NAMES, SKELETON

Colour = tuple[int, int, int]  # blue, green, red

# Told apart by everybody who sees colours at all; the person's own left and right.
LEFT: Colour = (60, 170, 255)
RIGHT: Colour = (255, 190, 40)
MIDDLE: Colour = (235, 235, 235)
EDGE: Colour = (25, 25, 25)

_VISIBLE = 0.5
_WIDTH_SHARE = 0.007  # of the picture's side
_SHIFT = 4  # OpenCV takes sixteenths of a pixel, without which slow limbs jerk
_MOST_AWAY = 2.0  # sides of the picture beside it: further out is no place
_MOST_DASHES = 64
_TURN = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_RIM = np.column_stack([np.cos(_TURN), np.sin(_TURN)])


class Stroke(NamedTuple):
    """How a bone is drawn.

    Attributes:
        colour: of the line.
        width: as a multiple of the usual one.
        dashed: as dashes on the dark edge.
    """

    colour: Colour
    width: float = 1.0
    dashed: bool = False


class Points(NamedTuple):
    """Landmarks as they are drawn.

    Attributes:
        xy: `(33, 2)`, in pixels.
        visible: `(33,)`: those that may be drawn.
    """

    xy: NDArray[np.float64]
    visible: NDArray[np.bool_]


def points_in(landmarks: NDArray[np.float32], size_wh: tuple[int, int]) -> Points:
    """Return where landmarks `(33, 4)` are in a picture of a size."""
    shares = landmarks[:, :2].astype(np.float64)
    with np.errstate(invalid="ignore"):  # what is no number is not visible
        visible = (landmarks[:, 3] >= _VISIBLE) & (np.abs(shares - 0.5) < _MOST_AWAY).all(axis=1)
    return Points(np.where(visible[:, None], shares * size_wh, 0.0), visible)


def usual_width_px(size_wh: tuple[int, int]) -> float:
    """Return how wide a bone's line is in a picture of a size."""
    return max(1.0, _WIDTH_SHARE * min(size_wh))


def draw_skeleton(image_bgr: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> None:
    """Draw the visible bones of a pose, its left orange and its right blue.

    Args:
        image_bgr: `(H, W, 3)` uint8 BGR, drawn on in place.
        landmarks: `(33, 4)`: x and y in shares of the picture's width and height, z,
            visibility.
    """
    size_wh = image_bgr.shape[1], image_bgr.shape[0]
    points = points_in(landmarks, size_wh)
    width_px = usual_width_px(size_wh)
    strokes = {bone: Stroke(_side_colour(*bone)) for bone in SKELETON}
    joints = draw_bones(image_bgr, points, strokes, width_px)
    for joint in joints:
        draw_dot(image_bgr, points.xy[joint], width_px, _side_colour(joint, joint))


def draw_bones(
    image_bgr: NDArray[np.uint8],
    points: Points,
    strokes: dict[tuple[int, int], Stroke],
    width_px: float,
) -> list[int]:
    """Draw those bones of which both ends are visible, and return their ends.

    Args:
        image_bgr: `(H, W, 3)` uint8 BGR, drawn on in place.
        points: where the landmarks are in it.
        strokes: bones, as pairs of landmarks, and how each is drawn; the last on top.
        width_px: of a line of width 1.
    """
    bones = {
        bone: stroke
        for bone, stroke in strokes.items()
        if points.visible[bone[0]] and points.visible[bone[1]]
    }
    edge_px = max(2.0, 0.6 * width_px)
    for bone, stroke in bones.items():  # a dark edge first, to stand out from any picture
        start, end = points.xy[bone[0]], points.xy[bone[1]]
        _line(image_bgr, start, end, EDGE, stroke.width * width_px + edge_px)
    for bone, stroke in bones.items():
        start, end = points.xy[bone[0]], points.xy[bone[1]]
        thick_px = stroke.width * width_px
        pieces = _dashes(start, end, thick_px) if stroke.dashed else [(start, end)]
        for begin, stop in pieces:
            _line(image_bgr, begin, stop, stroke.colour, thick_px)
    return sorted({joint for bone in bones for joint in bone})


def draw_dot(
    image_bgr: NDArray[np.uint8], xy: NDArray[np.float64], radius_px: float, colour: Colour
) -> None:
    """Draw a point with a dark edge."""
    for radius, paint in ((radius_px + 1, EDGE), (radius_px, colour)):
        # OpenCV's own circles are lozenges where they are small
        rim = np.rint((xy + radius * _RIM) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(image_bgr, rim, paint, cv2.LINE_AA, _SHIFT)


def _dashes(
    start: NDArray[np.float64], end: NDArray[np.float64], width_px: float
) -> Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Cut a line into pieces with gaps; its ends are round, and as wide as the line."""
    length_px = float(np.hypot(*(end - start)))
    count = min(_MOST_DASHES, max(1, round(length_px / (3.2 * width_px))))
    step = (end - start) / count
    for number in range(count):
        begin = start + step * number
        yield begin + step * 0.14, begin + step * 0.58


def _line(
    image_bgr: NDArray[np.uint8],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    colour: Colour,
    width_px: float,
) -> None:
    width = max(1, round(width_px))
    cv2.line(image_bgr, _fixed(start), _fixed(end), colour, width, cv2.LINE_AA, _SHIFT)


def _fixed(xy: NDArray[np.float64]) -> tuple[int, int]:
    x, y = np.rint(xy * (1 << _SHIFT)).astype(int).tolist()
    return x, y


def _side_colour(start: int, end: int) -> Colour:
    names = LANDMARK_NAMES[start], LANDMARK_NAMES[end]
    if all(name.startswith("left_") for name in names):
        return LEFT
    return RIGHT if all(name.startswith("right_") for name in names) else MIDDLE
