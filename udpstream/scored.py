"""What is handed on of each frame that was scored, and to whom. The scorer knows no sink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pose.tally import Summary
from udpstream.frame import Stream
from udpstream.scoring import Result


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One frame, the pose in it, and what is said of it.

    Attributes:
        stream: the stream that it belongs to.
        frame: its number in the stream.
        time_s: its capture time on the session's axis, which begins with the first frame.
        size_wh: its picture's width and height in pixels.
        picture: gives that picture, `(H, W, 3)` uint8 BGR, which may be read-only. A live one
            is decoded anew each time, since few are wanted.
        landmarks: `(33, 4)` float32, x and y in shares of the picture; None: nobody.
        result: the score, or why there is none.
        final: what the session came to, with the frame at which its reference has ended;
            None with all others.
        reference: `(33, 4)` float32, the reference's pose at `result.reference_s`, in shares
            of its own picture; None where there is none.
        reference_aspect: that picture's width by its height.
        seconds: how long decoding, finding and scoring took.
    """

    stream: Stream
    frame: int
    time_s: float
    size_wh: tuple[int, int]
    picture: Callable[[], NDArray[np.uint8]]
    landmarks: NDArray[np.float32] | None
    result: Result
    final: Summary | None
    reference: NDArray[np.float32] | None
    reference_aspect: float
    seconds: float

    @property
    def aspect(self) -> float:
        """The picture's width by its height."""
        return self.size_wh[0] / self.size_wh[1]


class ScoreSink(Protocol):
    """Takes scored frames, on the stream's own pose thread: it may take a moment, not more."""

    def scored(self, scored: Scored) -> None:
        """Take one frame. Numbers rise within a stream; some may be missing."""

    def ended(self, stream: Stream, summary: Summary) -> None:
        """The stream, or the reference, ended: no more of it will come."""
