"""A frame as a receiver hands it on: whole, numbered, and not yet decoded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from udpstream.core.receiving import FrameArrived
from udpstream.core.stream import Stream
from udpstream.protocol import Codec

__all__ = ["Frame", "Stream"]


@dataclass(eq=False)
class Frame:
    """One whole frame of one stream.

    Attributes:
        stream: the stream that it belongs to.
        number: its number in the stream, from 0, never cut.
        codec: how `payload` encodes the picture.
        size_wh: width and height in pixels, as the sender said.
        payload: the frame's bytes as they were sent: a read-only view.
        captured_at: Unix time of the capture by the sender's clock, in seconds; None
            on the classic wire, which does not carry it.
        received_at: Unix time at which the frame was whole here, in seconds.
        latency_s: from capture to whole, with the offset between the two clocks
            taken out as far as it is known; None where it cannot be known.
    """

    stream: Stream
    number: int
    codec: Codec
    size_wh: tuple[int, int]
    payload: memoryview
    captured_at: float | None
    received_at: float
    latency_s: float | None

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The picture, `(H, W, 3)` uint8 BGR, decoded on first use and then kept.

        Raises:
            FrameError: the payload is not a picture of the size that was announced.
        """
        from udpstream.adapters.codec import decode  # cv2 only where a picture is wanted

        return decode(self.codec, self.payload, self.size_wh)


def frame_of(event: FrameArrived) -> Frame:
    """The frame that has become whole in a receiver's core."""
    whole = event.whole
    return Frame(
        event.stream, whole.number, whole.codec, whole.size_wh, whole.payload.data.toreadonly(),
        event.captured_at, event.received_at, event.latency_s,
    )  # fmt: skip
