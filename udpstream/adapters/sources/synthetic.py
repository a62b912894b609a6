"""Sources that need neither camera nor file: the test card, and noise."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.sources.base import DEFAULT_FPS
from udpstream.adapters.testcard import Card

DEFAULT_SIZE_WH = (640, 480)

_NOISE_STEP = 64  # bytes between the beginnings of two pictures
_NOISE_PICTURES = 1021  # a prime number of beginnings


class CardSource:
    """The moving test card, without an end; its clock shows the time since the first read."""

    live = False

    def __init__(
        self,
        size_wh: tuple[int, int] = DEFAULT_SIZE_WH,
        fps: float = DEFAULT_FPS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.fps: float | None = fps
        self._card = Card(size_wh)
        self._clock = clock
        self._started_s: float | None = None
        self._number = 0
        self._closed = False

    def read(self) -> NDArray[np.uint8] | None:
        """Draw the next card: `(H, W, 3)` uint8 BGR, a fresh array; None once closed."""
        if self._closed:
            return None
        now_s = self._clock()
        if self._started_s is None:
            self._started_s = now_s
        picture = self._card.draw(self._number, now_s - self._started_s)
        self._number += 1
        return picture

    def close(self) -> None:
        """End the card."""
        self._closed = True


class NoiseSource:
    """Random pixels, without an end: the worst that an encoder can be given.

    The pictures are views into one run of random bytes, each from another place in it,
    so that a picture costs nothing: any rate can be had. They repeat after 1,021, and
    the same seed gives the same pictures.
    """

    live = False

    def __init__(
        self,
        size_wh: tuple[int, int] = DEFAULT_SIZE_WH,
        fps: float = DEFAULT_FPS,
        seed: int = 0,
    ) -> None:
        self.fps: float | None = fps
        width, height = size_wh
        self._shape = (height, width, 3)
        self._bytes = height * width * 3
        self._noise = np.random.default_rng(seed).integers(
            0, 256, self._bytes + _NOISE_STEP * _NOISE_PICTURES, dtype=np.uint8
        )
        self._noise.flags.writeable = False
        self._number = 0
        self._closed = False

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next picture: `(H, W, 3)` uint8 BGR, read-only; None once closed."""
        if self._closed:
            return None
        at = self._number % _NOISE_PICTURES * _NOISE_STEP
        self._number += 1
        return self._noise[at : at + self._bytes].reshape(self._shape)

    def close(self) -> None:
        """End the noise."""
        self._closed = True
