"""The receiving end: datagrams in, whole frames out, to whoever asks and to the sinks."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from udpstream.adapters.udp import DEFAULT_RECEIVE_BUFFER_BYTES, Offload, UdpReceiver
from udpstream.core.ledger import StreamReport
from udpstream.core.pool import BufferPool
from udpstream.core.probing import version_numbers
from udpstream.core.reassembly import LATENCY_BUDGET_S
from udpstream.core.receiving import Expected, ReceiverCore, Wire
from udpstream.dry_run import DryRun
from udpstream.errors import DatagramError, FrameError
from udpstream.frame import Frame, Stream
from udpstream.intake import Intake
from udpstream.protocol import (
    CLASSIC_SIZE_WH,
    DEFAULT_MAX_FRAME_BYTES,
    DEFAULT_PORT,
    ClassicGeometry,
    Result,
)
from udpstream.sinks import Sink

QUEUE_FRAMES = 4  # between the link and a reader: 133 ms at 30 fps, and no more
_REPORT_PERIOD_S = 1.0
_TICK_S = 0.01  # how often timers are looked at where none is known to be due
_LATE_S = 0.02  # how much longer they wait for a socket that is never empty,
_LATE_FOR_READER_S = 0.05  # or that holds a reader's frame each time; half a latency budget
# How long the socket may go unread when a reader has left with a frame: a stock buffer holds
# two bursts of a paced sender, 1.5 ms apart, and at 30 fps the next is not due so soon.
_HAND_BACK_S = 0.003
_DRY_RUN_S = 0.6e-3  # what a dry run takes when the caches are cold
# How soon a processor that shares its caches with others begins to lose what is in them: after
# 0.2 ms a frame took 1.3 times as long as at once, after 0.8 ms 2.5 times, on a virtual machine.
_FORGETS_S = 0.3e-3
_STOP_S = 0.1  # how long the receive thread may take to see that it should stop

_log = logging.getLogger("udpstream")


class Receiver:
    """Receives pictures from any number of senders on one port.

    A thread of its own reads the socket while no reader waits in `read`, so that a slow
    reader never makes the kernel drop datagrams. Frames wait for `read` in a short queue;
    where the reader is too slow the oldest are skipped, so that latency never grows.

    Example:
        with udpstream.Receiver(port=9505) as receiver:
            for frame in receiver:
                show(frame.image)
    """

    def __init__(
        self,
        host: str = "0.0.0.0",
        port: int = DEFAULT_PORT,
        *,
        wire: Wire = "auto",
        classic_size_wh: tuple[int, int] = CLASSIC_SIZE_WH,
        receive_buffer_bytes: int = DEFAULT_RECEIVE_BUFFER_BYTES,
        max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES,
        latency_budget_s: float = LATENCY_BUDGET_S,
        offload: Offload = "auto",
        queue_frames: int = QUEUE_FRAMES,
        sinks: Sequence[Sink] = (),
        say: Callable[[str], None] = _log.warning,
    ) -> None:
        """Bind, and begin to receive.

        Args:
            host: address of this machine to listen on, or a multicast group to join.
            port: UDP port; 0 takes a free one, see `port`.
            wire: which wires to understand.
            classic_size_wh: the size of classic pictures, which their wire does not tell.
            receive_buffer_bytes: socket buffer to ask the kernel for.
            max_frame_bytes: longer frames are refused at their header.
            latency_budget_s: how long a frame that lacks something is waited for, in seconds.
            offload: UDP_GRO where it works (``"auto"``), or force ``"on"`` or ``"off"``.
            queue_frames: how many frames may wait for `read`; 1 is the latest only, and 0
                is for those who need the sinks alone.
            sinks: who else gets each frame, on the receive thread.
            say: takes the few lines that a person should read.

        Raises:
            AddressError: the address cannot be bound, or no socket can have such a buffer.
            DatagramError: there is no such wire, or no classic picture of that size.
            FrameError: no frame could keep to the queue, the budget or the size given.
        """
        from udpstream import __version__  # late: the package knows this module

        if wire not in {"auto", "indexed", "classic"}:
            raise DatagramError(f"'{wire}' is no wire of this link: give auto, indexed or classic")
        if queue_frames < 0 or max_frame_bytes < 1 or not 0 < latency_budget_s < math.inf:
            raise FrameError(
                f"a queue of {queue_frames} frames, frames of at most {max_frame_bytes} bytes, a "
                f"latency budget of {latency_budget_s} s: give 0 or more, 1 or more, more than 0"
            )
        self._sinks = tuple(sinks)
        classic = ClassicGeometry(classic_size_wh)
        self._socket = UdpReceiver(
            host, port, receive_buffer_bytes=receive_buffer_bytes, offload=offload
        )
        self._wall_offset_s = time.time() - time.monotonic()
        pool = BufferPool()
        core = ReceiverCore(
            wall_offset_s=self._wall_offset_s,
            receive_buffer_bytes=self._socket.receive_buffer_bytes,
            wire=wire,
            classic=classic,
            max_frame_bytes=max_frame_bytes,
            latency_budget_s=latency_budget_s,
            version=version_numbers(__version__),
            pool=pool,
        )
        self._dry_run = DryRun(pool)
        self._intake = Intake(
            self._socket, core, queue_frames=queue_frames, sinks=self._sinks, say=say
        )
        self._pump_lock = threading.Lock()  # who reads the socket
        self._thread_pumps = False  # the receive thread does
        self._pumper: int | None = None  # which thread holds the pump lock
        self._tick_s = self._report_s = time.monotonic()
        self._timer_s = math.inf  # when the core has something to do next
        self._busy_s = self._tick_s  # when datagrams were fed first after a wait
        self._empty_s = self._tick_s  # when the socket was empty last
        self._rehearsed_s = -math.inf  # when the latest dry run ended
        self._closing = threading.Event()
        self._done = False  # guarded by the intake's condition
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="udpstream-receiver", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, as ``host:port``."""
        return str(self._socket.endpoint)

    @property
    def port(self) -> int:
        """The UDP port it listens on."""
        return self._socket.endpoint.sockaddr[1]

    @property
    def receive_buffer_bytes(self) -> int:
        """The socket buffer that the kernel granted, in its own accounting."""
        return self._socket.receive_buffer_bytes

    @property
    def coalesces(self) -> bool:
        """Whether the kernel hands over many datagrams at once (UDP_GRO)."""
        return self._socket.coalesces

    @property
    def dropped(self) -> Counter[str]:
        """Datagrams that no stream took, by reason, and those the kernel had no room for."""
        with self._intake.lock:
            dropped = self._intake.core.dropped.copy()
        dropped["kernel"] = self._socket.kernel_dropped
        dropped["truncated"] = self._socket.truncated
        return dropped

    @property
    def skipped(self) -> int:
        """Frames that left the queue unread, because the reader was too slow."""
        return self._intake.skipped

    @property
    def error(self) -> BaseException | None:
        """What ended the receive thread before its time, if anything did."""
        return self._error

    def read(self, timeout: float | None = None) -> Frame | None:
        """Take the next frame, or wait for one.

        Args:
            timeout: seconds to wait at most; None waits as long as it takes, and 0 takes
                what is there.

        One thread is to call it. While it waits for a stream that keeps time, it is awake for a
        short while about the moment when the next frame is due. Where there are no sinks, what
        comes out of it, a KeyboardInterrupt say, closes the receiver.

        Returns:
            A frame, or None if none came in time or the receiver was closed.

        Raises:
            Exception: whatever ended the receive thread, a sink's error say.
        """
        frame = self._intake.pop()
        if frame is None:
            until_s = math.inf if timeout is None else time.monotonic() + timeout
            if self._sinks:  # they are called on the receive thread, and on no other
                self._await_frame(until_s)
            else:
                self._receive_frame(until_s)
            frame = self._intake.pop()
        if frame is None and self._error is not None:
            raise self._error
        return frame

    def __iter__(self) -> Iterator[Frame]:
        """Frames as they come, until the receiver is closed."""
        while (frame := self.read()) is not None:
            yield frame

    def reports(self) -> list[StreamReport]:
        """The books of all streams so far: the ended ones first, then the live ones."""
        with self._intake.lock:
            return [*self._intake.ended, *self._intake.core.reports()]

    def live_reports(self) -> list[StreamReport]:
        """The books of the streams that have not ended."""
        with self._intake.lock:
            return self._intake.core.reports()

    def send_result(self, stream: Stream, result: Result) -> bool:
        """Tell a stream's sender what is said of one of its frames; on any thread.

        Args:
            stream: the frame's stream.
            result: with the stream's epoch, and the frame's number modulo 2**32.

        Returns:
            Whether it was sent: not when the stream has ended, to a sender that is not
            known to hear (on the classic wire none is), nor more than 30 times a second.

        Raises:
            DatagramError: a field does not fit its place on the wire.
        """
        with self._intake.lock:  # which the socket is not closed before: then no stream is live
            addressed = self._intake.core.address_result(stream, result, time.monotonic())
            if addressed is not None:
                self._socket.send(*addressed)
        return addressed is not None

    def close(self) -> None:
        """End all streams, and wait for the receive thread; more calls do nothing."""
        self._closing.set()
        self._socket.wake()
        # A signal handler or a sink may call this in the midst of receiving: then the receive
        # thread cannot end before the caller has returned.
        if threading.get_ident() not in {self._pumper, self._thread.ident}:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- reading --------------------------------------------------------------

    def _await_frame(self, until_s: float) -> None:
        """Wait until the receive thread has a frame."""
        wait_s = None if until_s == math.inf else max(until_s - time.monotonic(), 0.0)
        with self._intake.readable:
            self._intake.readable.wait_for(lambda: self._intake.queue or self._done, wait_s)

    def _receive_frame(self, until_s: float) -> None:
        """Do the receive thread's work in the caller's own, until there is a frame.

        A frame that one thread hands to another is seen 0.1 to 0.2 ms later than one that a
        thread has received itself: as long as all else between two ends on one machine. So
        the receive thread steps aside while a reader waits, and takes over again when the
        reader has been away for `_HAND_BACK_S`.
        """
        try:
            self._intake.reader_waits = True
            if self._thread_pumps:
                self._socket.wake()
            left_s = 0.0
            while left_s >= 0 and not (self._intake.queue or self._done or self._closing.is_set()):
                left_s = until_s - time.monotonic()
                wait_s = min(max(left_s, 0.0), _STOP_S)
                if not self._pump_lock.acquire(timeout=wait_s):
                    continue
                try:
                    if not (self._intake.queue or self._closing.is_set()):  # else it may be closed
                        self._pump(wait_s)
                finally:
                    self._pump_lock.release()
        except BaseException as error:
            self._error = error
            self._closing.set()
            raise
        finally:
            self._intake.reader_waits = False

    # -- the receive thread, or a reader in its place -----------------------------

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                with self._pump_lock:
                    self._thread_pumps = True
                    if not self._intake.reader_waits:
                        self._pump(_STOP_S)
                    self._thread_pumps = False
                while self._intake.reader_waits and not self._closing.wait(_HAND_BACK_S):
                    pass
        except BaseException as error:  # noqa: BLE001 - read() raises it in its caller's thread
            self._error = error
            self._closing.set()
        try:
            with self._pump_lock:
                self._intake.close()
        except BaseException as error:  # noqa: BLE001
            self._error = self._error or error
        finally:
            self._socket.close()
            with self._intake.readable:
                self._done = True
                self._intake.readable.notify_all()

    def _pump(self, most_wait_s: float) -> None:
        """Take in what waits in the socket, or wait for it; with the pump lock held."""
        self._pumper = threading.get_ident()
        try:
            # What waits in the socket comes first: it may be what a timer would ask for. So no
            # timer sees a later time than that: this process may be stopped at any moment.
            begun_s = time.monotonic()
            if not self._intake.take_in():
                self._look_at_the_clock(begun_s)
                self._empty_s = begun_s
                self._wait_and_take_in(most_wait_s)
                self._busy_s = self._intake.fed_s
            elif self._intake.fed_s >= max(self._tick_s, self._busy_s) + self._patience_s():
                self._look_at_the_clock(self._intake.fed_s)
        finally:
            self._pumper = None

    def _lag_s(self) -> float:
        """How long what was fed last had waited in the socket, as far as is known."""
        arrived_at = self._socket.arrived_at()
        if arrived_at is None:
            return 0.0
        read_at = time.time() - (time.monotonic() - self._intake.fed_s)
        # It came after the socket was empty, whatever the wall clock has done meanwhile.
        return min(max(read_at - arrived_at, 0.0), max(self._intake.fed_s - self._empty_s, 0.0))

    def _patience_s(self) -> float:
        """How much longer timers wait, now that something has come."""
        return _LATE_FOR_READER_S if self._intake.queue and self._intake.reader_waits else _LATE_S

    def _wait_and_take_in(self, most_wait_s: float) -> None:
        with self._intake.lock:
            timer_s = self._intake.core.next_timer()
            expected = None if self._thread_pumps else self._intake.core.expected()
        self._timer_s = math.inf if timer_s is None else timer_s
        until_s = min(time.monotonic() + most_wait_s, self._timer_s)
        if expected is None or not self._watch_and_take_in(expected, until_s):
            self._sleep_and_take_in(until_s)

    def _sleep_and_take_in(self, until_s: float) -> bool:
        wait_s = max(until_s - time.monotonic(), 0.0)
        return self._socket.wait(wait_s) and self._intake.take_in()

    def _watch_and_take_in(self, expected: Expected, until_s: float) -> bool:
        """Look for a frame without sleeping, from when to when it is expected.

        It spares a waiting reader 0.05 ms: a thread that sleeps has to be woken, on a processor
        that has fallen asleep as well. What that has forgotten is brought back meanwhile.
        """
        now_s = time.monotonic()
        if expected.from_at >= until_s or expected.to_at <= now_s:
            return False
        awake_s = expected.from_at - _DRY_RUN_S
        if awake_s > now_s and (self._sleep_and_take_in(awake_s) or time.monotonic() < awake_s):
            return True  # something came, or it was woken
        to_s = min(expected.to_at, until_s)
        while (now_s := time.monotonic()) < to_s and not self._closing.is_set():
            if self._intake.take_in():
                return True
            # Not in the midst of a frame: what has just been fed has left all as warm.
            if now_s >= max(self._rehearsed_s, self._intake.fed_s) + _FORGETS_S:
                self._dry_run(expected.payload_bytes)
                self._rehearsed_s = time.monotonic()
        return False

    def _look_at_the_clock(self, now_s: float) -> None:
        """Do what is due by time, and not by what comes."""
        if now_s >= min(self._tick_s, self._timer_s):
            self._tick_s = now_s + _TICK_S
            self._timer_s = math.inf  # looked up again before the next wait
            self._intake.handle_timer(now_s, self._lag_s())
        if now_s >= self._report_s:
            self._report_s = now_s + _REPORT_PERIOD_S
            self._report()

    def _report(self) -> None:
        if self._sinks:
            with self._intake.lock:
                reports = self._intake.core.reports()
            for report in reports:
                for sink in self._sinks:
                    sink.update(report)
