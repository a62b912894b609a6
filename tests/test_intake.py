from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.link_tools import datagrams_of, make_receiver, payload_of
from udpstream.adapters.batches import Batch
from udpstream.core.ledger import StreamReport
from udpstream.core.stream import Stream
from udpstream.core.streams import Address
from udpstream.frame import Frame
from udpstream.intake import Intake
from udpstream.protocol import Bye, Hello, Welcome, pack_control, parse_control
from udpstream.sinks import Sink

SOURCE = ("203.0.113.7", 5000)


class Scripted:
    """A link that holds batches, some in each read."""

    def __init__(self) -> None:
        self.reads: deque[tuple[NDArray[np.uint8], ...]] = deque()
        self.read_calls = 0
        self.sent: list[tuple[bytes, Address]] = []

    def holds(self, *batches: NDArray[np.uint8] | bytes) -> None:
        self.reads.append(
            tuple(
                np.frombuffer(batch, np.uint8)[None, :] if isinstance(batch, bytes) else batch
                for batch in batches
            )
        )

    def read(self) -> Iterator[Batch]:
        self.read_calls += 1
        for datagrams in self.reads.popleft() if self.reads else ():
            yield Batch(SOURCE, datagrams, 0)

    def send(self, datagram: bytes, to: Address) -> None:
        self.sent.append((datagram, to))


class Told:
    """A sink that notes what it is told, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def deliver(self, frame: Frame) -> None:
        self.calls.append(f"frame {frame.number}")

    def ended(self, stream: Stream, report: StreamReport) -> None:
        self.calls.append(f"ended {report.ledger.delivered}")

    def update(self, report: StreamReport) -> None:
        """Nothing that an intake says."""


def intake_of(
    link: Scripted, *, queue_frames: int = 4, sinks: Sequence[Sink] = (), said: list[str]
) -> Intake:
    core = make_receiver(wire="indexed", max_frame_bytes=5_000)
    return Intake(link, core, queue_frames=queue_frames, sinks=sinks, say=said.append)


def test_all_that_waits_is_fed_in_order() -> None:
    link = Scripted()
    intake = intake_of(link, said=[])
    assert not intake.take_in()
    assert intake.pop() is None
    link.holds(datagrams_of(0), datagrams_of(1)[:3])
    link.holds(datagrams_of(1)[3:])
    assert intake.take_in()
    assert [frame.number for frame in intake.queue] == [0]
    assert intake.take_in()
    for number in range(2):
        frame = intake.pop()
        assert frame is not None
        assert frame.number == number
        assert bytes(frame.payload) == payload_of(number).tobytes()
    assert not intake.take_in()


def test_a_reader_that_waits_gets_its_frame_before_more_is_fed() -> None:
    link = Scripted()
    intake = intake_of(link, said=[])
    intake.reader_waits = True
    link.holds(*(datagrams_of(number) for number in range(3)))
    for number in range(3):
        assert intake.take_in()
        assert [frame.number for frame in intake.queue] == [number]
        intake.pop()
    assert link.read_calls == 1
    assert not intake.take_in()


def test_a_reader_that_is_too_slow_loses_the_oldest() -> None:
    link = Scripted()
    intake = intake_of(link, queue_frames=2, said=[])
    link.holds(*(datagrams_of(number) for number in range(5)))
    assert intake.take_in()
    assert [frame.number for frame in intake.queue] == [3, 4]
    assert intake.skipped == 3


def test_without_a_queue_nothing_is_skipped_and_sinks_get_all() -> None:
    link, sink = Scripted(), Told()
    intake = intake_of(link, queue_frames=0, sinks=[sink], said=[])
    link.holds(datagrams_of(0), datagrams_of(1), pack_control(Bye(1, 2)))
    assert intake.take_in()
    assert sink.calls == ["frame 0", "frame 1", "ended 2"]
    assert (intake.skipped, len(intake.queue)) == (0, 0)
    assert [report.ledger.delivered for report in intake.ended] == [2]


def test_hellos_are_answered_and_a_person_is_told_what_is_refused() -> None:
    link, said = Scripted(), list[str]()
    intake = intake_of(link, said=said)
    hello = Hello(epoch=1, session=9, clock_us=10**6, next_frame=0, interval_us=33_333)
    link.holds(pack_control(hello), datagrams_of(0, 6_000))
    assert intake.take_in()
    ((datagram, address),) = link.sent
    assert address == SOURCE
    assert isinstance(parse_control(datagram), Welcome)
    (line,) = said
    assert "6,000 bytes" in line
    assert not intake.queue


def test_timers_give_up_what_is_late_and_closing_ends_the_streams() -> None:
    link, sink = Scripted(), Told()
    intake = intake_of(link, queue_frames=3, sinks=[sink], said=[])
    link.holds(datagrams_of(0), datagrams_of(1)[:3])
    intake.take_in()
    (report,) = intake.core.reports()
    assert report.ledger.in_flight == 1
    intake.handle_timer(intake.fed_s + 1.0, 0.0)
    assert intake.core.waiting == 1
    (report,) = intake.core.reports()
    assert (report.ledger.in_flight, report.ledger.total_lost) == (0, 1)
    intake.close()
    assert sink.calls == ["frame 0", "ended 1"]
    assert intake.core.reports() == []
    assert len(intake.ended) == 1
