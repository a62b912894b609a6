from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.link_tools import SIZE_WH, WALL_S, payload_of
from udpstream.core.adaptation import Adaptation
from udpstream.core.feedback import LinkSample
from udpstream.core.pacing import STOCK_RECEIVE_BUFFER_BYTES, pace_frame
from udpstream.core.picture import Limits
from udpstream.core.sending import (
    FIRST_HELLO_PERIOD_S,
    FIRST_HELLOS,
    HELLO_PERIOD_S,
    RESULT_KEPT_S,
    UNANSWERED_HELLO_PERIOD_S,
    WELCOME_TIMEOUT_S,
    SenderCore,
)
from udpstream.protocol import (
    MAX_ASKS,
    NO_ESTIMATE_US,
    Ask,
    Bye,
    Codec,
    Hello,
    Nack,
    Report,
    Result,
    Welcome,
    pack_control,
    parse_control,
    parse_frame_header,
)

EPOCH = 0x1234
WALL_US = round(WALL_S * 1e6)


def make_core(interval_s: float | None = 1 / 30, datagram_bytes: int = 1400) -> SenderCore:
    return SenderCore(
        epoch=EPOCH, session=9, datagram_bytes=datagram_bytes, interval_s=interval_s,
        wall_offset_s=WALL_S,
    )  # fmt: skip


def hello_of(core: SenderCore, now: float) -> Hello:
    datagram = core.hello_due(now)
    assert datagram is not None
    message = parse_control(datagram)
    assert isinstance(message, Hello)
    return message


def welcome(hello: Hello, *, ahead_us: int = 0, buffer_bytes: int = 8 << 20) -> bytes:
    received_us = hello.clock_us + 100 + ahead_us
    return pack_control(Welcome(EPOCH, hello.clock_us, received_us, received_us, buffer_bytes))


def there(core: SenderCore) -> bool:
    return core.receiver_is_there


def hellos_until(core: SenderCore, start: float, end: float, answer: bool) -> list[float]:
    """Run a sender that is asked every 5 ms; return when it said hello."""
    said = []
    for tick in range(round((end - start) / 0.005)):
        now = start + tick * 0.005
        if core.hello_due(now) is not None:
            said.append(now)
            if answer:
                now_us = WALL_US + round(now * 1e6)
                core.receive(pack_control(Welcome(EPOCH, now_us, now_us, now_us, 1 << 20)), now)
    return said


def test_what_a_hello_says() -> None:
    core = make_core()
    assert hello_of(core, 2.0) == Hello(EPOCH, 9, WALL_US + 2_000_000, 0, 33_333, 0, NO_ESTIMATE_US)
    core.packetize(payload_of(0), Codec.JPEG, SIZE_WH, 2.0, 2.0)
    core.frame_sent(2.0)
    assert hello_of(core, 4.0).next_frame == 1
    assert parse_control(core.bye()) == Bye(EPOCH, 1)


def test_unanswered_hellos_come_each_fifth_of_a_second() -> None:
    said = hellos_until(make_core(), 0.0, 2.0, answer=False)
    assert len(said) == pytest.approx(2.0 / UNANSWERED_HELLO_PERIOD_S, abs=1)


def test_answered_hellos_come_quickly_at_first_and_then_each_second() -> None:
    core = make_core()
    said = hellos_until(core, 0.0, 5.0, answer=True)
    gaps = np.diff(said)
    assert (gaps[: FIRST_HELLOS - 1] <= FIRST_HELLO_PERIOD_S + 0.005).all()
    assert gaps[FIRST_HELLOS:] == pytest.approx(HELLO_PERIOD_S, abs=0.006)
    assert core.next_hello_at == pytest.approx(said[-1] + HELLO_PERIOD_S)


def test_a_receiver_that_answers_no_more_is_forgotten() -> None:
    core = make_core()
    hellos_until(core, 0.0, 1.0, answer=True)
    assert there(core)
    said = hellos_until(core, 1.0, 1.0 + WELCOME_TIMEOUT_S + 3.0, answer=False)
    assert not there(core)
    assert core.clock_estimate is None
    assert said[-1] - said[-2] == pytest.approx(UNANSWERED_HELLO_PERIOD_S, abs=0.006)


def test_a_bye_forgets_the_receiver_at_once() -> None:
    core = make_core()
    core.receive(welcome(hello_of(core, 0.0)), 0.001)
    assert there(core)
    core.receive(pack_control(Bye(EPOCH, 0)), 0.002)
    assert not there(core)


