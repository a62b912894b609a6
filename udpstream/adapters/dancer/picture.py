"""One picture of the dancer: the room, a shadow on its floor, and the figure."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.dancer.figure import build_solids, mix_paints
from udpstream.adapters.dancer.raster import Layer, draw_solids
from udpstream.adapters.dancer.room import draw_room
from udpstream.adapters.dancer.solids import Solid
from udpstream.core.dancer.performer import Dancer

Picture = NDArray[np.uint8]

_FINE_PIXELS = 400_000  # up to so many the figure is drawn twice as large, and averaged
_SHADOW = 0.42
_SHADOW_STEP = 4  # the shadow is soft: a coarse picture of it does
_CONTACT_M = 0.12
_SHADOW_SLANT = np.array([0.14, 0.0, -0.10])  # how far a shadow goes for each metre of height


class Painter:
    """Draws a dancer in one size, at any time, without memory of earlier pictures."""

    def __init__(self, dancer: Dancer, size_wh: tuple[int, int]) -> None:
        """Draw the room; `size_wh` is in pixels, from 1x1 up."""
        self._dancer = dancer
        self._size_wh = size_wh
        self._camera = dancer.camera(size_wh)
        self._fine = 2 if size_wh[0] * size_wh[1] <= _FINE_PIXELS else 1
        self._paints = mix_paints(dancer.look)
        room_rgb = draw_room(dancer.look, self._camera, size_wh)
        self._room = np.ascontiguousarray(room_rgb[:, :, ::-1])

    def draw(self, time_s: float) -> Picture:
        """Return the picture at a time, `(H, W, 3)` uint8 BGR: a fresh array."""
        dancer = self._dancer
        skeleton = dancer.skeleton(time_s, self._size_wh)
        solids = build_solids(skeleton, dancer.body, dancer.look)
        picture = self._room.copy()
        self._draw_shadow(picture, solids)
        layer = draw_solids(solids, self._paints, self._camera, self._size_wh, self._fine)
        if layer is not None:
            _lay_over(picture, layer)
        return picture

    def _draw_shadow(self, picture: Picture, solids: list[Solid]) -> None:
        size_wh = self._size_wh[0] // _SHADOW_STEP, self._size_wh[1] // _SHADOW_STEP
        if min(size_wh) < 8:
            return
        ends = np.array([(solid.begin, solid.end) for solid in solids])
        # What stands on the floor is seen to: it takes the light from beside it as well.
        widths = 0.7 + 0.9 * np.exp(-ends[..., 1].mean(axis=1) / _CONTACT_M)
        ends = ends + ends[..., 1:2] * _SHADOW_SLANT
        ends[..., 1] = 0.0
        focal = self._camera.focal_px(size_wh)
        depths = self._camera.view(ends)[..., 2].mean(axis=1)
        widths *= np.array([solid.begin_m + solid.end_m for solid in solids]) * focal / depths
        at = np.rint(self._camera.project(ends, size_wh) * 16)
        mask = np.zeros((size_wh[1], size_wh[0]), np.uint8)
        for (begin, end), width in zip(at.astype(int), widths.tolist(), strict=True):
            thick = max(1, round(width))
            cv2.line(mask, begin.tolist(), end.tolist(), 255, thick, cv2.LINE_AA, 4)
        rows = np.flatnonzero(mask.any(axis=1))
        if not rows.size:
            return
        blur = 0.035 * focal / float(depths.mean())
        soft = cv2.GaussianBlur(mask, (0, 0), max(0.8, blur))
        first = max(0, int(rows[0]) - 8) * _SHADOW_STEP
        full = cv2.resize(soft, self._size_wh, interpolation=cv2.INTER_LINEAR)[first:]
        keep = 255 - np.rint(_SHADOW * full).astype(np.uint8)
        part = picture[first:]
        part[:] = cv2.multiply(part, cv2.merge([keep, keep, keep]), scale=1 / 255)


def _lay_over(picture: Picture, layer: Layer) -> None:
    height, width = layer.bgra.shape[:2]
    place = picture[layer.top : layer.top + height, layer.left : layer.left + width]
    rest = 255 - layer.bgra[..., 3]
    rest_bgr = cv2.merge([rest, rest, rest])
    place[:] = cv2.add(
        cv2.multiply(place, rest_bgr, scale=1 / 255), cv2.cvtColor(layer.bgra, cv2.COLOR_BGRA2BGR)
    )
