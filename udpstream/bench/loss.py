"""What becomes of frames on a link that loses datagrams, by what is done against it.

Each trial is a stream of the real cores over simulated links (see `rehearsal`): the classic
wire; the indexed one bare; with parity; with repair; with both. All methods meet the same
link; it loses as much on the way back. The classic wire sends raw 640x480 pictures, whose
datagrams of 46,081 bytes cross Ethernet as 32 IP fragments each: one lost fragment loses all.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from udpstream.bench.fragments import FragmentingLink
from udpstream.bench.rehearsal import ClassicRehearsal, Rehearsal
from udpstream.core.adaptation import Adaptation
from udpstream.core.fec import Fec
from udpstream.core.ledger import Ledger
from udpstream.core.reassembly import LATENCY_BUDGET_S
from udpstream.core.receiving import Event, FrameArrived, ReceiverCore, StreamEnded
from udpstream.core.sending import SenderCore
from udpstream.core.simulated import SimulatedLink
from udpstream.protocol import DEFAULT_DATAGRAM_BYTES, ClassicGeometry, Codec

LOSSES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
BURST = 8.0
FRAMES = 900  # half a minute at 30 fps
FRAME_BYTES = 58_000  # a test card of 640x480 as JPEG of quality 80
SETTLE_S = 2.0  # not counted: parity learns how much is lost

# Of the classic wire so many are enough: each is 640 packets, of which none may be lost.
CLASSIC_SHARE = 1 / 6

_WALL_S = 1.7e9
_BEGIN_S = 0.5  # hellos find the receiver, and measure its clock
_TAIL_S = 0.5  # for the last frames' repair
_RECEIVE_BUFFER_BYTES = 4 << 20  # that no frame overruns: the link alone is on trial
_SIZE_WH = (640, 480)
_KEY_BYTES = 16


class Method(StrEnum):
    """What is done against loss."""

    CLASSIC = "classic"
    INDEXED = "indexed"
    PARITY = "+parity"
    REPAIR = "+repair"
    BOTH = "+both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all trials have in common.

    Attributes:
        losses: shares of the datagrams that are lost, 0 to 1, independently of each other
            and then in bursts.
        burst: how many are lost in a row on average, in bursts; 1 leaves these trials out.
        frames: how many are captured in each trial, after those that are not counted.
        frame_bytes: of each, encoded; classic frames are raw.
        fps: frames a second.
        datagram_bytes: largest datagram.
        delay_s: that each datagram is under way, either way.
        reorder: how many later datagrams may overtake one.
        duplicate: share of the datagrams that come twice.
        rate_bytes_per_s: that pass from the sender to the receiver; None = no limit.
        latency_budget_s: how long a frame may wait for repair.
        fec_percent: of parity where there is any; None follows the loss.
        seed: of all chance.
    """

    losses: tuple[float, ...] = LOSSES
    burst: float = BURST
    frames: int = FRAMES
    frame_bytes: int = FRAME_BYTES
    fps: float = 30.0
    datagram_bytes: int = DEFAULT_DATAGRAM_BYTES
    delay_s: float = 0.001
    reorder: int = 0
    duplicate: float = 0.0
    rate_bytes_per_s: float | None = None
    latency_budget_s: float = LATENCY_BUDGET_S
    fec_percent: float | None = None
    seed: int = 1

    def cases(self) -> list[tuple[float, float]]:
        """Loss and mean burst of the links to try."""
        cases = [(loss, 1.0) for loss in self.losses]
        if self.burst > 1:
            cases += [(loss, self.burst) for loss in self.losses if loss]
        return cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one method on one link.

    Attributes:
        loss: share of the datagrams that the link loses, 0 to 1.
        burst: how many it loses in a row on average; 1: each independently.
        frames: that were sent.
        left_out: and that were not, as the sender found the link too narrow for them.
        intact: of those sent, how many arrived whole, and byte for byte as they were.
        p50_ms, p99_ms: from capture to whole, of these; None where there are none.
        wire_by_payload: bytes of UDP payload that the sender sent for each of the frames'.
        by_parity: frames made whole by parity alone.
        by_nack: frames made whole by what was asked for again.
    """

    method: Method
    loss: float
    burst: float
    frames: int
    left_out: int
    intact: int
    p50_ms: float | None
    p99_ms: float | None
    wire_by_payload: float
    by_parity: int
    by_nack: int

    @property
    def intact_share(self) -> float:
        """Share of the frames that arrived whole, 0 to 1."""
        return self.intact / self.frames if self.frames else 0.0

    def as_dict(self) -> dict[str, object]:
        """The trial in the form of ``--json`` and ``--csv``."""
        return asdict(self) | {"method": self.method.value, "intact_share": self.intact_share}


def run_trial(setting: Setting, method: Method, loss: float, burst: float) -> Trial:
    """Stream over one link by one method.

    Raises:
        FrameError: frames of that size do not fit datagrams of that size.
    """
    book = _Book(setting, method)
    there = _link(setting, loss, burst, "there", setting.rate_bytes_per_s)
    receiver = ReceiverCore(
        wall_offset_s=_WALL_S,
        receive_buffer_bytes=_RECEIVE_BUFFER_BYTES,
        wire="classic" if method is Method.CLASSIC else "indexed",
        latency_budget_s=setting.latency_budget_s,
    )
    if method is Method.CLASSIC:
        _stream_classic(setting, book, ClassicRehearsal(receiver, FragmentingLink(there)))
    else:
        back = _link(setting, loss, burst, "back", None)
        sender = _sender(setting, method)
        repair = method in {Method.REPAIR, Method.BOTH}
        _stream(setting, book, Rehearsal(sender, receiver, there, back, repair=repair))
    return book.trial(loss, burst)


class _Book:
    """Which frames were sent when, and what came of them."""

    def __init__(self, setting: Setting, method: Method) -> None:
        self.method = method
        self.length, self.uncounted = setting.frame_bytes, round(SETTLE_S * setting.fps)
        count = setting.frames
        if method is Method.CLASSIC:
            self.length, self.uncounted = ClassicGeometry().frame_bytes, 0
            count = max(1, round(count * CLASSIC_SHARE))
        self.last = self.uncounted + count
        self._noise: NDArray[np.uint8] = np.random.default_rng(setting.seed).integers(
            0, 256, self.length + _KEY_BYTES * self.last, np.uint8
        )
        self._captured_s: dict[bytes, tuple[int, float]] = {}  # by a frame's first bytes
        self._latencies_s: list[float] = []
        self._left_out = 0
        self._wire_bytes = self._wire_bytes_before = 0
        self._ledger = self._ledger_before = Ledger()

    def payload(self, number: int) -> NDArray[np.uint8]:
        """The bytes of a frame, `(length,)` uint8: no two frames have any in the same place."""
        return self._noise[_KEY_BYTES * number :][: self.length]

    def captured(self, number: int, now: float) -> None:
        """Note that a frame is about to be sent."""
        self._captured_s[self.payload(number)[:_KEY_BYTES].tobytes()] = number, now

    def left_out(self, number: int) -> None:
        """Note that a frame is not sent."""
        self._left_out += number >= self.uncounted

    def begin(self, wire_bytes: int, ledger: Ledger) -> None:
        """Count from here on."""
        self._wire_bytes_before, self._ledger_before = wire_bytes, ledger

    def take(self, events: list[Event]) -> None:
        """Note what the receiver has told, and empty the list: it holds whole frames."""
        for event in events:
            if isinstance(event, FrameArrived):
                self._arrived(event)
            elif isinstance(event, StreamEnded):
                self._ledger = event.report.ledger
        events.clear()

    def end(self, wire_bytes: int) -> None:
        """Count no further."""
        self._wire_bytes = wire_bytes

    def trial(self, loss: float, burst: float) -> Trial:
        """The figures."""
        frames = self.last - self.uncounted - self._left_out
        payload_bytes = frames * self.length
        wire_bytes = self._wire_bytes - self._wire_bytes_before
        latencies_ms = 1e3 * np.array(self._latencies_s)
        p50_ms, p99_ms = (
            (round(float(each), 3) for each in np.percentile(latencies_ms, (50, 99)))
            if self._latencies_s
            else (None, None)
        )
        before, after = self._ledger_before, self._ledger
        return Trial(
            method=self.method,
            loss=loss,
            burst=burst,
            frames=frames,
            left_out=self._left_out,
            intact=len(self._latencies_s),
            p50_ms=p50_ms,
            p99_ms=p99_ms,
            wire_by_payload=round(wire_bytes / payload_bytes, 5) if frames else 0.0,
            by_parity=after.repaired_by_parity - before.repaired_by_parity,
            by_nack=after.repaired_by_nack - before.repaired_by_nack,
        )

    def _arrived(self, event: FrameArrived) -> None:
        key = event.whole.payload[:_KEY_BYTES].tobytes()
        number, captured_s = self._captured_s.pop(key, (-1, 0.0))
        if number >= self.uncounted and np.array_equal(event.whole.payload, self.payload(number)):
            self._latencies_s.append(event.received_at - _WALL_S - captured_s)


def _stream(setting: Setting, book: _Book, rehearsal: Rehearsal) -> None:
    adaptation = rehearsal.sender.adaptation
    for number in range(book.last):
        rehearsal.run_until(_BEGIN_S + number / setting.fps)
        book.take(rehearsal.events)
        if number == book.uncounted:
            reports = rehearsal.receiver.reports()
            book.begin(rehearsal.wire_bytes, reports[0].ledger if reports else Ledger())
        if not adaptation.admit(rehearsal.now):
            adaptation.frame_left_out()
            book.left_out(number)
            continue
        adaptation.frame_encoded(book.length, None, 1.0)
        book.captured(number, rehearsal.now)
        rehearsal.send_frame(book.payload(number), Codec.JPEG, _SIZE_WH)
    rehearsal.run_until(rehearsal.now + _TAIL_S)
    rehearsal.close()
    book.take(rehearsal.events)
    book.end(rehearsal.wire_bytes)


def _stream_classic(setting: Setting, book: _Book, rehearsal: ClassicRehearsal) -> None:
    geometry = ClassicGeometry()
    for number in range(book.last):
        rehearsal.run_until(_BEGIN_S + number / setting.fps)
        book.take(rehearsal.events)
        book.captured(number, rehearsal.now)
        rehearsal.send_frame(book.payload(number), geometry, 1 / setting.fps)
    rehearsal.run_until(rehearsal.now + _TAIL_S)
    rehearsal.close()
    book.take(rehearsal.events)
    book.end(rehearsal.wire_bytes)


def _sender(setting: Setting, method: Method) -> SenderCore:
    percent = setting.fec_percent if method in {Method.PARITY, Method.BOTH} else 0.0
    return SenderCore(
        epoch=1,
        session=1,
        datagram_bytes=setting.datagram_bytes,
        interval_s=1 / setting.fps,
        wall_offset_s=_WALL_S,
        adaptation=Adaptation(
            quality=None,  # frames come encoded: pace and rate may give way, their size not
            fec=Fec(percent),
            resizable=False,
            datagram_bytes=setting.datagram_bytes,
        ),
    )


def _link(
    setting: Setting, loss: float, burst: float, way: str, rate_bytes_per_s: float | None
) -> SimulatedLink:
    return SimulatedLink(
        zlib.crc32(f"{setting.seed} {loss} {burst} {way}".encode()),  # the same for all methods
        loss=loss,
        burst=burst,
        reorder=setting.reorder,
        duplicate=setting.duplicate,
        delay_s=setting.delay_s,
        rate_bytes_per_s=rate_bytes_per_s,
    )