def test_no_hello_is_due_in_the_midst_of_a_frame() -> None:
    core = make_core()
    core.packetize(payload_of(0), Codec.JPEG, SIZE_WH, 0.0, 0.0)
    assert core.hello_due(5.0) is None
    assert core.next_hello_at == math.inf  # so that nobody asks for it again and again
    core.frame_sent(5.0)
    assert core.next_hello_at <= 5.0
    assert core.hello_due(5.0) is not None


def test_the_clock_offset_is_told_with_the_next_hello() -> None:
    core = make_core()
    core.receive(welcome(hello_of(core, 0.0), ahead_us=-7_000_000), 0.0002)
    hello = hello_of(core, 0.0002)
    assert hello.offset_us == -7_000_000
    assert hello.offset_error_us == 100


def test_frames_are_paced_for_a_stock_buffer_until_the_receiver_tells_its_own() -> None:
    core = make_core()
    payload = payload_of(0, 921_600)
    _, stock = core.packetize(payload, Codec.JPEG, SIZE_WH, 0.0, 0.0)
    core.frame_sent(0.0)
    core.receive(welcome(hello_of(core, 0.0), buffer_bytes=8 << 20), 0.001)
    _, large = core.packetize(payload, Codec.JPEG, SIZE_WH, 0.0, 0.0)
    core.receive(pack_control(Bye(EPOCH, 0)), 0.002)
    _, again = core.packetize(payload, Codec.JPEG, SIZE_WH, 0.0, 0.0)
    assert stock == again == pace_frame(670, 1400, STOCK_RECEIVE_BUFFER_BYTES, 1 / 30)
    assert stock is not None
    assert stock.burst < 670
    assert large is None


def test_a_rate_paces_what_the_receivers_buffer_would_hold() -> None:
    adaptation = Adaptation(quality=80, limits=Limits(max_rate_bytes_per_s=1e6))
    core = SenderCore(
        epoch=EPOCH, session=9, datagram_bytes=1400, interval_s=1 / 30, wall_offset_s=WALL_S,
        adaptation=adaptation,
    )  # fmt: skip
    core.receive(welcome(hello_of(core, 0.0), buffer_bytes=8 << 20), 0.001)
    frame, pace = core.packetize(payload_of(0, 20_000), Codec.JPEG, SIZE_WH, 0.0, 0.0)
    assert pace is not None
    assert pace.takes_s(len(frame)) == pytest.approx(0.02, rel=0.15)


def test_a_spread_frame_is_kept_once_and_reported_of_while_it_leaves() -> None:
    core = make_core()
    core.receive(welcome(hello_of(core, 0.0)), 0.001)
    core._receive_buffer_bytes = STOCK_RECEIVE_BUFFER_BYTES
    samples: list[LinkSample] = []
    core.adaptation.sample = lambda sample, now: samples.append(sample)  # type: ignore[method-assign]
    frame, pace = core.packetize(payload_of(0, 921_600), Codec.JPEG, SIZE_WH, 1.0, 1.0)
    assert pace is not None
    frame.burst(0, pace.burst)
    plain = Report(
        EPOCH, number=0, clock_us=WALL_US + 1_001_000, frame=0, arrived_us=WALL_US + 1_000_500,
        expected=1, received=1, runs=0, reordered=0, duplicates=0, kernel_dropped=0,
        wire_bytes=1400, delivered=0, lost=0, jitter_us=0, receive_buffer_bytes=1 << 20,
        waiting=0, partial=1,
    )  # fmt: skip
    core.receive(pack_control(plain), 1.001)
    later = replace(
        plain, number=1, clock_us=WALL_US + 1_201_000, arrived_us=WALL_US + 1_001_500, expected=40,
        received=40,
    )  # fmt: skip
    core.receive(pack_control(later), 1.201)
    assert [sample.queue_s is not None for sample in samples] == [True]
    frame.whole()
    core.frame_sent(1.025)
    assert len(core._history._kept) == 1


def test_frame_numbers_rise_only_when_a_frame_has_left() -> None:
    core = make_core()
    for left_whole, expected in ((False, 0), (True, 0), (True, 1)):
        frame, _ = core.packetize(payload_of(0), Codec.JPEG, SIZE_WH, 12.5, 12.5)
        header = parse_frame_header(frame.whole()[0].data)
        assert header.frame == expected  # one that did not leave whole: its number comes again
        assert header.captured_us == (WALL_US + 12_500_000) & 0xFFFF_FFFF
        if left_whole:
            core.frame_sent(0.0)


def test_a_frame_leaves_once_however_often_it_is_said() -> None:
    core = make_core()
    core.packetize(payload_of(0), Codec.JPEG, SIZE_WH, 12.5, 12.5)
    core.frame_sent(13.0)
    core.frame_sent(13.1)
    assert core.frames_sent == 1


