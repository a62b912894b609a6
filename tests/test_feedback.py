from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.feedback import LinkObserver, LinkSample
from udpstream.protocol import Report

OFFSET_US = 5_000_000_000  # the receiver's clock is far ahead of the sender's


def report(number: int, **fields: int) -> Report:
    """Report `number` of a receiver to which all came: 6 frames of 30 datagrams in 0.2 s."""
    frames = 6 * (number + 1)
    left_us = (frames - 1) * 33_333
    values = {
        "epoch": 1, "number": number, "clock_us": OFFSET_US + 200_000 * (number + 1),
        "frame": frames - 1, "arrived_us": OFFSET_US + left_us + 700,
        "expected": 30 * frames, "received": 30 * frames, "runs": 0, "reordered": 0,
        "duplicates": 0, "kernel_dropped": 0, "wire_bytes": 42_000 * frames,
        "delivered": frames, "lost": 0, "jitter_us": 0, "receive_buffer_bytes": 212_992,
        "waiting": 0, "partial": 0,
    }  # fmt: skip
    return Report(**(values | fields))


def observer(frames: int = 600) -> LinkObserver:
    """One that saw frames leave at once, 30 a second."""
    link = LinkObserver()
    for number in range(frames):
        link.frame_left(number, 30, number * 33_333, number * 33_333)
    return link


def test_a_sample_is_the_difference_of_two_reports() -> None:
    link = observer()
    assert link.report(report(0), 0.2) is None
    sample = link.report(
        report(1, received=352, runs=4, reordered=3, kernel_dropped=2, lost=1, jitter_us=1500), 0.4
    )
    assert sample == LinkSample(
        span_s=0.2, expected=180, lost=8, runs=4, reordered=3, kernel_dropped=2,
        wire_bytes=252_000, frames_lost=1, jitter_s=0.0015, queue_s=0.0,
    )  # fmt: skip
    assert sample.loss == pytest.approx(8 / 180)
    assert sample.mean_burst == 2
    assert sample.bytes_per_s == pytest.approx(1_260_000)


def test_a_lost_report_loses_nothing() -> None:
    link = observer()
    link.report(report(0), 0.2)
    sample = link.report(report(3, received=700), 0.8)
    assert sample is not None
    assert sample.span_s == pytest.approx(0.6)
    assert (sample.expected, sample.lost) == (540, 20)


def test_a_datagram_that_came_late_is_a_loss_made_good() -> None:
    link = observer()
    link.report(report(0, received=178), 0.2)
    sample = link.report(report(1, received=360), 0.4)
    assert sample is not None
    assert sample.lost == -2
    assert sample.loss == 0
    assert sample.mean_burst == 1


def test_old_and_repeated_reports_are_ignored() -> None:
    link = observer()
    link.report(report(0), 0.2)
    assert link.report(report(2), 0.6) is not None
    assert link.report(report(1), 0.61) is None
    assert link.report(report(2), 0.62) is None
    sample = link.report(report(3), 0.8)
    assert sample is not None
    assert sample.expected == 180


@pytest.mark.parametrize(
    "fields",
    [
        {"received": 2**40},
        {"received": 10},
        {"runs": -1},
        {"wire_bytes": 2**60},
        {"wire_bytes": 0},
        {"clock_us": OFFSET_US},
        {"clock_us": 2**63},
    ],
)
def test_nonsense_is_ignored(fields: dict[str, int]) -> None:
    link = observer()
    link.report(report(0), 0.2)
    assert link.report(report(1, **fields), 0.4) is None
    sample = link.report(report(2), 0.6)
    assert sample is not None
    assert sample.expected == 360


def test_a_restarted_receiver_is_begun_anew() -> None:
    link = observer()
    link.report(report(40), 8.2)
    again = {"clock_us": OFFSET_US + 9_000_000}
    assert link.report(report(0, **again), 9.0) is None
    sample = link.report(report(1, clock_us=OFFSET_US + 9_200_000), 9.2)
    assert sample is not None
    assert sample.expected == 180


def test_a_forged_report_blinds_nobody_for_long() -> None:
    link = observer()
    link.report(replace(report(0), number=0xFFFF_FFFF, clock_us=2**63), 0.2)
    samples = [link.report(report(number), 0.2 * number) for number in range(2, 12)]
    assert samples[-1] is not None


def test_two_reports_at_once_are_one() -> None:
    link = observer()
    link.report(report(0), 0.2)
    near = replace(report(1), clock_us=report(0).clock_us + 10_000)
    assert link.report(near, 0.21) is None
    sample = link.report(report(2), 0.6)
    assert sample is not None
    assert sample.expected == 360


