"""Streams, frames and pictures for the tests of recording."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.core.ledger import Ledger, StreamReport
from udpstream.frame import Frame, Stream
from udpstream.protocol import Codec

SIZE_WH = (64, 48)
EPOCH_S = 1_795_262_695.0  # 2026-11-21 12:04:55 UTC


def make_stream(stream_id: int = 1, camera: str = "192.0.2.7") -> Stream:
    return Stream(stream_id, camera, f"{camera}:40001", 7, "indexed")


@cache
def picture(number: int, size_wh: tuple[int, int] = SIZE_WH) -> NDArray[np.uint8]:
    image = np.full((size_wh[1], size_wh[0], 3), number * 7 % 256, np.uint8)
    cv2.circle(image, (number % size_wh[0], size_wh[1] // 2), 9, (255, 200, 90), -1)
    return image


@cache
def jpeg(number: int, size_wh: tuple[int, int] = SIZE_WH) -> bytes:
    ok, payload = cv2.imencode(".jpg", picture(number, size_wh))
    assert ok
    return payload.tobytes()


def make_frame(
    stream: Stream,
    number: int,
    *,
    rate: float = 30.0,
    size_wh: tuple[int, int] = SIZE_WH,
    codec: Codec = Codec.JPEG,
    payload: bytes | None = None,
) -> Frame:
    """Return a frame that came 10 ms after it was captured."""
    if payload is None and codec is Codec.RAW:
        payload = picture(number % 50, size_wh).tobytes()
    elif payload is None:
        payload = jpeg(number % 50, size_wh)
    time_s = EPOCH_S + number / rate
    view = memoryview(payload).toreadonly()
    return Frame(stream, number, codec, size_wh, view, time_s, time_s + 0.01, 0.01)


def make_report(stream: Stream, delivered: int) -> StreamReport:
    ledger = Ledger(sent=delivered, delivered=delivered)
    return StreamReport(
        stream, ledger, "jpeg", SIZE_WH, EPOCH_S, EPOCH_S + delivered / 30, 30.0, 0.001, 0
    )
