"""The dancer as a source: a person who needs no camera, and whose joints are known."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.codec import decode, encode
from udpstream.adapters.dancer.picture import Painter
from udpstream.adapters.sources.base import DEFAULT_FPS, fit
from udpstream.adapters.sources.synthetic import DEFAULT_SIZE_WH
from udpstream.core.dancer.dance import PERIOD_S
from udpstream.core.dancer.faults import parse_faults
from udpstream.core.dancer.performer import Dancer
from udpstream.errors import SourceError
from udpstream.protocol import Codec

# One period is 288 pictures of these. Drawn at most so large, and then scaled up, they
# come to 40 MB; at 640x480 to 15 MB.
_MOST_PICTURES_A_SECOND = 30.0
_MOST_PIXELS = 1280 * 720
_QUALITY = 95

_NAME = re.compile(r"dancer(?::(?P<seed>\d{1,9}))?(?P<faults>(?:,[^,]+)*)", re.ASCII)


class DancerSource:
    """A drawn person who dances without an end; the same seed gives the same pictures.

    Frame n is the dance n / fps after it began, whenever it is read. A picture takes about
    20 ms of one core to draw and less than 1 ms to bring back, so each is drawn when it is
    first wanted and then kept, compressed: once the dance has come round, after 9.6 s, the
    source costs next to nothing. Where there is other work to do, it is better drawn before.
    """

    live = False

    def __init__(
        self,
        dancer: Dancer,
        size_wh: tuple[int, int] = DEFAULT_SIZE_WH,
        fps: float = DEFAULT_FPS,
    ) -> None:
        """Draw the empty room.

        Args:
            dancer: who dances.
            size_wh: of the pictures. Those beyond 0.9 million pixels are scaled up.
            fps: frames a second. The dancer moves 30 times a second at most: beyond,
                each picture comes more than once.
        """
        self.fps: float | None = fps
        self._rate = fps
        self._dancer = dancer
        self._size_wh = size_wh
        shrink = min(1.0, math.sqrt(_MOST_PIXELS / (size_wh[0] * size_wh[1])))
        self._drawn_wh = max(1, round(size_wh[0] * shrink)), max(1, round(size_wh[1] * shrink))
        self._painter = Painter(dancer, self._drawn_wh)
        self._pictures_a_second = min(fps, _MOST_PICTURES_A_SECOND)
        # A whole number of pictures makes a period: that of an odd rate is a trifle off.
        self._count = max(1, round(PERIOD_S * self._pictures_a_second))
        self._kept: dict[int, bytes] = {}
        self._number = 0
        self._closed = False

    @property
    def frames_a_round(self) -> int:
        """How many frames are read until the dance comes round."""
        return math.ceil(self._count * (self._rate / self._pictures_a_second))

    @property
    def kept_bytes(self) -> int:
        """How much memory the pictures that were drawn take."""
        return sum(map(len, self._kept.values()))

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next picture: `(H, W, 3)` uint8 BGR, a fresh array; None once closed."""
        if self._closed:
            return None
        picture = self._picture(self._index(self._number))
        self._number += 1
        return fit(picture, self._size_wh)

    def draw(self, number: int) -> None:
        """Draw the picture of a frame before it is read; nothing if it is there."""
        self._payload(self._index(number))

    def landmarks(self, number: int) -> NDArray[np.float32] | None:
        """Return the true landmarks in a frame: see `Dancer.landmarks`.

        Args:
            number: of the frame: how many were read before it.
        """
        return self._dancer.landmarks(self._time_s(self._index(number)), self._drawn_wh)

    def close(self) -> None:
        """End the dance."""
        self._closed = True

    def _index(self, number: int) -> int:
        # The small part keeps a quotient that ought to be whole from falling short of it.
        return int(number * (self._pictures_a_second / self._rate) + 1e-6) % self._count

    def _time_s(self, index: int) -> float:
        return index * PERIOD_S / self._count

    def _picture(self, index: int) -> NDArray[np.uint8]:
        # Decoded the first time as well, so that all rounds are alike.
        return decode(Codec.JPEG, self._payload(index), self._drawn_wh)

    def _payload(self, index: int) -> bytes:
        payload = self._kept.get(index)
        if payload is None:
            drawn = self._painter.draw(self._time_s(index))
            payload = self._kept[index] = encode(Codec.JPEG, drawn, _QUALITY).tobytes()
        return payload


def parse_dancer(name: str) -> Dancer | None:
    """Return the dancer of a source's name, ``dancer[:SEED][,FAULT...]``; None if it is none.

    Raises:
        SourceError: a fault is none that a dancer can have.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    words = match["faults"].split(",")[1:]
    try:
        faults = parse_faults(words)
    except ValueError as error:
        raise SourceError(f"the source {name!r}: {error}") from error
    return Dancer(int(match["seed"] or 0), faults)
