"""The books of one stream: every frame sent is delivered, lost by name, or in flight.

    frames.sent == frames.delivered + sum(frames.lost.values()) + frames.in_flight

Python's integers do not wrap, so neither do the counters.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field, replace

from udpstream.core.histogram import Histogram
from udpstream.core.meter import LinkCounts
from udpstream.core.stream import Stream
from udpstream.protocol import StageTimes


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
    parity_bytes: int = 0  # of these, datagrams with parity
    repair_bytes: int = 0  # and those that were asked for again
    datagrams: int = 0
    repaired_by_parity: int = 0  # delivered frames that were whole thanks to parity alone
    repaired_by_nack: int = 0  # and those to which chunks that were asked for again belong
    link: LinkCounts = field(default_factory=LinkCounts)
    latency: Histogram = field(default_factory=Histogram)
    network: Histogram = field(default_factory=Histogram)
    reassemble: Histogram = field(default_factory=Histogram)

    def copy(self) -> Ledger:
        """A ledger with the same counts, that goes its own way."""
        return replace(
            self,
            lost=self.lost.copy(),
            link=self.link.copy(),
            latency=self.latency.copy(),
            network=self.network.copy(),
            reassemble=self.reassemble.copy(),
        )

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
        sender_stages: how long the sender's capture and encoding took of late, by its own
            account; None where it has not told.
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
    sender_stages: tuple[StageTimes, StageTimes] | None = None

    def stages_ms(self) -> dict[str, dict[str, float | None]]:
        """Where the time goes, p50, p95 and p99 in milliseconds each, as far as is known here.

        capture is the wait from a picture's capture for its encoder, encode the encoder's
        time; network is from then to the first datagram's arrival, and reassemble from
        there to the whole frame.
        """
        capture, encode = self.sender_stages or (None, None)
        return {
            "capture": _stage_ms(capture),
            "encode": _stage_ms(encode),
            "network": self.ledger.network.summary_ms(),
            "reassemble": self.ledger.reassemble.summary_ms(),
        }

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
                "repaired": {
                    "parity": ledger.repaired_by_parity,
                    "nack": ledger.repaired_by_nack,
                },
            },
            "bytes": {
                "payload": ledger.payload_bytes,
                "wire": ledger.wire_bytes,
                "parity": ledger.parity_bytes,
                "repair": ledger.repair_bytes,
            },
            "datagrams": {
                "received": ledger.datagrams,
                "lost": ledger.link.expected - ledger.link.received,
                "loss_runs": ledger.link.runs,
                "reordered": ledger.link.reordered,
                "duplicate": ledger.link.duplicates,
                "kernel_dropped": self.kernel_dropped,
            },
            "latency_ms": ledger.latency.summary_ms(),
            "stages_ms": self.stages_ms(),
            "clock_error_ms": None if self.clock_error_s is None else self.clock_error_s * 1e3,
        }


def _stage_ms(times: StageTimes | None) -> dict[str, float | None]:
    p50, p95, p99 = (None,) * 3 if times is None else (each / 1e3 for each in times)
    return {"p50": p50, "p95": p95, "p99": p99}
