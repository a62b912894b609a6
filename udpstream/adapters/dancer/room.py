"""The room behind the dancer, drawn once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from udpstream.core.dancer.body import Look, Rgb
from udpstream.core.dancer.camera import Camera

Singles = NDArray[np.float32]

_BACK_M, _SIDE_M = -1.9, 3.6  # the walls
_PLANK_M, _PLANK_LENGTH_M = 0.13, 1.4
_SKIRTING_M = 0.13
_LAMP = (-2.2, 2.9, 1.6)
_LAMP_REACH_M = 4.2
_GAMMA = 2.2


@dataclass(slots=True)
class _Sight:
    """Where each pixel's ray ends: all arrays are `(h, w)`."""

    x: Singles
    y: Singles
    z: Singles
    pixel_m: Singles  # how large a pixel is there
    floor: NDArray[np.bool_]
    side: NDArray[np.bool_]

    def rows(self, part: slice) -> _Sight:
        """Return some rows of it."""
        return _Sight(*(getattr(self, each.name)[part] for each in fields(self)))


def draw_room(look: Look, camera: Camera, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the empty room as the camera sees it, `(H, W, 3)` uint8 RGB."""
    sight = _look_around(camera, size_wh)
    rgb = np.empty((*sight.x.shape, 3), np.float32)
    rgb[:] = _linear(look.wall)
    # Rows that are all floor have no wall to paint, and the other way about.
    walled = slice(0, int(np.flatnonzero(~sight.floor.all(axis=1))[-1:].sum()) + 1)
    floored = slice(int(np.flatnonzero(sight.floor.any(axis=1))[:1].sum()), None)
    _paint_wall(rgb[walled], look, sight.rows(walled))
    _paint_floor(rgb[floored], look, sight.rows(floored))

    # Light falls off from a lamp, and corners are dim.
    away2 = sum(((a - b) / _LAMP_REACH_M) ** 2 for a, b in zip((sight.x, sight.y, sight.z), _LAMP,
                                                              strict=True))  # fmt: skip
    light = 0.46 + 0.62 / (1 + away2)
    corner = np.minimum(
        np.where(sight.floor, sight.z - _BACK_M, sight.y), _SIDE_M - np.abs(sight.x) * ~sight.side
    )
    light *= 1 - 0.35 * np.exp(-np.maximum(corner, 0) / 0.22)
    rgb *= light[:, :, None]
    np.clip(rgb, 0, 1, out=rgb)
    return np.asarray(np.rint(255 * rgb ** np.float32(1 / _GAMMA)), np.uint8)


def _look_around(camera: Camera, size_wh: tuple[int, int]) -> _Sight:
    width, height = size_wh
    focal, (cx, cy) = camera.focal_px(size_wh), camera.centre_px(size_wh)
    right, down, forward = camera.axes
    across = ((np.arange(width) + 0.5 - cx) / focal)[None, :, None]
    below = ((np.arange(height) + 0.5 - cy) / focal)[:, None, None]
    rays = (across * right + below * down + forward).astype(np.float32)
    place = np.array(camera.position_m, np.float32)
    rx, ry, rz = (rays[..., axis] for axis in range(3))
    with np.errstate(divide="ignore"):
        to_floor = np.where(ry < 0, -place[1] / ry, np.inf)
        to_back = np.where(rz < 0, (_BACK_M - place[2]) / rz, np.inf)
        to_side = (np.copysign(_SIDE_M, rx) - place[0]) / rx
    far = np.minimum(np.minimum(to_floor, to_back), np.where(to_side > 0, to_side, np.inf))
    far = np.minimum(far, 30).astype(np.float32)
    floor = to_floor <= far
    x, y, z = (place[axis] + far * rays[..., axis] for axis in range(3))
    pixel_m = np.asarray(far / focal, np.float32)
    return _Sight(x, y, z, pixel_m, floor, ~floor & (to_back > far))


def _linear(rgb: Rgb) -> Singles:
    return np.asarray((np.array(rgb) / 255) ** _GAMMA, np.float32)


def _under(distance: Singles, soft: Singles) -> Singles:
    """1 where a distance is negative, 0 where positive, over one pixel."""
    return np.asarray(np.clip(0.5 - distance / soft, 0, 1))


def _band(distance: Singles, width: float, soft: Singles) -> Singles:
    """1 within a line of a width, thinner than a pixel where it has to be."""
    inside = np.clip(0.5 + (width / 2 - np.abs(distance)) / soft, 0, 1)
    return np.asarray(inside * np.minimum(1, width / soft))


def _box(x: Singles, y: Singles, centre: tuple[float, float], half: tuple[float, float]) -> Singles:
    """Distance to a rectangle's edge, negative inside."""
    return np.asarray(np.maximum(np.abs(x - centre[0]) - half[0], np.abs(y - centre[1]) - half[1]))


def _mix(rgb: Singles, share: Singles, colour: Singles) -> None:
    rgb += share[:, :, None] * (colour - rgb)


def _paint_wall(rgb: Singles, look: Look, sight: _Sight) -> None:
    x = np.asarray(np.where(sight.side, sight.z, sight.x), np.float32)
    y, soft = sight.y, sight.pixel_m
    accent = _linear(look.accent)
    back = (~sight.side).astype(np.float32)
    light, dark = _linear((252, 250, 246)), _linear((70, 62, 58))
    if look.room == "panels":
        low = _under(y - 0.98, soft)
        _mix(rgb, 0.55 * low, accent)
        _mix(rgb, _band(y - 0.98, 0.05, soft), light)
        cell = np.abs((x + 0.45) % 0.9 - 0.45).astype(np.float32)
        frame = np.maximum(cell - 0.34, np.abs(y - 0.55) - 0.29)
        _mix(rgb, 0.4 * _band(frame, 0.022, soft), light)
        _mix(rgb, 0.3 * _band(frame + 0.02, 0.014, soft), dark)
    elif look.room == "window":
        for centre in (-1.75, 1.75):
            frame = _box(x, y, (centre, 1.55), (0.62, 0.85))
            _mix(rgb, back * _under(frame - 0.07, soft), light)
            sky = np.clip((y - 0.7) / 1.7, 0, 1)[:, :, None]
            view = _linear((214, 234, 246)) * (1 - sky) + _linear((132, 186, 230)) * sky
            hills = 1.02 + 0.10 * np.sin(3.1 * x + centre) + 0.05 * np.sin(7.3 * x)
            glass = back * _under(frame, soft)
            rgb += glass[:, :, None] * (view * 1.15 - rgb)
            _mix(rgb, glass * _under(y - hills.astype(np.float32), soft), _linear((112, 158, 110)))
            for bar in (x - centre, y - 1.75):
                _mix(rgb, glass * _band(bar, 0.045, soft), light)
    elif look.room == "arches":
        for centre, wide, tall, share in ((0.0, 1.25, 1.35, 0.75), (2.1, 0.55, 0.9, 0.45),
                                          (-2.1, 0.55, 1.15, 0.45)):  # fmt: skip
            round_top = np.hypot(x - centre, np.maximum(y - tall, 0)) - wide
            _mix(rgb, share * back * _under(round_top, soft), accent)
            _mix(rgb, 0.5 * back * _band(round_top + 0.09, 0.018, soft), light)
    else:
        _paint_frames(rgb, look, x, y, soft, back)
    _mix(rgb, _under(y - _SKIRTING_M, soft), _linear((246, 244, 238)))
    _mix(rgb, 0.35 * _band(y - _SKIRTING_M, 0.012, soft), _linear((60, 50, 44)))


def _paint_frames(
    rgb: Singles, look: Look, x: Singles, y: Singles, soft: Singles, back: Singles
) -> None:
    light, dark = _linear((252, 250, 246)), _linear((48, 42, 40))
    colours = [_linear(look.accent), _linear(look.trousers), _linear(look.shirt)]
    for number, (cx, cy, half) in enumerate(
        ((-2.2, 1.75, 0.30), (-1.35, 1.60, 0.38), (1.30, 1.72, 0.34), (2.15, 1.55, 0.40))
    ):
        edge = _box(x, y, (cx, cy), (half, 1.25 * half))
        _mix(rgb, 0.25 * back * _under(_box(x, y, (cx + 0.03, cy - 0.04), (half, 1.25 * half)),
                                       soft + 0.05), dark)  # fmt: skip
        _mix(rgb, back * _under(edge, soft), dark)
        _mix(rgb, back * _under(edge + 0.025, soft), light)
        picture = back * _under(edge + 0.10, soft)
        _mix(rgb, 0.35 * picture, colours[number % 3])
        sun = np.hypot(x - cx + 0.06, y - cy - 0.08) - 0.38 * half
        _mix(rgb, picture * _under(sun, soft), colours[(number + 1) % 3])
        hill = y - cy + 0.30 * half - 0.10 * np.sin(5 * (x - cx) + number).astype(np.float32)
        _mix(rgb, 0.8 * picture * _under(hill, soft), colours[(number + 2) % 3])


def _paint_floor(rgb: Singles, look: Look, sight: _Sight) -> None:
    x, z = sight.x, sight.z
    floor = sight.floor.astype(np.float32)
    # Seen at a slant a pixel is longer than wide on the floor.
    slant = sight.pixel_m * np.maximum(1.5, np.hypot(x, z + 4) / 1.5).astype(np.float32)
    row = np.floor(z / _PLANK_M)
    start = x / _PLANK_LENGTH_M + (row * 0.377) % 1
    plank = np.floor(start)
    shade = (np.sin(row * 12.9898 + plank * 78.233) * 43758.5453) % 1
    wood = _linear(look.floor) * (0.84 + 0.30 * shade[:, :, None]).astype(np.float32)
    rgb += floor[:, :, None] * (wood - rgb)
    gap = _linear((70, 50, 38))
    across = ((z / _PLANK_M) % 1 - 0.5) * _PLANK_M
    seam = _band(np.asarray(_PLANK_M / 2 - np.abs(across), np.float32), 0.008, slant)
    _mix(rgb, 0.6 * floor * seam, gap)
    ends = ((start % 1) - 0.5) * _PLANK_LENGTH_M
    seam = _band(np.asarray(_PLANK_LENGTH_M / 2 - np.abs(ends), np.float32), 0.008, sight.pixel_m)
    _mix(rgb, 0.6 * floor * seam, gap)
    # A round rug to dance on.
    rug = np.hypot(x, z * 1.0).astype(np.float32) - 1.35
    _mix(rgb, floor * _under(rug, slant), _linear(look.accent))
    _mix(rgb, 0.8 * floor * _band(rug + 0.12, 0.05, slant), _linear((250, 246, 238)))
    _mix(rgb, 0.35 * floor * _under(rug + 0.30, slant), _linear((250, 246, 238)))
