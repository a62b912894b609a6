"""Pictures to send: the same for all peers, seeded, and marked with their number.

A mark is put into the pixels, so that it goes through any peer's wire and codec: in raw
pictures as a 32-bit word every thousand bytes, which shows a torn frame; in pictures that
become JPEG as a strip of black and white blocks, which survives the codec.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

CYCLE = 30  # pictures: a second of movement at 30 fps

_BITS = 24  # of a number in the strip: six days at 30 fps
_BLOCK = 16  # pixels: one JPEG macroblock with halved colour
_WORDS_APART = 250  # of 4 bytes: below the size of a chunk, so that each chunk bears a mark


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


def write_strip(frame_bgr: NDArray[np.uint8], number: int) -> None:
    """Draw `number` into the top left corner, as 24 blocks of 16 x 16 pixels."""
    bits = number >> np.arange(_BITS) & 1
    frame_bgr[:_BLOCK, : _BLOCK * _BITS] = np.repeat(bits * 255, _BLOCK)[None, :, None]


def read_strip(frame_bgr: NDArray[np.uint8]) -> int:
    """The number that `write_strip` drew, after any codec."""
    middles = frame_bgr[_BLOCK // 2, _BLOCK // 2 : _BLOCK * _BITS : _BLOCK, 1]
    return int(np.dot(middles > 127, 1 << np.arange(_BITS)))


def write_words(frame_bgr: NDArray[np.uint8], number: int) -> None:
    """Mark a raw frame with `number` all over."""
    frame_bgr.reshape(-1).view(np.uint32)[::_WORDS_APART] = number


def read_words(frame: NDArray[np.uint8] | bytes | memoryview) -> tuple[int, bool]:
    """The number on a raw frame's first mark, and whether all its marks agree."""
    words = np.frombuffer(frame, np.uint32)[::_WORDS_APART]
    return int(words[0]), bool((words == words[0]).all())


def encode_jpeg(frame_bgr: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """One JPEG file, as `(length,)` uint8."""
    _, jpeg = cv2.imencode(".jpg", frame_bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return cast(NDArray[np.uint8], jpeg)


def decode_jpeg(jpeg: NDArray[np.uint8] | bytes | memoryview) -> NDArray[np.uint8]:
    """The picture, `(H, W, 3)` uint8 BGR."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return cast(NDArray[np.uint8], image)
