"""The streams that a receiver keeps, and the bounds on what strangers can make it keep.

A stream is *provisional* until it has delivered a whole frame. Only then does it get a
number and a camera's name, and only a few can be provisional at once: a flood of forged
headers costs little, and cannot push a real camera out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from udpstream.core.arrivals import Arrivals
from udpstream.core.classic import ClassicReassembler
from udpstream.core.ledger import Ledger, StreamReport
from udpstream.core.rate import RateMeter
from udpstream.core.reassembly import Reassembler, WholeFrame
from udpstream.core.serial import unwrap
from udpstream.core.stream import Stream, host_port
from udpstream.protocol import NO_ESTIMATE_US, Codec, Hello, Report

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
Key: TypeAlias = tuple[Address, int]

CLASSIC_EPOCH = 0x1_0000  # beyond the wire's 16 bits, so no indexed stream has it

MAX_STREAMS = 16  # cameras with a picture, at once
MAX_PROVISIONAL = 64  # senders without one yet
MAX_MEMORY_BYTES = 256 << 20  # frames in flight, all streams together: ten raw 4K frames
SILENT_S = 30.0  # after which a stream is let go
TAKE_OVER_S = 0.3  # silence after which a new sender on the same host is the same camera,
TAKE_OVER_INTERVALS = 3  # or so many frame intervals, for slow cameras
REPORT_PERIOD_S = 0.2  # to the sender: as often as a person would like it to react
RESULT_PERIOD_S = 1 / 30  # likewise: more is not seen
RESULT_BURST_S = 0.1  # by so much results may be ahead of it: scoring does not keep step
UNKNOWN_INTERVAL_S = 1.0  # where neither hello nor frames tell it: that of the hellos
MAX_ENDED = 64  # streams that said bye, of which datagrams may still be under way


@dataclass(slots=True, eq=False)
class StreamState:
    """What is kept of one stream."""

    key: Key
    reassembler: Reassembler | ClassicReassembler
    ledger: Ledger
    first_at: float
    last_at: float
    kernel_dropped_before: int
    stream: Stream | None = None  # None while provisional
    hello: Hello | None = None
    hello_at: float = 0.0
    codec: Codec | None = None  # of the latest frame
    size_wh: tuple[int, int] | None = None
    payload_bytes: int = 0
    rate: RateMeter = field(default_factory=RateMeter)
    arrivals: Arrivals = field(default_factory=Arrivals)
    reports: int = 0  # sent to the sender
    report_at: float = 0.0  # when the next is due, if datagrams have come since the last
    reported_datagrams: int = 0  # as of the last
    result_at: float = 0.0  # when the next result is due, if results come evenly

    def captured_us(self, whole: WholeFrame, wall_us: int, now: float) -> int | None:
        """The full capture time by the sender's clock; None where the wire has none."""
        if whole.captured_us is None:
            return None
        near = wall_us
        if self.hello is not None:
            near = self.hello.clock_us + round((now - self.hello_at) * 1e6)
        return unwrap(whole.captured_us, 32, near)

    def clock_offset_us(self) -> int | None:
        """This receiver's clock less the sender's, or None while that is not known."""
        if self.hello is None or self.hello.offset_error_us == NO_ESTIMATE_US:
            return None
        return self.hello.offset_us

    def note_times(self, first_at: float | None, latency_s: float | None, now: float) -> None:
        """Count how long a frame took, as far as that is known, and where.

        Args:
            first_at: when its first datagram came; None on the classic wire.
            latency_s: from its capture to now.
            now: when it was whole.
        """
        self.rate.add(now)
        if latency_s is not None:
            self.ledger.latency.add(latency_s)
        if first_at is None:
            return
        self.arrivals.add(first_at)
        if latency_s is None:
            return
        here_s = now - first_at
        there_s = (self.hello.capture.p50_us + self.hello.encode.p50_us) / 1e6 if self.hello else 0
        self.ledger.reassemble.add(here_s)
        self.ledger.network.add(latency_s - here_s - there_s)

    @property
    def is_known(self) -> bool:
        """Whether to talk to its sender.

        Where each frame lacks something the sender is to hear of it, lest all always will;
        but a stream that has neither delivered a frame nor said hello may be anybody's.
        """
        return self.stream is not None or self.hello is not None

    @property
    def wants_report(self) -> bool:
        """Whether datagrams have come since the latest report; classic senders get none."""
        indexed = isinstance(self.reassembler, Reassembler)
        return indexed and self.is_known and self.ledger.datagrams > self.reported_datagrams

    def link_report(
        self,
        reassembler: Reassembler,
        waiting: int,
        kernel_dropped: int,
        receive_buffer_bytes: int,
        lag_s: float,
        wall_offset_s: float,
        now: float,
    ) -> Report:
        """What the sender is to know of its datagrams; the next is due in a while."""
        meter, counts, ledger = reassembler.meter, self.ledger.link, self.ledger
        report = Report(
            epoch=self.key[1],
            number=self.reports & 0xFFFF_FFFF,
            clock_us=round((now + wall_offset_s) * 1e6),
            frame=(meter.frame or 0) & 0xFFFF_FFFF,
            arrived_us=round((meter.arrived_at - lag_s + wall_offset_s) * 1e6),
            expected=counts.expected,
            received=counts.received,
            runs=counts.runs,
            reordered=counts.reordered,
            duplicates=counts.duplicates,
            kernel_dropped=kernel_dropped,
            wire_bytes=ledger.wire_bytes,
            delivered=ledger.delivered,
            lost=ledger.total_lost,
            jitter_us=min(round(meter.jitter_s * 1e6), 0xFFFF_FFFF),
            receive_buffer_bytes=receive_buffer_bytes,
            waiting=min(waiting, 0xFFFF),
            partial=min(reassembler.partial_frames, 0xFFFF),
        )
        self.reports += 1
        self.report_at = now + REPORT_PERIOD_S
        self.reported_datagrams = ledger.datagrams
        return report

    def admits_result(self, now: float) -> bool:
        """Whether a result may go to the sender now; if so, it is counted as gone."""
        if now < self.result_at - RESULT_BURST_S:
            return False
        self.result_at = max(self.result_at, now) + RESULT_PERIOD_S
        return True

    def silence_allowed_s(self) -> float:
        """How long a live camera may be silent before another can take its place."""
        stated_s = self.hello.interval_us / 1e6 if self.hello else 0.0
        per_second = self.rate.per_second(self.last_at)
        measured_s = 1 / per_second if per_second else stated_s or UNKNOWN_INTERVAL_S
        return max(TAKE_OVER_S, TAKE_OVER_INTERVALS * max(stated_s, measured_s))

    def report(self, wall_offset_s: float, kernel_dropped: int, now: float) -> StreamReport:
        """The books as they stand; only of a stream that is not provisional."""
        assert self.stream is not None
        known = self.hello is not None and self.hello.offset_error_us != NO_ESTIMATE_US
        return StreamReport(
            stream=self.stream,
            ledger=self.ledger.copy(),
            codec=self.codec.value if self.codec else None,
            size_wh=self.size_wh,
            started_at=self.first_at + wall_offset_s,
            ended_at=self.last_at + wall_offset_s,
            frames_per_second=self.rate.per_second(now),
            clock_error_s=self.hello.offset_error_us / 1e6 if self.hello and known else None,
            kernel_dropped=kernel_dropped - self.kernel_dropped_before,
            sender_stages=(self.hello.capture, self.hello.encode) if self.hello else None,
        )


