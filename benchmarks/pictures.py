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

_BITS = 24  # of a number in the strip: six days at 30 fps
_BLOCK = 16  # pixels: one JPEG macroblock with halved colour
_WORDS_APART = 250  # of 4 bytes: below the size of a chunk, so that each chunk bears a mark


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
