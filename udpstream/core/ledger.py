"""The books of one stream: every frame sent is delivered, lost by name, or in flight.

    frames.sent == frames.delivered + sum(frames.lost.values()) + frames.in_flight

Python's integers do not wrap, so neither do the counters.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field, replace

from udpstream.core.histogram import Histogram
from udpstream.core.stream import Stream


class Loss(enum.Enum):
    """Why a frame was not delivered."""

    UNSEEN = "unseen"  # no datagram of it came
    MISSING = "missing"  # some came, the rest did not in time
    LATE = "late"  # whole, but after a later frame had been handed on
    EVICTED = "evicted"  # given up half done, to keep within the memory bound
    MALFORMED = "malformed"  # its datagrams contradict each other
    OVERSIZED = "oversized"  # longer than this receiver takes
    TORN = "torn"  # classic: its run of chunks broke


@dataclass(slots=True)
class Ledger:
    """Counts of one stream.

    `sent` is what the sender is known to have sent since the first frame of which this
    receiver could have had the beginning.
    """

    sent: int = 0
    delivered: int = 0
    lost: Counter[Loss] = field(default_factory=Counter)
    payload_bytes: int = 0  # of delivered frames
    wire_bytes: int = 0  # of all datagrams, headers included, IP and UDP headers not
    datagrams: int = 0
    duplicate_datagrams: int = 0
    latency: Histogram = field(default_factory=Histogram)

    def copy(self) -> Ledger:
        """A ledger with the same counts, that goes its own way."""
        return replace(self, lost=self.lost.copy(), latency=self.latency.copy())

    @property
    def in_flight(self) -> int:
        """Frames begun or announced that are neither delivered nor lost yet."""
        return self.sent - self.delivered - self.total_lost

    @property
    def total_lost(self) -> int:
        """Frames lost, for whatever reason."""
        return sum(self.lost.values())

    @property
    def lost_share(self) -> float:
        """Lost frames by frames whose fate is known, 0 to 1."""
        known = self.delivered + self.total_lost
        return self.total_lost / known if known else 0.0


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What is known of one stream at one moment: the form in which counts leave the core.

    Attributes:
        stream: which stream.
        ledger: its counts, a copy.
        codec: ``"raw"`` or ``"jpeg"``, of the latest frame; None before the first.
        size_wh: of the latest frame.
        started_at, ended_at: Unix time of the first and the latest datagram.
        frames_per_second: over the latest frames, by intervals; None below two.
        clock_error_s: half the round trip behind the clock offset, or None.
        kernel_dropped: datagrams that the kernel dropped for want of room in this
            receiver's socket buffer while the stream ran, all streams together: the
            kernel does not say whose they were.
    """

    stream: Stream
    ledger: Ledger
    codec: str | None
    size_wh: tuple[int, int] | None
    started_at: float
    ended_at: float
    frames_per_second: float | None
    clock_error_s: float | None
    kernel_dropped: int

    def as_dict(self) -> dict[str, object]:
        """The report in the form of ``--stats`` and ``session.json``."""
        ledger = self.ledger
        return {
            "camera": self.stream.camera,
            "sender": self.stream.address,
            "wire": self.stream.wire,
            "epoch": self.stream.epoch,
            "codec": self.codec,
            "size": None if self.size_wh is None else list(self.size_wh),
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "frames_per_second": self.frames_per_second,
            "frames": {
                "sent": ledger.sent,
                "delivered": ledger.delivered,
                "lost": {loss.value: ledger.lost[loss] for loss in Loss},
                "in_flight": ledger.in_flight,
            },
            "bytes": {"payload": ledger.payload_bytes, "wire": ledger.wire_bytes},
            "datagrams": {
                "received": ledger.datagrams,
                "duplicate": ledger.duplicate_datagrams,
                "kernel_dropped": self.kernel_dropped,
            },
            "latency_ms": ledger.latency.summary_ms(),
            "clock_error_ms": None if self.clock_error_s is None else self.clock_error_s * 1e3,
        }