@given(
    st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.001, 4.0]),
)  # fmt: skip
def test_no_welcome_makes_it_unable_to_speak(
    echo_us: int, received_us: int, sent_us: int, buffer_bytes: int, now: float
) -> None:
    core = make_core()
    core.receive(pack_control(Welcome(EPOCH, echo_us, received_us, sent_us, buffer_bytes)), now)
    assert hello_of(core, 5.0).epoch == EPOCH
    _, pace = core.packetize(payload_of(0, 100_000), Codec.JPEG, SIZE_WH, 5.0, 5.0)
    assert pace is None or pace.burst >= 1


@pytest.mark.parametrize(
    ("echo_us", "received_us"),
    [(0, 5), (WALL_US, 2**64 - 1), (2**64 - 1, 2**64 - 1), (WALL_US, 0)],
)
def test_welcomes_at_the_ends_of_their_ranges(echo_us: int, received_us: int) -> None:
    core = make_core()
    core.receive(pack_control(Welcome(EPOCH, echo_us, received_us, received_us, 1)), 0.001)
    assert hello_of(core, 5.0).epoch == EPOCH


@given(st.binary(max_size=60))
def test_garbage_is_ignored(datagram: bytes) -> None:
    core = make_core()
    core.receive(datagram, 0.0)
    assert not there(core)


def test_what_is_for_another_sender_is_ignored() -> None:
    core = make_core()
    core.receive(pack_control(Welcome(EPOCH + 1, 1, 2, 3, 4)), 0.0)
    core.receive(pack_control(Hello(EPOCH, 1, 2, 3, 4)), 0.0)
    assert not there(core)
    core.receive(welcome(hello_of(core, 0.0)), 0.001)
    core.receive(pack_control(Bye(EPOCH + 1, 0)), 0.002)
    assert there(core)


def test_forged_nacks_cannot_make_it_send_more_than_its_allowance() -> None:
    core = make_core()
    core.receive(welcome(hello_of(core, 0.0)), 0.0)
    sent_bytes = repaired_bytes = 0
    asks = tuple(Ask(frame % 30) for frame in range(MAX_ASKS))
    for number in range(30):
        frame, _ = core.packetize(payload_of(number, 58_000), Codec.JPEG, SIZE_WH, 0.0, 0.0)
        sent_bytes += frame.whole().nbytes
        core.frame_sent(0.0)
        for _ in range(3):
            core.receive(pack_control(Nack(EPOCH, asks)), 0.0)
        repaired_bytes += sum(datagrams.nbytes for datagrams in core.repairs())
    assert 0 < repaired_bytes <= sent_bytes / 2 + (256 << 10)
    assert core.repairs() == []


@pytest.mark.parametrize("filled", [10, 43])
def test_a_frame_can_be_asked_for_as_soon_as_it_has_left_or_half_of_it(filled: int) -> None:
    core = make_core()
    core.receive(welcome(hello_of(core, 0.0)), 0.0)
    frame, pace = core.packetize(payload_of(0, 58_000), Codec.JPEG, SIZE_WH, 0.0, 0.0)
    assert pace is None
    assert len(frame) == 43
    frame.burst(0, filled)
    core.frame_sent(0.0)
    core.receive(pack_control(Nack(EPOCH, (Ask(0),))), 0.0)
    assert [len(datagrams) for datagrams in core.repairs()] == [filled]
    frame, _ = core.packetize(payload_of(1), Codec.JPEG, SIZE_WH, 0.0, 0.0)
    assert parse_frame_header(frame.whole()[0].data).frame == 1


def test_what_does_not_fit_the_receivers_buffer_costs_no_allowance() -> None:
    core = make_core()
    core.receive(welcome(hello_of(core, 0.0), buffer_bytes=40_000), 0.0)
    frame, _ = core.packetize(payload_of(0, 58_000), Codec.JPEG, SIZE_WH, 0.0, 0.0)
    frame.whole()
    core.frame_sent(0.0)
    for _ in range(20):  # each time all of it, 60 KB, of which half a buffer is sent
        core.receive(pack_control(Nack(EPOCH, (Ask(0),))), 0.0)
        assert [len(datagrams) for datagrams in core.repairs()] == [6]


_REPORT_FIELDS = {
    name: st.one_of(st.integers(0, 100), st.integers(0, (1 << bits) - 1))
    for name, bits in {
        "number": 32, "clock_us": 64, "frame": 32, "arrived_us": 64, "expected": 64,
        "received": 64, "runs": 64, "reordered": 64, "duplicates": 64, "kernel_dropped": 64,
        "wire_bytes": 64, "delivered": 64, "lost": 64, "jitter_us": 32,
        "receive_buffer_bytes": 32, "waiting": 16, "partial": 16,
    }.items()
}  # fmt: skip


