"""The receiver without its socket: datagrams and time in; frames, news and answers out.

It tells wires and streams apart, hands each stream's datagrams to its reassembler, and
answers the senders. What it may keep of whom is in `streams`.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from udpstream.core.classic import ClassicReassembler
from udpstream.core.ledger import Ledger, Loss, StreamReport
from udpstream.core.pacing import buffer_need
from udpstream.core.pool import BufferPool
from udpstream.core.probing import TrialTable
from udpstream.core.reassembly import (
    LATENCY_BUDGET_S,
    MAX_PICTURE_BYTES,
    Reassembler,
    WholeFrame,
)
from udpstream.core.stream import Stream
from udpstream.core.streams import (
    CLASSIC_EPOCH,
    MAX_STREAMS,
    SILENT_S,
    Address,
    StreamState,
    StreamTable,
)
from udpstream.errors import DatagramError
from udpstream.protocol import (
    CLASSIC_INDEX_BYTES,
    DEFAULT_MAX_FRAME_BYTES,
    MAX_ASKS,
    NO_ESTIMATE_US,
    Buffer,
    Bye,
    ClassicGeometry,
    FrameHeader,
    Hello,
    Nack,
    Probe,
    Report,
    Result,
    Tally,
    UnknownKindError,
    UnknownVersionError,
    Welcome,
    epoch_of,
    is_control,
    is_marked,
    pack_control,
    parse_control,
    parse_frame_header,
)

Wire: TypeAlias = Literal["auto", "indexed", "classic"]

# Looked at together: more than a read brings of usual datagrams, and so few that those
# which alternate between frames, and are taken one by one, cost little more than others.
_MOST_TOGETHER = 256

# So many streams may begin within so many seconds as may be received at once: each can cost a
# sink a thread and a folder, and a sender that only restarts is not that quick.
BEGIN_S = 10.0

_MOST_UNBOOKED = 64  # where no timer is ever looked at, because the socket is never empty

_TORN_AND_NONE_WHOLE = 10  # classic pictures in a row: they have not the size that was told

MAX_NOTICES = 64  # of different things said once; a flood of forged sources says no more


class FrameArrived(NamedTuple):
    """A frame is whole. Times are Unix times in seconds, as in `udpstream.Frame`."""

    stream: Stream
    whole: WholeFrame
    captured_at: float | None
    received_at: float
    latency_s: float | None


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """A stream said bye, fell silent, or was followed by another from the same camera."""

    report: StreamReport


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know, said once."""

    text: str


class Expected(NamedTuple):
    """A frame that is due: from when to when it will begin to come, and how large it may be."""

    from_at: float
    to_at: float
    payload_bytes: int


Event: TypeAlias = FrameArrived | StreamEnded | Notice