def test_the_queue_is_what_a_frame_took_beyond_the_least() -> None:
    link = observer()
    delays_us = [9_000, 2_000, 2_500, 32_000, 2_000]
    queues_s = []
    for number, delay_us in enumerate(delays_us):
        plain = report(number)
        sample = link.report(replace(plain, arrived_us=plain.arrived_us + delay_us), 0.2 * number)
        queues_s.append(sample and sample.queue_s)
    assert queues_s == [None, 0, pytest.approx(0.0005), pytest.approx(0.03), 0]


def test_clocks_that_drift_make_no_queue() -> None:
    link = observer(5000)
    queues_s = []
    for number in range(800):
        plain = report(number)
        drift_us = number * 200_000 // 10_000  # 100 in a million
        shifted = replace(
            plain, clock_us=plain.clock_us + drift_us, arrived_us=plain.arrived_us + drift_us
        )
        sample = link.report(shifted, 0.2 * number)
        # A report can only tell of a frame that is remembered.
        queues_s.append((sample and sample.queue_s) or 0.0)
    assert max(queues_s) <= 0.0021


def paced(link: LinkObserver, number: int) -> None:
    """Frame `number` of 31 datagrams leaves over 24 ms."""
    link.frame_left(number, 31, number * 33_333, number * 33_333 + 24_000)


def test_a_report_amid_a_frame_is_not_taken_for_its_end() -> None:
    link = LinkObserver()
    for number in range(100):
        paced(link, number)
    queues_s = []
    for number in range(16):
        frame, place = 6 * number + 5, 31 if number % 4 == 0 else 7 * (number % 4)
        sent_us = frame * 33_333 + (place - 1) * 800
        one = report(
            number, frame=frame, expected=31 * frame + place - 10, received=31 * frame - 20,
            arrived_us=OFFSET_US + sent_us + 300 + (20_000 if number == 15 else 0),
            clock_us=OFFSET_US + sent_us + 400 + (20_000 if number == 15 else 0),
        )  # fmt: skip
        sample = link.report(one, 0.2 * number)
        queues_s.append(sample and sample.queue_s)
    assert queues_s[1:15] == [pytest.approx(0, abs=2e-6)] * 14
    assert queues_s[15] == pytest.approx(0.02, abs=2e-6)


def test_a_frame_can_be_reported_before_it_has_left() -> None:
    link = LinkObserver()
    for number in range(6):
        link.frame_left(number, 30, number * 33_333, number * 33_333)
    link.report(report(0), 0.2)
    for number in range(6, 12):
        link.frame_left(number, 30, number * 33_333, number * 33_333)
        link.frame_left(number, 30, number * 33_333, number * 33_333 - 500)  # as it turned out
    sample = link.report(report(1), 0.4)
    assert sample is not None
    assert sample.queue_s == pytest.approx(0.0005)


@pytest.mark.parametrize("fields", [{"frame": 9999}, {"arrived_us": 0}, {"arrived_us": 2**63}])
def test_what_is_not_known_is_no_queue(fields: dict[str, int]) -> None:
    link = observer()
    link.report(report(0), 0.2)
    sample = link.report(report(1, **fields), 0.4)
    assert sample is not None
    assert sample.queue_s is None


def test_frames_are_forgotten_and_their_numbers_wrap() -> None:
    link = LinkObserver()
    first = 2**32 - 1500
    for number in range(first, first + 3000):
        link.frame_left(number, 30, 0, 0)
    assert len(link._departures) == 1024
    last = (first + 2999) % 2**32
    link.report(report(0), 0.2)
    sample = link.report(report(1, frame=last), 0.4)
    assert sample is not None
    assert sample.queue_s is not None


@given(st.lists(st.tuples(*[st.integers(0, 2**64 - 1) | st.integers(0, 1000)] * 12), max_size=40))
def test_nothing_that_a_receiver_says_is_believed_beyond_reason(
    rows: list[tuple[int, ...]],
) -> None:
    link = observer(50)
    for at, row in enumerate(rows):
        hostile = Report(
            1, row[0] % 2**32, row[1], row[2] % 2**32, row[3], row[4], row[5], row[6], row[7],
            row[8], row[9], row[10], row[11], 0, row[0] % 2**32, 0, 0, 0,
        )  # fmt: skip
        sample = link.report(hostile, at * 0.2)
        if sample is not None:
            assert sample.span_s > 0
            assert 0 <= sample.loss <= 1
            assert sample.mean_burst >= 1
            assert 0 <= sample.bytes_per_s <= 12.5e9
            assert sample.queue_s is None or sample.queue_s >= 0
    assert len(link._delays) <= 256
