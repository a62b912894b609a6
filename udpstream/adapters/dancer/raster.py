"""Draws solids, seen by a pinhole, into a depth buffer.

Where a ray meets a round cone is a quadratic equation in numbers that are sums of a row and
a column of the picture, which is why numpy is quick at it.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.dancer.shading import shade
from udpstream.adapters.dancer.solids import Buffers, Floats, Seen, Singles, Solid, find_in_view
from udpstream.core.dancer.camera import Camera


class Layer(NamedTuple):
    """A drawn figure, and where its upper left corner is in the picture.

    `bgra` is `(h, w, 4)` uint8, colours multiplied by the last channel, which is the cover.
    """

    left: int
    top: int
    bgra: NDArray[np.uint8]


def draw_solids(
    solids: list[Solid], paints: Singles, camera: Camera, size_wh: tuple[int, int], fine: int
) -> Layer | None:
    """Draw solids; None if nothing of them is in the picture.

    Args:
        solids: in any order.
        paints: `(n, 3)` the colours that they name: red, green, blue, linear light, 0..1.
        camera: what sees them.
        size_wh: of the picture in pixels.
        fine: how many times larger the layer is drawn, and then averaged: smooth edges.
            1 is half the price of 2 or less, and softens all.
    """
    fine_wh = size_wh[0] * fine, size_wh[1] * fine
    focal, centre = camera.focal_px(fine_wh), camera.centre_px(fine_wh)
    seen, boxes = find_in_view(solids, camera, focal, centre, fine_wh)
    kept = np.flatnonzero(np.all(boxes[:, :2] < boxes[:, 2:], axis=1))
    if not kept.size:
        return None
    left, top = (boxes[kept, :2].min(axis=0) // fine).tolist()
    right, bottom = (-(-boxes[kept, 2:].max(axis=0) // fine)).tolist()
    columns = np.arange(left * fine, right * fine)
    rows = np.arange(top * fine, bottom * fine)
    shape = rows.size, columns.size
    buffers = Buffers(
        np.full(shape, np.inf, np.float32), np.full(shape, -1, np.int16),
        np.zeros(shape, np.float32),
    )  # fmt: skip
    across = ((columns + 0.5 - centre[0]) / focal).astype(np.float32)
    down = ((rows + 0.5 - centre[1]) / focal).astype(np.float32)
    boxes -= np.array([left, top, left, top]) * fine
    for i in kept.tolist():
        x0, y0, x1, y1 = boxes[i].tolist()
        window = slice(y0, y1), slice(x0, x1)
        _meet(seen, i, across[None, window[1]], down[window[0], None], buffers, window)
    bgra = np.zeros((*shape, 4), np.uint8)
    shade(bgra, buffers, seen, solids, paints, camera, (across, down), focal)
    if fine == 1:
        smooth = cv2.GaussianBlur(bgra, (3, 3), 0.55)
    else:
        smooth = cv2.resize(bgra, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return Layer(left, top, np.asarray(smooth, np.uint8))


def _meet(
    seen: Seen,
    number: int,
    x: Singles,
    y: Singles,
    buffers: Buffers,
    window: tuple[slice, slice],
) -> None:
    """Find where rays meet a solid and keep what is nearer than what was there.

    The rays are (x, y, 1) times the depth: x is a row, y a column. The algebra is Inigo
    Quilez's for round cones, with rays that are not of unit length.
    """
    matrix, begin, way = seen.matrices[number], seen.begins[number], seen.ways[number]
    radius, end_m = float(seen.begins_m[number]), float(seen.ends_m[number])
    shrink = radius - end_m
    length2 = float(way @ way)
    d2 = length2 - shrink * shrink

    def along(vector: Floats) -> Singles:
        a, b, c = (np.float32(value) for value in vector @ matrix)
        return np.asarray(x * a + (y * b + c))

    gram = (matrix.T @ matrix).astype(np.float32)
    square = x * (x * gram[0, 0] + 2 * gram[0, 2]) + (
        y * (y * gram[1, 1] + 2 * gram[1, 2]) + gram[2, 2]
    )
    if gram[0, 1]:
        square += (2 * gram[0, 1] * x) * y
    m3 = along(-begin)
    m5 = float(begin @ begin)
    share: Singles
    if d2 <= 1e-9:  # one ball holds the other
        ball = m3 if radius >= end_m else along(-(begin + way))
        most = max(radius, end_m)
        far = m5 if radius >= end_m else float((begin + way) @ (begin + way))
        h = ball * ball - square * np.float32(far - most * most)
        depth = (-ball - np.sqrt(np.maximum(h, 0))) / square
        met = h > 0
        share = np.full(depth.shape, 0.0 if radius >= end_m else 1.0, np.float32)
    else:
        m1 = -float(way @ begin)
        m2 = along(way)
        k2 = np.float32(d2) * square - m2 * m2
        k1 = np.float32(d2) * m3 + m2 * np.float32(shrink * radius - m1)
        k0 = np.float32(d2 * m5 - m1 * m1 + 2 * m1 * shrink * radius - length2 * radius**2)
        h = k1 * k1 - k0 * k2
        met = h > 0
        depth = (-k1 - np.sqrt(np.maximum(h, 0))) / k2
        share = (np.float32(m1 - radius * shrink) + depth * m2) * np.float32(1 / d2)
        for beyond, far_end, centre_along, far2, r in (
            (share < 0, 0.0, m3, m5, radius),
            (share > 1, 1.0, along(-(begin + way)), float((begin + way) @ (begin + way)), end_m),
        ):
            cap = beyond & met
            if not cap.any():
                continue
            c, q = centre_along[cap], square[cap]
            h_ball = c * c - q * np.float32(far2 - r * r)
            depth[cap] = np.where(
                h_ball > 0, (-c - np.sqrt(np.maximum(h_ball, 0))) / q, np.float32(np.inf)
            )
            share[cap] = far_end
    place = buffers.depth[window]
    met &= depth < place
    np.copyto(place, depth, where=met)
    np.copyto(buffers.number[window], np.int16(number), where=met)
    np.copyto(buffers.share[window], share, where=met)
