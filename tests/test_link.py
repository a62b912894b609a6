"""A sender's core and a receiver's over simulated links: thousands of frames in seconds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.link_tools import SIZE_WH, JoinedCores, balanced, ended_in, frames_in, payload_of
from udpstream.core.ledger import Ledger, Loss
from udpstream.core.receiving import FrameArrived
from udpstream.core.simulated import SimulatedLink
from udpstream.protocol import Codec


def check_books(cores: JoinedCores) -> None:
    for report in cores.receiver.reports():
        assert balanced(report.ledger)


def run(cores: JoinedCores, frames: int, length: int = 1000) -> Ledger:
    """Send so many frames and say bye; return the books, which have been checked throughout."""
    cores.check = lambda: check_books(cores)
    cores.run(0.5)
    for number in range(frames):
        cores.send(payload_of(number, length))
    while not ended_in(cores.events):  # a burst can take all byes
        cores.say_bye()
        cores.run(0.2)
    (end,) = ended_in(cores.events)
    ledger = end.report.ledger
    assert ledger.in_flight == 0
    assert balanced(ledger)
    return ledger


def check_frames(frames: list[FrameArrived], length: int = 1000) -> None:
    """Assert that frames are whole, rise, and belong to one stream."""
    numbers = [frame.whole.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert len({frame.stream for frame in frames}) == 1
    for frame in frames:
        assert np.array_equal(frame.whole.payload, payload_of(frame.whole.number, length))


def test_a_perfect_link_delivers_all() -> None:
    cores = JoinedCores(SimulatedLink(1, delay_s=0.001), SimulatedLink(2, delay_s=0.001))
    ledger = run(cores, 2000)
    frames = frames_in(cores.events)
    check_frames(frames)
    assert (ledger.sent, ledger.delivered, ledger.link.duplicates) == (2000, 2000, 0)
    assert not +cores.receiver.dropped


def test_a_link_that_only_displaces_and_repeats_loses_nothing() -> None:
    there = SimulatedLink(3, reorder=9, duplicate=0.05, delay_s=0.002)
    cores = JoinedCores(there, SimulatedLink(4))
    ledger = run(cores, 1000)
    check_frames(frames_in(cores.events))
    assert (ledger.sent, ledger.delivered) == (1000, 1000)
    # Each copy is a repetition of some datagram, or of a hello or a bye.
    assert 0.9 * there.duplicated < ledger.link.duplicates <= there.duplicated


@pytest.mark.parametrize("loss", [0.001, 0.02, 0.3])
@pytest.mark.parametrize("burst", [1.0, 12.0])
def test_on_a_bad_link_every_frame_is_delivered_or_lost_by_name(loss: float, burst: float) -> None:
    there = SimulatedLink(5, loss=loss, burst=burst, reorder=3, duplicate=0.01, delay_s=0.003)
    back = SimulatedLink(6, loss=1.0)  # one way only: nothing can be asked for
    cores = JoinedCores(there, back)
    ledger = run(cores, 1000)
    frames = frames_in(cores.events)
    check_frames(frames)
    assert ledger.delivered == len(frames)
    assert ledger.sent == 1000
    assert set(+ledger.lost) <= {Loss.MISSING, Loss.UNSEEN, Loss.LATE}
    # Frames of ten datagrams come whole as often as the loss allows: bursts hit fewer.
    whole_share = (1 - loss) ** 10
    if burst == 1:
        assert ledger.delivered / 1000 == pytest.approx(whole_share, abs=0.04)
    else:
        assert ledger.delivered / 1000 > whole_share


@pytest.mark.parametrize("loss", [0.001, 0.02, 0.3])
@pytest.mark.parametrize("burst", [1.0, 12.0])
def test_what_is_asked_for_makes_frames_whole(loss: float, burst: float) -> None:
    there = SimulatedLink(5, loss=loss, burst=burst, reorder=3, duplicate=0.01, delay_s=0.003)
    back = SimulatedLink(6, loss=loss, reorder=1, delay_s=0.001)
    cores = JoinedCores(there, back)
    ledger = run(cores, 1000)
    frames = frames_in(cores.events)
    check_frames(frames)
    assert [frame.whole.number for frame in frames] == sorted(f.whole.number for f in frames)
    assert ledger.delivered == len(frames) >= (995 if loss < 0.3 else 850)
    assert ledger.repaired_by_nack > 1000 * loss
    assert ledger.repaired_by_parity == 0
    # No frame comes later than the budget allows, be it that an earlier one is repaired.
    assert max(frame.latency_s or 0.0 for frame in frames) < 0.15


def test_the_same_seeds_give_the_same_books() -> None:
    def once() -> tuple[object, ...]:
        there = SimulatedLink(7, loss=0.05, burst=3, reorder=5, duplicate=0.02)
        ledger = run(JoinedCores(there, SimulatedLink(8)), 200)
        return ledger.sent, ledger.delivered, dict(ledger.lost), ledger.link.duplicates

    assert once() == once()


@pytest.mark.parametrize("ahead_s", [-86_400.0, 0.0, 3.7e8])
@pytest.mark.parametrize(("there_s", "back_s"), [(0.001, 0.001), (0.001, 0.02), (0.02, 0.001)])
def test_the_clock_offset_is_found_within_its_error(
    ahead_s: float, there_s: float, back_s: float
) -> None:
    cores = JoinedCores(
        SimulatedLink(9, delay_s=there_s), SimulatedLink(10, delay_s=back_s), ahead_s=ahead_s
    )
    cores.run(1.0)
    estimate = cores.sender.clock_estimate
    assert estimate is not None
    assert abs(estimate.offset_us / 1e6 + ahead_s) <= estimate.error_us / 1e6 + 2e-6
    assert estimate.error_us == pytest.approx((there_s + back_s) / 2 * 1e6, abs=2)
    cores.send(payload_of(0))
    (frame,) = frames_in(cores.events)
    assert frame.latency_s == pytest.approx(there_s, abs=estimate.error_us / 1e6 + 2e-5)
    (report,) = cores.receiver.reports()
    assert report.clock_error_s == estimate.error_us / 1e6


def test_a_receiver_that_comes_later_is_found_and_counts_from_then() -> None:
    cores = JoinedCores(SimulatedLink(11), SimulatedLink(12))
    for number in range(50):
        cores.sender.packetize(payload_of(number), Codec.JPEG, SIZE_WH, 0.0, 0.0)
        cores.sender.frame_sent(0.0)  # nobody was there to hear
    ledger = run_from(cores, 50, 100)
    assert (ledger.sent, ledger.delivered) == (50, 50)


def run_from(cores: JoinedCores, first: int, end: int) -> Ledger:
    for number in range(first, end):
        cores.send(payload_of(number))
    cores.say_bye()
    cores.run(0.2)
    (event,) = ended_in(cores.events)
    return event.report.ledger


def test_a_dead_link_that_comes_back_is_one_stream_with_a_gap() -> None:
    cores = JoinedCores(SimulatedLink(13), SimulatedLink(14))
    for number in range(30):
        cores.send(payload_of(number))
    alive, cores.there = cores.there, SimulatedLink(15, loss=1.0)
    for number in range(30, 60):
        cores.send(payload_of(number))
    cores.there = alive
    ledger = run_from(cores, 60, 90)
    check_frames(frames_in(cores.events))
    # Of the outage the last two frames are not too late, are asked for and come.
    assert ledger.repaired_by_nack == 2
    assert (ledger.sent, ledger.delivered, ledger.lost) == (90, 62, {Loss.UNSEEN: 28})


def test_a_lost_end_is_counted_by_the_bye() -> None:
    cores = JoinedCores(SimulatedLink(16), SimulatedLink(17))
    for number in range(10):
        cores.send(payload_of(number))
    alive, cores.there = cores.there, SimulatedLink(18, loss=1.0)
    cores.send(payload_of(10))
    cores.there = alive
    ledger = run_from(cores, 11, 11)
    assert (ledger.sent, ledger.delivered, ledger.lost) == (11, 10, {Loss.UNSEEN: 1})
