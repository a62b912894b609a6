"""The way from a socket through a receiver's core to a reader's queue and to the sinks."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from udpstream.adapters.batches import Batch
from udpstream.core.ledger import StreamReport
from udpstream.core.receiving import Event, FrameArrived, Notice, ReceiverCore, StreamEnded
from udpstream.core.streams import Address
from udpstream.frame import Frame, frame_of
from udpstream.sinks import Sink

_MAX_ENDED_REPORTS = 256


class Link(Protocol):
    """What datagrams come from, and go back to."""

    def read(self) -> Iterator[Batch]:
        """What waits there; each batch is of use until the next one is asked for."""

    def send(self, datagram: bytes, to: Address) -> None:
        """Send one datagram; if it cannot leave, it is lost like any other."""


class Intake:
    """Feeds a core, and hands on what it brings about.

    One thread at a time may take in.

    Attributes:
        core: to be used by other threads with the lock held only.
        lock: guards the core and `ended`.
        queue: frames for a reader.
        readable: told of each frame that there is in the queue, where there are sinks.
        reader_waits: whether a reader waits for a frame: it gets that before more is fed.
        skipped: frames that left the queue unread, because the reader was too slow.
        ended: the books of the streams that have ended of late.
        fed_s: `time.monotonic()` when datagrams were fed last.
    """

    def __init__(
        self,
        link: Link,
        core: ReceiverCore,
        *,
        queue_frames: int,
        sinks: Sequence[Sink],
        say: Callable[[str], None],
    ) -> None:
        self.core = core
        self.lock = threading.Lock()
        self.queue: deque[Frame] = deque(maxlen=queue_frames)
        self.readable = threading.Condition()
        self.reader_waits = False
        self.skipped = 0
        self.ended: deque[StreamReport] = deque(maxlen=_MAX_ENDED_REPORTS)
        self.fed_s = time.monotonic()
        self._link = link
        self._sinks = tuple(sinks)
        self._say = say
        self._batches: Iterator[Batch] = iter(())  # of the latest read, not fed yet

    def take_in(self) -> bool:
        """Feed the core all that waits in the socket; return whether there was anything.

        A reader that waits gets its frame before anything else is done. The rest of that
        read is fed the next time: it has left the socket already.
        """
        if self._feed():
            return True
        self._batches = self._link.read()
        return self._feed()

    def handle_timer(self, now_s: float, lag_s: float) -> None:
        """Let the core do what is due by time, and not by what comes.

        Args:
            now_s: `time.monotonic()`, or a little before that.
            lag_s: how long what was fed last had waited in the socket.
        """
        with self.lock:
            self.core.waiting = len(self.queue)
            self.core.note_lag(self.fed_s, lag_s)
            self.core.handle_timer(now_s)
            events = self._take_events()
        self._carry_out(events)

    def close(self) -> None:
        """End all streams."""
        with self.lock:
            self.core.close(time.monotonic())
            events = self._take_events()
        self._carry_out(events)

    def pop(self) -> Frame | None:
        """The next frame for the reader, if there is one."""
        try:
            return self.queue.popleft()
        except IndexError:
            return None

    def _feed(self) -> bool:
        """Feed the core the batches of the latest read; return whether there were any."""
        came = False
        for batch in self._batches:
            came = True
            with self.lock:
                fed_s = self.fed_s = time.monotonic()
                self.core.feed(batch.source, batch.datagrams, batch.kernel_dropped, fed_s)
                if not self.core.has_news:
                    continue
                events = self._take_events()
            self._carry_out(events)
            del events  # the next frame can have this one's place, which is in the cache
            if self.queue and self.reader_waits:
                break
        return came

    def _take_events(self) -> list[Event]:
        """What the core has brought about; to be called with the lock that it came about in.

        So a stream is among the live or the ended ones, whenever somebody asks for reports.
        """
        events = self.core.events()
        for event in events:
            if isinstance(event, StreamEnded):
                self.ended.append(event.report)
        return events

    def _carry_out(self, events: list[Event]) -> None:
        """Hand on what the core has brought about."""
        for event in events:
            match event:
                case FrameArrived():
                    self._deliver(event)
                case StreamEnded(report):
                    for sink in self._sinks:
                        sink.ended(report.stream, report)
                case Notice(text):
                    self._say(text)
        for datagram, address in self.core.datagrams_to_send():
            self._link.send(datagram, address)

    def _deliver(self, event: FrameArrived) -> None:
        frame = frame_of(event)
        for sink in self._sinks:
            sink.deliver(frame)
        self.skipped += 0 < len(self.queue) == self.queue.maxlen
        self.queue.append(frame)
        if self._sinks:
            with self.readable:
                self.readable.notify()