class ReceiverCore:
    """Joins datagrams from any number of senders into frames.

    Times are seconds that never fall; `wall_offset_s` added makes them Unix time.

    Attributes:
        dropped: datagrams that no stream took, by reason.
        kernel_dropped: datagrams that the kernel had no room for, as last told.
        waiting: frames that wait for a reader, as last told.
    """

    def __init__(
        self,
        *,
        wall_offset_s: float,
        receive_buffer_bytes: int,
        wire: Wire = "auto",
        classic: ClassicGeometry | None = None,
        max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES,
        latency_budget_s: float = LATENCY_BUDGET_S,
        version: tuple[int, int, int] = (0, 0, 0),
        pool: BufferPool | None = None,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self.kernel_dropped = 0
        self.waiting = 0
        self._lag = (0.0, 0.0)  # when something was fed last, and how long it had waited
        self._wall_offset_s = wall_offset_s
        self._receive_buffer_bytes = receive_buffer_bytes
        self._wire = wire
        self._classic = classic or ClassicGeometry()
        self._max_frame_bytes = max_frame_bytes
        self._latency_budget_s = latency_budget_s
        self._pool = pool or BufferPool()
        self._table = StreamTable()
        self._trials = TrialTable(receive_buffer_bytes, version)
        self._events: list[Event] = []
        self._outgoing: list[tuple[bytes, Address]] = []
        self._noticed: set[str] = set()
        self._now = 0.0  # as last told
        # Frames that were delivered: when they began to come, how long they took, and when.
        self._unbooked: list[tuple[StreamState, float | None, float | None, float]] = []
        self._established_at: deque[float] = deque(maxlen=MAX_STREAMS)

    def feed(
        self, source: Address, datagrams: NDArray[np.uint8], kernel_dropped: int, now: float
    ) -> None:
        """Take datagrams of one size from one source.

        Args:
            source: where they came from.
            datagrams: `(n, D)` uint8; not kept.
            kernel_dropped: the socket's count so far of datagrams that it had no room for.
            now: seconds.
        """
        self.kernel_dropped = kernel_dropped
        self._now = now
        while len(datagrams):
            together = datagrams[:_MOST_TOGETHER]
            taken = self._feed_on(source, together, now) or self._feed_some(source, together, now)
            datagrams = datagrams[taken:]

    def note_lag(self, fed_at: float, lag_s: float) -> None:
        """Learn that what was fed last had waited in the socket for this process to run.

        That is no queue of the link's, so senders are told when it came, not when it was read.

        Args:
            fed_at: when it was fed.
            lag_s: how long it had waited.
        """
        self._lag = fed_at, lag_s

    def handle_timer(self, now: float) -> None:
        """Do what is due: give up, ask again, report; let go of streams that fell silent."""
        self._now = now
        for state in self._table:
            if self._table.get(state.key) is not state:
                continue  # another took its place just now
            state.reassembler.expire(now)
            if isinstance(state.reassembler, Reassembler):
                self._hand_on(state, now)
                self._answer(state, state.reassembler, now)
            if now >= state.last_at + SILENT_S:
                self._end(state, now)
        self._trials.expire(now)

    def next_timer(self) -> float | None:
        """When `handle_timer` has something to do next, or None."""
        self._book()
        timers = [state.last_at + SILENT_S for state in self._table]
        for each in (self._trials, *(state.reassembler for state in self._table)):
            timer = each.next_timer()
            if timer is not None:
                timers.append(timer)
        timers += [state.report_at for state in self._table if state.wants_report]
        return min(timers, default=None)

    def expected(self) -> Expected | None:
        """The next frame; None where nobody knows: it keeps no time, or is not the only stream."""
        self._book()
        only = self._table.only()
        window = None if only is None else only.arrivals.window()
        return None if only is None or window is None else Expected(*window, only.payload_bytes)

    def close(self, now: float) -> None:
        """End all streams and tell their senders."""
        for state in self._table:
            self._end(state, now)
            source, epoch = state.key
            if epoch != CLASSIC_EPOCH:
                self._outgoing.append((pack_control(Bye(epoch, 0)), source))

    @property
    def has_news(self) -> bool:
        """Whether there are events, or datagrams to send."""
        return bool(self._events or self._outgoing)

    def events(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """What wants sending since the last call, and to where."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def address_result(
        self, stream: Stream, result: Result, now: float
    ) -> tuple[bytes, Address] | None:
        """Return the datagram of a result, and where to send it; None if it is not to be sent.

        That is, if the stream has ended, its sender is not known to hear, or it gets more
        results than a person can see.

        Raises:
            DatagramError: a field does not fit its place on the wire.
        """
        state = self._table.live(stream)
        if state is None or not isinstance(state.reassembler, Reassembler):
            return None
        if not state.reassembler.can_ask or not state.admits_result(now):
            return None
        return pack_control(result), state.key[0]

    def reports(self) -> list[StreamReport]:
        """The books of all live streams, by number of the stream."""
        self._book()
        reports = [self._report(state) for state in self._table if state.stream]
        return sorted(reports, key=lambda report: report.stream.id)

    # -- datagrams ------------------------------------------------------------

    def _feed_on(self, source: Address, datagrams: NDArray[np.uint8], now: float) -> int:
        """Feed what goes on with the latest frame; return how many, 0 if none is known to.

        All the fields of their headers are compared with those of that frame.
        """
        state = self._table.latest
        if state is None or state.key[0] != source:
            return 0
        reassembler = state.reassembler
        assert isinstance(reassembler, Reassembler)
        taken = reassembler.feed_run(datagrams, now)
        if taken:
            self._account(state, reassembler, taken, datagrams.shape[1], now)
        return taken

    def _feed_some(self, source: Address, datagrams: NDArray[np.uint8], now: float) -> int:
        """Feed one datagram, or as many of its frame as follow it; return how many."""
        first = datagrams[0].data
        state = self._table.get((source, epoch_of(first)))
        marked = is_marked(first)
        if self._is_classic(source, first, marked=marked):
            self._feed_classic(source, datagrams[0], now)
        elif marked and not is_control(first):
            return self._feed_frame(source, state, first, datagrams, now)
        else:
            return self._feed_control(source, datagrams, now)
        return 1

    def _is_classic(self, source: Address, datagram: Buffer, *, marked: bool) -> bool:
        if self._wire != "auto":
            return self._wire == "classic"
        # A picture may hold the mark's byte by chance: then its source is known already.
        if marked and self._table.get((source, CLASSIC_EPOCH)) is None:
            return False
        return self._classic.is_chunk(datagram)

    def _feed_frame(
        self,
        source: Address,
        state: StreamState | None,
        first: Buffer,
        datagrams: NDArray[np.uint8],
        now: float,
    ) -> int:
        """Feed a frame's datagrams, the first of which is not of a frame that is begun."""
        try:
            header = parse_frame_header(first)
        except DatagramError as error:
            self._drop(error, source, first)
            return 1
        if state is None:
            key = source, header.epoch
            if self._table.is_over(key):
                self.dropped["after_bye"] += 1
                return 1
            state = self._begin(key, now)
        reassembler = state.reassembler
        assert isinstance(reassembler, Reassembler)
        self._table.latest = state
        memory_bytes = reassembler.memory_bytes
        taken, bad = reassembler.feed(header, datagrams, now)
        if bad:
            self.dropped["malformed"] += bad
        self._account(state, reassembler, taken, datagrams.shape[1], now)
        if reassembler.memory_bytes > memory_bytes:
            for evicted in self._table.bound_memory():
                self._hand_on(evicted, now)
        elif reassembler.refuses:
            self._notice_oversized(header, source)
        return taken

    def _notice_oversized(self, header: FrameHeader, source: Address) -> None:
        self._notice(
            f"oversized {source[0]}",
            f"frames of {header.length:,} bytes from {source[0]} are refused: this receiver "
            f"takes up to {self._max_frame_bytes:,}. Send JPEG or a smaller size."
            if header.length > self._max_frame_bytes
            else f"pictures of {header.width}x{header.height} from {source[0]} are refused: "
            f"decoded, or with their parity, they exceed {MAX_PICTURE_BYTES:,} bytes. "
            "Send a smaller size.",
        )

    def _feed_classic(self, source: Address, datagram: NDArray[np.uint8], now: float) -> None:
        if not self._classic.is_chunk(datagram.data):
            self.dropped["malformed"] += 1
            self._notice_misfit(source, datagram.data)
            return
        key = source, CLASSIC_EPOCH
        state = self._table.get(key)
        if state is None:
            state = self._begin(key, now)
        assert isinstance(state.reassembler, ClassicReassembler)
        whole = state.reassembler.feed(datagram, self.kernel_dropped, now)
        self._count(state, 1, len(datagram), now)
        if whole is not None:
            self._arrived(state, whole, len(datagram), now)
        elif state.stream is None and state.ledger.lost[Loss.TORN] == _TORN_AND_NONE_WHOLE:
            self._notice_misfit(source, datagram.data)
        if datagram[0] == 0:
            for evicted in self._table.bound_memory():
                self._hand_on(evicted, now)

    def _feed_control(self, source: Address, datagrams: NDArray[np.uint8], now: float) -> int:
        """Feed one control datagram, or as much of a trial as follows it; return how many."""
        try:
            message = parse_control(datagrams[0].data)
        except DatagramError as error:
            self._drop(error, source, datagrams[0].data)
            return 1
        if isinstance(message, Probe):
            return self._feed_probes(source, message, datagrams, now)
        state = self._table.get((source, message.epoch))
        match message:
            case Hello():
                self._hello(source, state, message, now)
            case Bye() if state is not None and isinstance(state.reassembler, Reassembler):
                state.reassembler.announce(message.frames, now)
                self._end(state, now)
                self._table.bury(state)
            case Bye() | Welcome() | Report() | Nack() | Result() | Tally():
                # repeated, or not for us
                pass
        return 1

    def _feed_probes(
        self, source: Address, first: Probe, datagrams: NDArray[np.uint8], now: float
    ) -> int:
        taken, answer = self._trials.feed(
            source, first, datagrams, self.kernel_dropped, now, self._wall_us(now)
        )
        if answer is not None:
            self._outgoing.append((answer, source))
        self.dropped["refused_probes"] = self._trials.refused
        return taken

    def _hello(self, source: Address, state: StreamState | None, hello: Hello, now: float) -> None:
        if state is not None and state.hello and state.hello.session != hello.session:
            self._end(state, now)  # restarted at the same port, with the same epoch by chance
            state = None
        if state is None:
            if self._table.is_over((source, hello.epoch), hello.session):
                self.dropped["after_bye"] += 1
                return
            state = self._begin((source, hello.epoch), now)
        assert isinstance(state.reassembler, Reassembler)
        state.last_at = now
        state.hello, state.hello_at = hello, now
        state.reassembler.announce(hello.next_frame, now)
        # An estimate of our clock means that it has heard us.
        known = hello.offset_error_us != NO_ESTIMATE_US
        state.reassembler.hears(2e-6 * hello.offset_error_us if known else None)
        now_us = self._wall_us(now)
        welcome = Welcome(hello.epoch, hello.clock_us, now_us, now_us, self._receive_buffer_bytes)
        self._outgoing.append((pack_control(welcome), source))

    def _answer(self, state: StreamState, reassembler: Reassembler, now: float) -> None:
        """Ask for what is missing, and tell the sender of what has come."""
        source, epoch = state.key
        asks = reassembler.asks() if state.is_known else []
        for first in range(0, len(asks), MAX_ASKS):
            nack = Nack(epoch, tuple(asks[first : first + MAX_ASKS]))
            self._outgoing.append((pack_control(nack), source))
        if state.wants_report and now >= state.report_at:
            fed_at, lag_s = self._lag
            report = state.link_report(
                reassembler, self.waiting, self.kernel_dropped, self._receive_buffer_bytes,
                lag_s if reassembler.meter.arrived_at == fed_at else 0.0,
                self._wall_offset_s, now,
            )  # fmt: skip
            self._outgoing.append((pack_control(report), source))

    def _drop(self, error: DatagramError, source: Address, datagram: Buffer) -> None:
        if len(datagram) == CLASSIC_INDEX_BYTES + self._classic.chunk_bytes:
            self.dropped["malformed"] += 1
            self._notice_misfit(source, datagram)
            return
        match error:
            case UnknownVersionError():
                self.dropped["unknown_version"] += 1
                self._notice(
                    "version",
                    f"datagrams from {source[0]} are not understood: {error}. "
                    "Install the same udpstream on both machines; or, if a plain script sends, "
                    "use --wire classic.",
                )
            case UnknownKindError():
                self.dropped["unknown_kind"] += 1
            case _:
                self.dropped["malformed"] += 1

    def _notice_misfit(self, source: Address, datagram: Buffer) -> None:
        """Say that what looks like the classic wire is not as it was told to be, or is not it."""
        host, (width, height) = source[0], self._classic.size_wh
        if self._wire == "classic" and is_marked(datagram):
            text = f"{host} sends on the indexed wire, and this receiver takes the classic one only"
            advice = "leave out --wire classic"
        elif self._wire == "indexed":
            text = f"{host} sends on the classic wire, and this receiver takes the indexed one only"
            advice = "leave out --wire indexed"
        else:
            text = f"classic pictures from {host} do not have the {width}x{height} pixels expected"
            advice = "give their size with --size WIDTHxHEIGHT"
        self._notice(f"misfit {host}", f"{text}: {advice}.")

    def _notice(self, subject: str, text: str) -> None:
        if subject not in self._noticed and len(self._noticed) < MAX_NOTICES:
            self._noticed.add(subject)
            self._events.append(Notice(text))

    # -- streams --------------------------------------------------------------

    def _begin(self, key: tuple[Address, int], now: float) -> StreamState:
        ledger = Ledger()
        reassembler: Reassembler | ClassicReassembler
        if key[1] == CLASSIC_EPOCH:
            reassembler = ClassicReassembler(ledger, self._classic, self._pool)
        else:
            reassembler = Reassembler(
                ledger,
                pool=self._pool,
                max_frame_bytes=self._max_frame_bytes,
                latency_budget_s=self._latency_budget_s,
            )
        state = StreamState(key, reassembler, ledger, now, now, self.kernel_dropped)
        self._table.add(state)
        return state

    def _account(
        self,
        state: StreamState,
        reassembler: Reassembler,
        datagrams: int,
        datagram_bytes: int,
        now: float,
    ) -> None:
        """Count datagrams that were fed, and take over the frames that they made whole."""
        self._count(state, datagrams, datagram_bytes, now)
        if reassembler.has_frames:
            for whole in reassembler.frames():
                self._arrived(state, whole, datagram_bytes, now)

    def _count(self, state: StreamState, datagrams: int, datagram_bytes: int, now: float) -> None:
        state.last_at = now
        state.ledger.datagrams += datagrams
        state.ledger.wire_bytes += datagrams * datagram_bytes

    def _arrived(
        self, state: StreamState, whole: WholeFrame, datagram_bytes: int, now: float
    ) -> None:
        if state.codec is None:
            self._check_buffer(whole, datagram_bytes)
        self._deliver(state, whole, now)

    def _check_buffer(self, whole: WholeFrame, datagram_bytes: int) -> None:
        """Say so where the socket buffer does not hold what a frame is sent in."""
        need = buffer_need(-(-len(whole.payload) // datagram_bytes), datagram_bytes)
        granted = self._receive_buffer_bytes
        if need > granted:
            width, height = whole.size_wh
            classic = whole.captured_us is None  # scripts know nothing of our buffer
            effect = "some will be torn" if classic else "it is sent in slower bursts"
            self._notice(
                "buffer",
                f"the receive buffer is {granted:,} bytes, and a {width}x{height} "
                f"{whole.codec.value} frame at once needs {need:,}: {effect}. "
                f"To mend it, on Linux: sudo sysctl -w net.core.rmem_max={need}, and start again "
                f"with --receive-buffer {need} or more.",
            )

    def _hand_on(self, state: StreamState, now: float) -> None:
        """Deliver what waited for a repair and does no more."""
        if isinstance(state.reassembler, Reassembler):
            for whole in state.reassembler.frames():
                self._deliver(state, whole, now)

    def _deliver(self, state: StreamState, whole: WholeFrame, now: float) -> None:
        if state.stream is None and not self._establish(state, now):
            return
        assert state.stream is not None
        state.codec, state.size_wh = whole.codec, whole.size_wh
        state.payload_bytes = len(whole.payload)
        wall_us = self._wall_us(now)
        captured_us = state.captured_us(whole, wall_us, now)
        offset_us = state.clock_offset_us()
        latency_s = None
        if captured_us is not None and offset_us is not None:
            latency_s = (wall_us - offset_us - captured_us) / 1e6
        self._unbooked.append((state, whole.first_at, latency_s, now))
        if len(self._unbooked) == _MOST_UNBOOKED:
            self._book()
        self._events.append(
            FrameArrived(
                stream=state.stream,
                whole=whole,
                captured_at=None if captured_us is None else captured_us / 1e6,
                received_at=now + self._wall_offset_s,
                latency_s=latency_s,
            )
        )

    def _book(self) -> None:
        """Note the times of frames that were delivered: no reader waits for that."""
        for state, first_at, latency_s, now in self._unbooked:
            state.note_times(first_at, latency_s, now)
        self._unbooked.clear()

    def _establish(self, state: StreamState, now: float) -> bool:
        self._book()  # so that it is known which stream has fallen silent
        begun = self._established_at
        too_often = len(begun) == MAX_STREAMS and now - begun[0] < BEGIN_S
        predecessor = self._table.predecessor(state, now)
        if too_often or (predecessor is None and self._table.is_full()):
            return self._refuse(state)
        if predecessor is not None:
            self._end(predecessor, now)
        self._established_at.append(now)
        name = predecessor.stream.camera if predecessor and predecessor.stream else None
        self._table.establish(state, name)
        return True

    def _refuse(self, state: StreamState) -> bool:
        self.dropped["frames_of_too_many_streams"] += 1
        self._notice(
            "full",
            f"a stream from {state.key[0][0]} is refused: {MAX_STREAMS} cameras are being "
            f"received, or that many began within {BEGIN_S:.0f} s. Run a second receiver on "
            "another port.",
        )
        self._table.remove(state)  # its books would count as delivered what was refused
        return False

    def _end(self, state: StreamState, now: float) -> None:
        state.reassembler.finish(now)
        self._hand_on(state, now)  # even of a stream that has delivered nothing before
        self._book()
        self._table.remove(state)
        if state.stream is not None:
            self._events.append(StreamEnded(self._report(state)))

    def _report(self, state: StreamState) -> StreamReport:
        return state.report(self._wall_offset_s, self.kernel_dropped, self._now)

    def _wall_us(self, now: float) -> int:
        return round((now + self._wall_offset_s) * 1e6)
