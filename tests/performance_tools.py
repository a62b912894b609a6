"""Performances whose joints are known: pictures that bear a number, and who dances in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from tests.recording_tools import make_frame
from udpstream.adapters.codec import encode
from udpstream.core.dancer.faults import parse_faults
from udpstream.core.dancer.performer import Dancer
from udpstream.core.pose.tally import Summary
from udpstream.core.reference import Reference, make_reference
from udpstream.frame import Frame, Stream
from udpstream.pose import Landmarks
from udpstream.protocol import Codec
from udpstream.scored import Scored

Image = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

RATE = 15.0
SIZE_WH = (96, 72)
_BITS = 12
_SEEN_WH = (640, 480)  # by the dancer's camera


def numbered_picture(number: int) -> Image:
    """Black and white stripes that spell a number, also after JPEG."""
    stripes = [255 * (number >> bit & 1) for bit in range(_BITS)]
    row = np.repeat(np.array(stripes, np.uint8), SIZE_WH[0] // _BITS)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (SIZE_WH[1], SIZE_WH[0], 3)))


def number_in(image_bgr: Image) -> int:
    stripes = image_bgr.reshape(SIZE_WH[1], _BITS, -1).mean(axis=(0, 2))
    return sum(int(light > 127) << bit for bit, light in enumerate(stripes))


@cache
def numbered_jpeg(number: int) -> bytes:
    return encode(Codec.JPEG, numbered_picture(number), 90).tobytes()


def numbered_frame(stream: Stream, number: int, rate: float = RATE) -> Frame:
    payload = numbered_jpeg(number)
    return make_frame(stream, number, rate=rate, size_wh=SIZE_WH, payload=payload)


def joints(seed: int, *faults: str) -> Callable[[float], Landmarks | None]:
    """A dancer's true landmarks, by time."""
    dancer = Dancer(seed, parse_faults(list(faults)))
    return lambda time_s: dancer.landmarks(time_s, _SEEN_WH)


def reference_of(seconds: float = 8.0, seed: int = 7) -> Reference:
    times_s = np.arange(round(seconds * 10)) / 10
    return make_reference(times_s, map(joints(seed), times_s), 4 / 3, "the dance")


class TrueTracker:
    """Finds in each picture what is true of its number."""

    def __init__(self, truth: Callable[[float], Landmarks | None], rate: float = RATE) -> None:
        self._truth = truth
        self._rate = rate
        self.numbers: list[int] = []

    def find(self, image_bgr: Image) -> Landmarks | None:
        self.numbers.append(number_in(image_bgr))
        return self._truth(self.numbers[-1] / self._rate)

    def close(self) -> None:
        pass


class Scores:
    """A score sink that keeps what it is given."""

    def __init__(self) -> None:
        self.all: list[Scored] = []
        self.summaries: list[tuple[Stream, Summary]] = []

    def scored(self, scored: Scored) -> None:
        self.all.append(scored)

    def ended(self, stream: Stream, summary: Summary) -> None:
        self.summaries.append((stream, summary))
