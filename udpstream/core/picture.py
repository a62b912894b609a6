"""How good a picture fits a rate: JPEG quality first, then its size, then frames a second.

A JPEG's bytes follow its quality by a law that holds for photographs well enough to take
one step; the bytes of the frames that come out of the encoder then correct it. Measured
with OpenCV 5.0 (4:2:0) on a picture as of a camera, bytes against 640x480 at quality 80:

    quality         95    90    80    70    60    50    40    30    20    10
    640x480       2.33  1.50  1.00  0.80  0.66  0.57  0.49  0.39  0.29  0.19
    480x360       1.38  0.93  0.64  0.51  0.42  0.36  0.30  0.25  0.18  0.12
    320x240       0.74  0.50  0.33  0.26  0.21  0.19  0.16  0.13  0.10  0.07
    law, 640x480  2.36  1.54  1.00  0.78  0.65  0.57  0.49  0.41  0.32  0.21

1920x1080 is within 0.01 of it down to quality 40.
"""

from __future__ import annotations

from dataclasses import dataclass

from udpstream.errors import FrameError

LEAST_SCALE = 0.25
# Of the sides. Raw frames have no quality between two of them, so they get more.
_SCALES = (1.0, 0.75, 0.5, 0.375, 0.25)
_RAW_SCALES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25)
_DIVISORS = (1, 2, 4, 8, 16)
_QUALITY_EXPONENT = 0.62  # of the quantisers' steps, which are 2 * (100 - q) or 5000 / q percent
_SCALE_EXPONENT = {True: 1.6, False: 2.0}  # of JPEG, whose headers do not shrink; of raw pixels
_SMOOTHING = 0.25  # of a new frame's size: four frames, 0.13 s at 30 fps
_UPWARDS = 0.9  # of the rate: a better picture must fit this, or it would come and go
_QUALITY_STEP = 4  # upwards: smaller steps are not seen


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the sender may go when a link asks for it.

    Raises:
        FrameError: a limit is beyond reason.

    Attributes:
        min_quality: JPEG quality; below 40, blocks show, and a smaller picture looks better.
        min_scale: of the picture's sides, 0.25 to 1.
        min_fps: frames a second.
        max_rate_bytes_per_s: of UDP payload, parity included; None = as much as the link holds.
    """

    min_quality: int = 40
    min_scale: float = 0.25
    min_fps: float = 5.0
    max_rate_bytes_per_s: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.min_quality <= 100:
            raise FrameError(f"a least JPEG quality of {self.min_quality}: give 1 to 100")
        if not LEAST_SCALE <= self.min_scale <= 1:
            raise FrameError(f"a least scale of {self.min_scale}: give {LEAST_SCALE} to 1")
        if not self.min_fps > 0:
            raise FrameError(f"at least {self.min_fps} frames a second: give a number above 0")
        if self.max_rate_bytes_per_s is not None and not self.max_rate_bytes_per_s > 0:
            raise FrameError(
                f"at most {self.max_rate_bytes_per_s} bytes a second: give more than 0"
            )


class PictureFit:
    """Chooses quality, scale and frame rate for a rate of payload bytes.

    Attributes:
        quality: 1 to 100; None where frames come encoded, or raw.
        scale: of the picture's sides, 1 or less.
        fps_divisor: each so-many-th frame is sent.
    """

    def __init__(self, quality: int | None, limits: Limits, *, resizable: bool) -> None:
        """Begin with the best picture.

        Args:
            quality: that the user chose, 1 to 100; None where there is none to choose.
            limits: how far down it may go.
            resizable: whether a smaller picture can be had; frames that come encoded
                are sent as they are.
        """
        self.quality = self._best_quality = quality
        self.scale = 1.0
        self.fps_divisor = 1
        self._limits = limits
        scales = _RAW_SCALES if quality is None else _SCALES
        least = limits.min_scale if resizable else 1.0
        self._scales = [each for each in scales if each >= least]
        self._full_bytes: float | None = None

    @property
    def full_bytes(self) -> float | None:
        """Bytes of a frame at the best quality and size; None before the first frame."""
        return self._full_bytes

    @property
    def frame_bytes(self) -> float | None:
        """Bytes of a frame as it is chosen now; None before the first frame."""
        return None if self._full_bytes is None else self._predict(self.quality, self.scale)

    @property
    def best_quality(self) -> int | None:
        """The quality that the user chose."""
        return self._best_quality

    def reset(self) -> None:
        """Take the best picture again."""
        self.quality, self.scale, self.fps_divisor = self._best_quality, 1.0, 1

    def encoded(self, payload_bytes: int, quality: int | None, scale: float) -> None:
        """Learn from a frame's size, and what it was encoded with."""
        full = payload_bytes / self._share(quality, scale)
        if self._full_bytes is None:
            self._full_bytes = full
        self._full_bytes += _SMOOTHING * (full - self._full_bytes)

    def fit(self, bytes_per_s: float, fps: float) -> None:
        """Choose the best picture whose frames fit a rate of payload, at that many full fps."""
        if self._full_bytes is None:
            return
        wanted = self._choose(bytes_per_s / fps, fps)
        now = (self.quality, self.scale, self.fps_divisor)
        if wanted == now:
            return
        if _rank(wanted) > _rank(now):
            wanted = self._choose(_UPWARDS * bytes_per_s / fps, fps)
            if _rank(wanted) <= _rank(now) or not self._is_worth_it(wanted):
                return
        self.quality, self.scale, self.fps_divisor = wanted

    def _is_worth_it(self, wanted: tuple[int | None, float, int]) -> bool:
        quality, scale, divisor = wanted
        if (scale, divisor) != (self.scale, self.fps_divisor) or quality is None:
            return True
        assert self.quality is not None
        return quality >= self.quality + _QUALITY_STEP or quality == self._best_quality

    def _choose(self, frame_bytes: float, fps: float) -> tuple[int | None, float, int]:
        """The best quality, scale and divisor for so many bytes a frame at full rate."""
        least = self._best_quality and min(self._limits.min_quality, self._best_quality)
        rungs = [(scale, 1) for scale in self._scales]
        rungs += [
            (self._scales[-1], divisor)
            for divisor in _DIVISORS[1:]
            if fps / divisor >= self._limits.min_fps
        ]
        for scale, divisor in rungs:
            if self._predict(least, scale) <= frame_bytes * divisor:
                break
        quality = self._best_quality
        while quality is not None and least is not None and quality > least:
            if self._predict(quality, scale) <= frame_bytes * divisor:
                break
            quality -= 1
        return quality, scale, divisor

    def _predict(self, quality: int | None, scale: float) -> float:
        return (self._full_bytes or 0.0) * self._share(quality, scale)

    def _share(self, quality: int | None, scale: float) -> float:
        """Bytes at some quality and scale against those of the best picture."""
        by_scale: float = scale ** _SCALE_EXPONENT[quality is not None]
        if quality is None or self._best_quality is None:
            return by_scale
        steps = _quantiser(self._best_quality) / _quantiser(quality)
        return by_scale * float(steps**_QUALITY_EXPONENT)


def _rank(choice: tuple[int | None, float, int]) -> tuple[int, float, int]:
    """Higher is better."""
    quality, scale, divisor = choice
    return -divisor, scale, quality or 0


def _quantiser(quality: int) -> float:
    """The percentage by which libjpeg multiplies its table of quantisers; 100 has steps of 1."""
    return max(1.0, 2 * (100 - quality)) if quality >= 50 else 5000 / quality
