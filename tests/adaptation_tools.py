"""A sender's adaptation, a simulated link and a receiver that reports, on simulated time."""

from __future__ import annotations

import heapq
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from udpstream.core.adaptation import Adaptation, AdaptationState
from udpstream.core.congestion import Phase
from udpstream.core.feedback import LinkObserver, LinkSample
from udpstream.core.pacing import pace_frame
from udpstream.core.simulated import IP_OVERHEAD_BYTES, SimulatedLink
from udpstream.protocol import HEADER_BYTES, Report

BEST_BYTES = 41_000  # 640x480 at quality 80
RAW_BYTES = 320 * 240 * 3
DATAGRAM_BYTES = 1_400
CHUNK_BYTES = DATAGRAM_BYTES - HEADER_BYTES
RECEIVE_BUFFER_BYTES = 4 << 20
REPORT_PERIOD_S = 0.2
STREAM_BYTES_PER_S = 30 * BEST_BYTES * DATAGRAM_BYTES / CHUNK_BYTES  # at 30 fps

_TAG = struct.Struct(">II")  # frame, place in it

# Bytes by quality against those at 80, as encoders do it and not by the law that is tested.
_BY_QUALITY = [(5, 0.146), (10, 0.186), (20, 0.287), (30, 0.393), (40, 0.485), (50, 0.572),
               (60, 0.663), (70, 0.795), (80, 1.0), (90, 1.496), (95, 2.327)]  # fmt: skip
_BY_SCALE = {1.0: 1.0, 0.75: 0.64, 0.5: 0.332, 0.375: 0.21, 0.25: 0.109}