class StreamTable:
    """All streams of one receiver, by source address and epoch.

    Attributes:
        latest: the indexed stream of which a frame began last; None if it is gone.
    """

    def __init__(self) -> None:
        self.latest: StreamState | None = None
        self._states: dict[Key, StreamState] = {}
        self._cameras: dict[str, StreamState] = {}
        self._ended: dict[Key, int | None] = {}  # the session of each, where it was told
        self._streams_so_far = 0

    def __iter__(self) -> Iterator[StreamState]:
        return iter(list(self._states.values()))

    def only(self) -> StreamState | None:
        """The only stream there is; None where there are others, or none."""
        return next(iter(self._states.values())) if len(self._states) == 1 else None

    def get(self, key: Key) -> StreamState | None:
        """The stream with that key, or None."""
        return self._states.get(key)

    def live(self, stream: Stream) -> StreamState | None:
        """What is kept of a stream that has a number; None when it has ended."""
        state = self._cameras.get(stream.camera)
        return state if state is not None and state.stream == stream else None

    def add(self, state: StreamState) -> None:
        """Take a provisional stream in, and drop the one heard longest ago if too many."""
        provisional = [each for each in self._states.values() if each.stream is None]
        if len(provisional) >= MAX_PROVISIONAL:
            self.remove(min(provisional, key=lambda each: each.last_at))
        self._states[state.key] = state

    def remove(self, state: StreamState) -> None:
        """Let a stream go."""
        self._states.pop(state.key, None)
        if self.latest is state:
            self.latest = None
        if state.stream is not None and self._cameras.get(state.stream.camera) is state:
            del self._cameras[state.stream.camera]

    def bury(self, state: StreamState) -> None:
        """Let a stream go for good: what the network still holds of it is not a new one."""
        self.remove(state)
        if len(self._ended) >= MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        self._ended[state.key] = state.hello.session if state.hello else None

    def is_over(self, key: Key, session: int | None = None) -> bool:
        """Whether a stream with that key was buried; with another session it is a new one."""
        if key not in self._ended:
            return False
        if session is not None and self._ended[key] != session:
            del self._ended[key]
            return False
        return True

    def is_full(self) -> bool:
        """Whether no more cameras can be taken."""
        return len(self._cameras) >= MAX_STREAMS

    def predecessor(self, state: StreamState, now: float) -> StreamState | None:
        """The stream that a new one follows: same camera, restarted. None if there is none."""
        source = state.key[0]
        same_host = [each for each in self._cameras.values() if each.key[0][0] == source[0]]
        for each in same_host:
            if each.key[0] == source:
                return each
        for each in same_host:
            if now - each.last_at > each.silence_allowed_s():
                return each
        return None

    def establish(self, state: StreamState, camera: str | None) -> Stream:
        """Give a stream its number, and its camera's name (a new one where it is None)."""
        host, port = state.key[0][:2]
        if camera is None:
            camera = self._free_name(host)
        classic = isinstance(state.reassembler, ClassicReassembler)
        self._streams_so_far += 1
        state.stream = Stream(
            id=self._streams_so_far,
            camera=camera,
            address=host_port(host, port),
            epoch=0 if classic else state.key[1],
            wire="classic" if classic else "indexed",
        )
        self._cameras[camera] = state
        return state.stream

    def bound_memory(self) -> list[StreamState]:
        """Evict frames until those in flight keep within the bound; return whose they were.

        Of provisional streams first, then of the stream that holds most.
        """
        victims = []
        while sum(each.reassembler.memory_bytes for each in self) > MAX_MEMORY_BYTES:
            victim = max(
                self, key=lambda each: (each.stream is None, each.reassembler.memory_bytes)
            )
            if victim.reassembler.memory_bytes == 0:
                victim = max(self, key=lambda each: each.reassembler.memory_bytes)
            victim.reassembler.evict_oldest()
            victims.append(victim)
        return victims

    def _free_name(self, host: str) -> str:
        # The host comes from the socket, not from the datagram; IPv6 has colons and may
        # have a zone, which no path should have, nor a dash at its beginning.
        host = host.removeprefix("::ffff:")  # IPv4, as an IPv6 socket sees it
        base = re.sub(r"[^0-9A-Za-z.-]", "-", f"0{host}" if host.startswith(":") else host)
        name, number = base, 1
        while name in self._cameras:
            number += 1
            name = f"{base}-{number}"
        return name
