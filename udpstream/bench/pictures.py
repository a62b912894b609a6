"""Pictures to measure with: seeded, moving, and as large as photographs when encoded."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CYCLE = 30  # pictures: a second of movement at 30 fps


def moving_pictures(size_wh: tuple[int, int], seed: int) -> list[NDArray[np.uint8]]:
    """Return `CYCLE` pictures, `(H, W, 3)` uint8 BGR: a window that moves over a large one.

    Soft shapes at several scales and a little sensor noise, so that a 640x480 one has the
    30 to 60 KB that a photograph has as JPEG of quality 80.
    """
    rng = np.random.default_rng(seed)
    width, height = size_wh
    canvas_wh = (width + 4 * CYCLE, height + 2 * CYCLE)
    canvas = np.full((canvas_wh[1], canvas_wh[0], 3), 128, np.float32)
    for cell, contrast in ((160, 60), (40, 25), (10, 10), (3, 6)):
        coarse = rng.normal(0, contrast, (canvas_wh[1] // cell + 2, canvas_wh[0] // cell + 2, 3))
        canvas += cv2.resize(coarse.astype(np.float32), canvas_wh, interpolation=cv2.INTER_CUBIC)
    canvas += rng.normal(0, 2, canvas.shape).astype(np.float32)
    whole = np.clip(canvas, 0, 255).astype(np.uint8)
    return [whole[2 * n : 2 * n + height, 4 * n : 4 * n + width].copy() for n in range(CYCLE)]