@dataclass
class Frame:
    """One frame, as it was sent and as it fared."""

    captured_s: float
    quality: int | None
    scale: float
    payload_bytes: int
    data: list[int] = field(default_factory=list)  # chunks in each block
    parity: list[int] = field(default_factory=list)
    came: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)  # block of each datagram on the wire
    begun_s: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether parity restores it; nobody asks for anything again."""
        return all(came >= data for came, data in zip(self.came, self.data, strict=True))

    @property
    def datagrams(self) -> int:
        """On the wire."""
        return len(self.order)


class Plant:
    """Runs one stream.

    Attributes:
        frames: all that were sent, in order.
        trace: after each sample: time, the sample, and the state.
        kernel_dropped: what the receiver reports as such, for tests to raise.
    """

    def __init__(
        self,
        adaptation: Adaptation,
        link: SimulatedLink,
        *,
        fps: float = 30.0,
        raw: bool = False,
        back_delay_s: float = 0.005,
        pauses: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.adaptation = adaptation
        self.link = link
        self.frames: list[Frame] = []
        self.trace: list[tuple[float, LinkSample, AdaptationState]] = []
        self.kernel_dropped = 0
        self._fps = fps
        self._raw = raw
        self._back_delay_s = back_delay_s
        self._random = random.Random(seed)
        self._pauses = pauses  # a second, of 20 to 30 ms: nothing arrives
        self._pause = (0.0, 0.0)
        self._observer = LinkObserver()
        self._captured = 0
        self._next_frame_s = 0.0
        self._next_report_s = 0.1
        self._outgoing: list[tuple[float, int, int]] = []  # time, frame, place
        self._reports: list[tuple[float, Report]] = []
        self._events: list[tuple[float, Callable[[], None]]] = []
        self._free_s = 0.0
        self._number = 0
        # the receiver's books
        self._frame = -1
        self._place = 0
        self._expected = self._received = self._runs = self._bytes = 0
        self._arrived_s = 0.0
        self._transit_s: float | None = None
        self._jitter_s = 0.0

    def limit(self, time_s: float, bytes_per_s: float | None) -> None:
        """Change the link's rate at some time, in UDP payload; later calls at later times."""
        rate = bytes_per_s and bytes_per_s * (DATAGRAM_BYTES + IP_OVERHEAD_BYTES) / DATAGRAM_BYTES
        self._events.append((time_s, lambda: setattr(self.link, "rate_bytes_per_s", rate)))

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while True:
            dues = [self._next_frame_s, self._next_report_s]
            dues += [each[0][0] for each in (self._events, self._reports, self._outgoing) if each]
            delivery_s = self.link.next_delivery()
            if delivery_s is not None:
                dues.append(delivery_s)
            now = min(dues)
            if now > until_s:
                return
            if self._events and self._events[0][0] <= now:
                self._events.pop(0)[1]()
            elif delivery_s is not None and delivery_s <= now:
                for datagram in self.link.deliver(now):
                    self._arrive(datagram, self._out_of_pause(now))
            elif self._reports and self._reports[0][0] <= now:
                self._hear(self._reports.pop(0)[1], now)
            elif self._outgoing and self._outgoing[0][0] <= now:
                _, number, place = heapq.heappop(self._outgoing)
                self._send(number, place, now)
            elif self._next_report_s <= now:
                self._report(now)
            else:
                self._capture(now)

    def back_after_s(self, lifted_s: float) -> float | None:
        """How long after that time the picture was at its best again, without parity."""
        best = self.trace[0][2]
        for now, _, state in self.trace:
            if (
                now > lifted_s
                and state.phase is not Phase.LIMITED
                and (
                    (state.quality, state.scale, state.fps_divisor, state.parity_percent)
                    == (best.quality, best.scale, best.fps_divisor, 0)
                )
            ):
                return now - lifted_s
        return None

    def share_whole(self, begin_s: float, end_s: float) -> float:
        """Share of the frames captured in that time that were whole."""
        frames = [each for each in self.frames if begin_s <= each.captured_s < end_s]
        return sum(each.whole for each in frames) / len(frames)

    def _capture(self, now: float) -> None:
        self._captured += 1
        self._next_frame_s = self._captured / self._fps
        adaptation = self.adaptation
        if not adaptation.admit(now):
            adaptation.frame_left_out()
            return
        quality, scale = adaptation.quality, adaptation.scale
        if self._raw:
            payload_bytes = int(RAW_BYTES * scale**2)
        else:
            assert quality is not None
            content = self._random.gauss(1.0, 0.03)
            payload_bytes = int(BEST_BYTES * content * _by_quality(quality) * _BY_SCALE[scale])
        adaptation.frame_encoded(payload_bytes, quality, scale)
        frame = Frame(now, quality, scale, payload_bytes)
        chunks = -(-payload_bytes // CHUNK_BYTES)
        blocks = -(-chunks // 255)
        while (size := -(-chunks // blocks)) + adaptation.parity(size) > 255:
            blocks += 1
        assert adaptation.wants_parity or not adaptation.parity(size)
        frame.data = [min(size, chunks - first) for first in range(0, chunks, size)]
        frame.parity = [adaptation.parity(size)] * len(frame.data)
        frame.came = [0] * len(frame.data)
        frame.order = [b for i in range(size) for b, data in enumerate(frame.data) if i < data]
        frame.order += [b for _ in range(frame.parity[0]) for b in range(len(frame.data))]
        number = len(self.frames)
        self.frames.append(frame)
        pace = pace_frame(
            frame.datagrams,
            DATAGRAM_BYTES,
            RECEIVE_BUFFER_BYTES,
            adaptation.fps_divisor / self._fps,
            adaptation.rate_bytes_per_s,
        )
        begun_s = left_s = max(now, self._free_s)
        for place in range(frame.datagrams):
            if place and place % pace.burst == 0:
                left_s = pace.due(begun_s, place // pace.burst, left_s)
            heapq.heappush(self._outgoing, (left_s, number, place))
        self._free_s = left_s
        frame.begun_s = begun_s
        self._note(number, begun_s + pace.takes_s(frame.datagrams))

    def _send(self, number: int, place: int, now: float) -> None:
        self.link.send(_TAG.pack(number, place).ljust(DATAGRAM_BYTES), now)
        if place == self.frames[number].datagrams - 1:
            self._note(number, now)

    def _note(self, number: int, left_s: float) -> None:
        frame = self.frames[number]
        self._observer.frame_left(
            number, frame.datagrams, round(frame.begun_s * 1e6), round(left_s * 1e6)
        )

    def _out_of_pause(self, now: float) -> float:
        begin_s, end_s = self._pause
        if self._pauses and now >= end_s:
            begin_s = max(end_s, now) + self._random.expovariate(self._pauses)
            self._pause = begin_s, begin_s + self._random.uniform(0.02, 0.03)
        return end_s if begin_s <= now < end_s else now

    def _arrive(self, datagram: bytes, now: float) -> None:
        number, place = _TAG.unpack_from(datagram)
        self._bytes += len(datagram)
        self.frames[number].came[self.frames[number].order[place]] += 1
        if self._frame < 0:
            self._frame = number
        if number > self._frame:
            transit_s = now - self.frames[number].captured_s
            if self._transit_s is not None:
                self._jitter_s += (abs(transit_s - self._transit_s) - self._jitter_s) / 16
            self._transit_s = transit_s
            between = [self.frames[each].datagrams for each in range(self._frame + 1, number)]
            lost = self.frames[self._frame].datagrams - self._place + sum(between) + place
            self._frame = number
        else:
            assert number == self._frame
            assert place >= self._place
            lost = place - self._place
        self._place = place + 1
        self._runs += lost > 0
        self._expected += lost + 1
        self._received += 1
        self._arrived_s = now

    def _report(self, now: float) -> None:
        self._next_report_s += REPORT_PERIOD_S
        now = max(now, self._arrived_s)
        self._number += 1
        report = Report(
            epoch=1, number=self._number, clock_us=round((now + 1e6) * 1e6),
            frame=max(0, self._frame), arrived_us=round((self._arrived_s + 1e6) * 1e6),
            expected=self._expected, received=self._received, runs=self._runs,
            reordered=0, duplicates=0, kernel_dropped=self.kernel_dropped, wire_bytes=self._bytes,
            delivered=0, lost=0,
            jitter_us=round(self._jitter_s * 1e6), receive_buffer_bytes=RECEIVE_BUFFER_BYTES,
            waiting=0, partial=0,
        )  # fmt: skip
        self._reports.append((now + self._back_delay_s, report))

    def _hear(self, report: Report, now: float) -> None:
        sample = self._observer.report(report, now)
        if sample is not None:
            self.adaptation.sample(sample, now)
            self.trace.append((now, sample, self.adaptation.state))


def _by_quality(quality: int) -> float:
    for (below, low), (above, high) in pairwise(_BY_QUALITY):
        if below <= quality <= above:
            return low + (high - low) * (quality - below) / (above - below)
    raise AssertionError(quality)
