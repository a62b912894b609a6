"""The camera that looks at the dancer: a pinhole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Around the dancer, in body heights: the dance stays within, arms up and legs out.
_SPACE_HALF_WIDTH = 0.72
_SPACE_TOP = 1.26
_SPACE_BOTTOM = -0.06


@dataclass(frozen=True)
class Camera:
    """Where the camera is and how wide it sees.

    The world is in metres: x to the dancer's left, which is the right of a picture taken
    from the front; y up from the floor; z from the dancer to the front.

    Attributes:
        position_m: `(3,)`, where it is.
        target_m: `(3,)`, what it looks at.
        view_deg: the angle between the picture's upper and lower edge.
        offset: where the target is in the picture, in shares of its width and height to
            the right of and below the middle.
    """

    position_m: tuple[float, float, float]
    target_m: tuple[float, float, float]
    view_deg: float
    offset: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def axes(self) -> Floats:
        """`(3, 3)`: the picture's right, down and forward, as rows, in the world."""
        forward = np.subtract(self.target_m, self.position_m)
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 1.0, 0.0))
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])

    def view(self, points_m: Floats) -> Floats:
        """Turn points `(..., 3)` of the world into the camera's right, down and forward."""
        return np.asarray((points_m - np.array(self.position_m)) @ self.axes.T)

    def focal_px(self, size_wh: tuple[int, int]) -> float:
        """Return the focal length in pixels of a picture of that size."""
        return float(size_wh[1] / 2 / np.tan(np.radians(self.view_deg) / 2))

    def centre_px(self, size_wh: tuple[int, int]) -> tuple[float, float]:
        """Return the pixel, x and y, at which the target is seen."""
        return size_wh[0] * (0.5 + self.offset[0]), size_wh[1] * (0.5 + self.offset[1])

    def project(self, points_m: Floats, size_wh: tuple[int, int]) -> Floats:
        """Return where points `(..., 3)` of the world are seen: `(..., 2)`, x and y in pixels."""
        seen = self.view(points_m)
        focal = self.focal_px(size_wh)
        return np.asarray(seen[..., :2] * (focal / seen[..., 2:]) + self.centre_px(size_wh))


def frame_dancer(
    height_m: float,
    aspect: float,
    *,
    yaw_deg: float,
    height_share: float,
    view_deg: float,
    fill: float,
    offset: tuple[float, float] = (0.0, 0.0),
) -> Camera:
    """Place a camera so that the whole dance is in the picture.

    Args:
        height_m: of the dancer, crown to floor.
        aspect: width by height of the picture.
        yaw_deg: how far the camera stands to the picture's right of the front.
        height_share: how high it stands, in heights of the dancer.
        view_deg: its vertical angle of view; its distance follows from it.
        fill: the share of the picture's height, or its width where that is the tighter,
            that the dance may take.
        offset: see `Camera`.
    """
    middle = (_SPACE_TOP + _SPACE_BOTTOM) / 2
    half = np.tan(np.radians(view_deg) / 2)
    tall = (_SPACE_TOP - _SPACE_BOTTOM) / 2 / half
    wide = _SPACE_HALF_WIDTH / (half * aspect)
    # The nearest part of the body is not at the target but before it.
    distance_m = height_m * (max(tall, wide) / fill + 0.15)
    yaw = np.radians(yaw_deg)
    rise = height_m * (height_share - middle)
    level = float(np.sqrt(max(distance_m**2 - rise**2, 0.25)))
    return Camera(
        (float(level * np.sin(yaw)), height_m * height_share, float(level * np.cos(yaw))),
        (0.0, height_m * middle, 0.0),
        view_deg,
        offset,
    )
