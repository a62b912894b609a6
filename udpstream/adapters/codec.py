"""Pictures to bytes and back: raw BGR and JPEG, by OpenCV."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.core.jpeg import jpeg_size
from udpstream.errors import FrameError
from udpstream.protocol import MAX_SIDE, Buffer, Codec

DEFAULT_QUALITY = 80
_AS_IT_IS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION  # whatever EXIF says: as sent


def encode(codec: Codec, frame_bgr: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return a picture's bytes as a flat uint8 array.

    Args:
        codec: raw or JPEG.
        frame_bgr: `(H, W, 3)` uint8 BGR. A raw frame that is C-contiguous is not
            copied: the result is a view of it.
        quality: JPEG quality, 1 to 100; not used for raw.

    Raises:
        FrameError: the array is not such a picture, or cannot be encoded.
    """
    check_picture(frame_bgr)
    if codec is Codec.RAW:
        return np.ascontiguousarray(frame_bgr).reshape(-1)
    try:
        ok, payload = cv2.imencode(".jpg", frame_bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
    except cv2.error:  # which OpenCV does what is a matter of its version
        ok = False
    if not ok:
        height, width = frame_bgr.shape[:2]
        raise FrameError(
            f"OpenCV could not encode a {width}x{height} picture as JPEG: "
            "send it raw, or a smaller one"
        )
    return cast(NDArray[np.uint8], payload)


def scaled(frame_bgr: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Return a picture with its sides times `scale`, 1 or less; at 1 it is the same array."""
    if scale == 1:
        return frame_bgr
    height, width = frame_bgr.shape[:2]
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return cast(NDArray[np.uint8], cv2.resize(frame_bgr, size_wh, interpolation=cv2.INTER_AREA))


def decode(codec: Codec, payload: Buffer, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the picture, `(H, W, 3)` uint8 BGR; a raw one is a read-only view.

    Raises:
        FrameError: the bytes are not a picture of that size.
    """
    width, height = size_wh
    if codec is Codec.RAW:
        if len(payload) != width * height * 3:
            raise FrameError(f"{len(payload)} bytes are not a raw {width}x{height} picture")
        return np.frombuffer(payload, np.uint8).reshape(height, width, 3)
    stated_wh = jpeg_size(payload)
    if stated_wh != size_wh:
        raise FrameError(
            f"a JPEG of {stated_wh[0]}x{stated_wh[1]} was announced as {width}x{height}"
        )
    try:
        image = cv2.imdecode(np.frombuffer(payload, np.uint8), _AS_IT_IS)
    except cv2.error as error:
        raise FrameError(f"OpenCV refused a {width}x{height} JPEG: {error.err}") from error
    if image is None or image.shape != (height, width, 3):
        raise FrameError(f"a broken {width}x{height} JPEG could not be decoded")
    return cast(NDArray[np.uint8], image)


def check_picture(frame_bgr: NDArray[np.uint8]) -> None:
    """Make sure that an array is a picture that the link can carry.

    Raises:
        FrameError: it is not.
    """
    if not isinstance(frame_bgr, np.ndarray):
        raise FrameError(f"a frame must be a numpy array, not {type(frame_bgr).__name__}")
    if frame_bgr.dtype != np.uint8 or frame_bgr.ndim != 3 or frame_bgr.shape[2] != 3:
        raise FrameError(
            f"a frame must be (height, width, 3) uint8 BGR, not {frame_bgr.shape} {frame_bgr.dtype}"
        )
    if not all(0 < side <= MAX_SIDE for side in frame_bgr.shape[:2]):
        raise FrameError(f"a frame's sides must be 1 to {MAX_SIDE} pixels: {frame_bgr.shape}")
