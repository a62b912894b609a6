"""Lights what is seen of the solids."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.dancer.solids import Buffers, Seen, Singles, Solid
from udpstream.core.dancer.camera import Camera

_GAMMA = 2.2
_TO_SCREEN = np.rint(255 * np.linspace(0, 1, 4096) ** (1 / _GAMMA)).astype(np.uint8)

# Directions to the lights in the world, and their colours: a warm window, a cool fill.
_KEY = np.array([-0.50, 0.72, 0.62]) / np.linalg.norm([-0.50, 0.72, 0.62])
_FILL = np.array([0.80, 0.25, 0.45]) / np.linalg.norm([0.80, 0.25, 0.45])
_KEY_RGB, _FILL_RGB = (0.88, 0.82, 0.74), (0.16, 0.19, 0.24)
_SKY_RGB, _GROUND_RGB = (0.30, 0.31, 0.34), (0.17, 0.14, 0.12)
_WRAP = 0.22  # how far light reaches round a body
_RIM, _GLOSS = 0.16, 0.10
_NEAR_SHADE_M, _NEAR_SHADE = 0.16, 0.42  # how dark it is close behind something


def shade(
    bgra: NDArray[np.uint8],
    buffers: Buffers,
    seen: Seen,
    solids: list[Solid],
    paints: Singles,
    camera: Camera,
    rays: tuple[Singles, Singles],
    focal: float,
) -> None:
    """Colour all pixels that are covered."""
    numbers = buffers.number.ravel()
    at = np.flatnonzero(numbers >= 0)
    if not at.size:
        return
    rows, columns = np.divmod(at.astype(np.int32), np.int32(bgra.shape[1]))
    number, share, depth = numbers[at], buffers.share.ravel()[at], buffers.depth.ravel()[at]
    x, y = rays[0][columns], rays[1][rows]
    normal = _normals(seen, number, share, (x * depth, y * depth, depth))

    lights = (camera.axes @ np.stack([_KEY, _FILL, (0.0, 1.0, 0.0)], axis=1)).astype(np.float32)
    half = lights[:, 0] - (0, 0, 1)
    half /= np.linalg.norm(half)
    # Not as a product of matrices: numpy would wake all cores for one this long.
    key, fill, up, shine = (
        a * normal[0] + b * normal[1] + c * normal[2]
        for a, b, c in np.column_stack([lights, half]).astype(np.float32).T
    )
    key += np.float32(_WRAP)
    key *= np.float32(1 / (1 + _WRAP))
    for each in (key, fill, shine):
        np.maximum(each, 0, out=each)
    facing = -(normal[0] * x + normal[1] * y + normal[2]) / np.sqrt(x * x + y * y + 1)
    turned = 1 - np.clip(facing, 0, 1)
    for _ in range(3):
        shine *= shine
    shine *= shine * shine  # to the 24th
    near = _near_shade(buffers, focal).ravel()[at]
    white = turned * turned * turned * np.clip(0.4 + 0.6 * up, 0, 1) * np.float32(_RIM)
    white += shine * np.float32(_GLOSS)

    split = np.array([solid.split for solid in solids], np.float32)
    mixed = paints[[(solid.paint, solid.paint_after) for solid in solids]]  # (solids, 2, 3)
    paint = 2 * number + (share > split[number])
    near *= np.float32(_TO_SCREEN.size - 1)
    parts = np.column_stack([_KEY_RGB, _FILL_RGB, np.subtract(_SKY_RGB, _GROUND_RGB) / 2])
    ground = np.add(_SKY_RGB, _GROUND_RGB) / 2
    pixels = np.empty((at.size, 4), np.uint8)
    pixels[:, 3] = 255
    for channel in range(3):
        a, b, c = parts[channel].astype(np.float32)
        light = key * a + fill * b + up * c + np.float32(ground[channel])
        light *= mixed[..., channel].ravel()[paint]
        light += white
        light *= near
        np.minimum(light, _TO_SCREEN.size - 1, out=light)
        pixels[:, 2 - channel] = _TO_SCREEN[light.astype(np.uint16)]
    bgra.view(np.uint32).ravel()[at] = pixels.view(np.uint32).ravel()


def _normals(
    seen: Seen, number: NDArray[np.int16], share: Singles, point: tuple[Singles, ...]
) -> Singles:
    """Return `(3, n)` unit normals before the camera.

    In its own space a round cone's normal at p is p - (begin + share * way); from there a
    normal comes back by the transposed matrix.
    """
    back = seen.matrices.swapaxes(1, 2)
    begins, ways = (
        np.einsum("nij,nj->in", back, each).astype(np.float32) for each in (seen.begins, seen.ways)
    )
    squares = (back @ seen.matrices).astype(np.float32)
    bent = np.any(np.abs(squares - np.eye(3)) > 1e-6, axis=(1, 2))
    is_bent = np.flatnonzero(bent[number])
    which = number[is_bent]
    part = [each[is_bent] for each in point]
    normal = np.empty((3, share.size), np.float32)
    for axis in range(3):
        row = normal[axis]
        np.subtract(point[axis], begins[axis][number], out=row)
        row -= ways[axis][number] * share
        row[is_bent] += sum(
            (squares[:, axis, other] - np.float32(axis == other))[which] * part[other]
            for other in range(3)
        )
    normal /= np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + np.float32(1e-9)
    return normal


def _near_shade(buffers: Buffers, focal: float) -> Singles:
    """How much light is left where something is close before: 1 is all of it.

    What lies behind the mean depth around it is taken to be in a corner.
    """
    # Every few pixels will do: the mean of a coarse picture is a wide mean at a small price.
    depth = buffers.depth
    middle_m = float(np.median(depth[depth < np.inf][::97]))
    step = max(1, round(0.017 * focal / middle_m))
    coarse = depth[step // 2 :: step, step // 2 :: step]
    if not coarse.size:
        return np.ones(depth.shape, np.float32)
    weight = (coarse < np.inf).astype(np.float32)
    filled = np.where(weight > 0, coarse, 0)
    mean = cv2.blur(filled, (5, 5)) / np.maximum(cv2.blur(weight, (5, 5)), 1e-3)
    behind = np.clip((filled - mean) * np.float32(1 / _NEAR_SHADE_M), 0, 1)
    # Beside the figure is no shade, and none may be mixed in from there.
    behind = cv2.dilate(behind, np.ones((3, 3), np.uint8)) * (weight == 0) + behind
    full = cv2.resize(cv2.blur(behind, (3, 3)), depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(1 - _NEAR_SHADE * full, np.float32)