@given(st.lists(st.fixed_dictionaries(_REPORT_FIELDS), min_size=1, max_size=12))
def test_no_reports_make_it_unable_to_send(reports: list[dict[str, int]]) -> None:
    adaptation = Adaptation(quality=80)
    core = SenderCore(
        epoch=EPOCH, session=9, datagram_bytes=1400, interval_s=1 / 30, wall_offset_s=WALL_S,
        adaptation=adaptation,
    )  # fmt: skip
    for number, fields in enumerate(reports):
        now = number / 30
        core.receive(pack_control(Report(EPOCH, **fields)), now)
        adaptation.admit(now)
        assert 1 <= (adaptation.quality or 0) <= 80
        assert 0 < adaptation.scale <= 1
        adaptation.frame_encoded(20_000, adaptation.quality, adaptation.scale)
        assert adaptation.wants_parity or not adaptation.parity(15)
        frame, pace = core.packetize(payload_of(0, 20_000), Codec.JPEG, SIZE_WH, now, now)
        assert len(frame.whole()) <= 2 * 15 + 2  # no more parity than data, as was allowed
        assert pace is None or pace.takes_s(len(frame)) <= 1 / 30
        core.frame_sent(now)
        assert isinstance(adaptation.describe(), str)


@pytest.mark.parametrize("interval_s", [None, 1e-6, 1.0, 1e5])
def test_any_interval_fits_the_hello(interval_s: float | None) -> None:
    hello = hello_of(make_core(interval_s), 0.0)
    assert hello.interval_us == min(round((interval_s or 0) * 1e6), 2**32 - 1)


# -- results ------------------------------------------------------------------


def core_that_sent(frames: int) -> SenderCore:
    """A core that has sent so many frames, and hears a receiver."""
    core = make_core()
    core.receive(welcome(hello_of(core, 0.0)), 0.001)
    core.frames_sent = frames
    return core


def say_result(core: SenderCore, frame: int, now: float = 1.0) -> None:
    core.receive(pack_control(Result(EPOCH, frame & 0xFFFF_FFFF, score=frame % 100)), now)


def shown(core: SenderCore, now: float = 1.0) -> float | None:
    """The score that is shown; the tests' results bear their frame's number as theirs."""
    result = core.result(now)
    return None if result is None else result.score


def test_the_latest_result_is_shown_and_never_an_older_one() -> None:
    core = core_that_sent(60)
    assert core.result(1.0) is None
    for frame, expected in ((10, 10), (12, 12), (11, 12), (12, 12), (59, 59), (10, 59)):
        say_result(core, frame)
        assert shown(core) == expected


def test_results_of_frames_that_were_never_sent_are_ignored() -> None:
    core = core_that_sent(60)
    for frame in (61, 1000, 2**31, -1):
        say_result(core, frame)
        assert core.result(1.0) is None
    say_result(core, 60)  # it is on its way: its last datagram may be there already
    assert shown(core) == 60
    core.frames_sent = 99
    say_result(core, 98)
    assert shown(core) == 98


def test_frame_numbers_of_results_are_made_whole() -> None:
    core = core_that_sent(2**32 + 5)
    say_result(core, 2**32 - 2)
    assert shown(core) == (2**32 - 2) % 100
    say_result(core, 2**32 + 3)
    assert shown(core) == (2**32 + 3) % 100
    say_result(core, 2**32 - 1)
    assert shown(core) == (2**32 + 3) % 100


def test_a_result_that_no_other_follows_is_forgotten() -> None:
    core = core_that_sent(60)
    say_result(core, 10, now=1.0)
    assert shown(core, 1.0 + RESULT_KEPT_S) == 10
    assert shown(core, 1.001 + RESULT_KEPT_S) is None
    say_result(core, 11, now=9.0)
    assert shown(core, 9.0) == 11


def test_results_go_with_their_receiver() -> None:
    core = core_that_sent(60)
    say_result(core, 10)
    core.receive(pack_control(Bye(EPOCH, 0)), 1.0)
    assert core.result(1.0) is None
    say_result(core, 11)  # overtaken by the bye
    assert core.result(1.0) is None
    core.receive(welcome(hello_of(core, 5.0)), 5.001)
    say_result(core, 10, 5.0)  # of the receiver before
    assert core.result(5.0) is None
    say_result(core, 12, 5.0)
    assert shown(core, 5.0) == 12


def test_results_for_another_sender_are_ignored() -> None:
    core = core_that_sent(60)
    core.receive(pack_control(Result(EPOCH + 1, 10, score=1.0)), 1.0)
    assert core.result(1.0) is None
