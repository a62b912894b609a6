from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.link_tools import balanced, datagrams_of, payload_of
from udpstream.core.ledger import Ledger, Loss
from udpstream.core.pool import BufferPool
from udpstream.core.reassembly import LATENCY_BUDGET_S, Reassembler, WholeFrame
from udpstream.core.repair import (
    FIRST_RETRY_S,
    LEAST_RETRY_S,
    MAX_TRIES,
    MOST_REORDER_S,
    MOST_TAIL_S,
    REORDER_S,
    RETRY_GROWTH,
    TAIL_S,
    RepairTiming,
)
from udpstream.protocol import Ask, parse_frame_header

# -- when to ask --------------------------------------------------------------


def first_ask(timing: RepairTiming, ended_at: float | None = None) -> float:
    """When to ask first, after the last datagram came at 0."""
    return timing.due(
        progress_at=0.0, ended_at=ended_at, tries=0, asked_at=0.0, overdue_at=math.inf
    )


def retry(timing: RepairTiming, tries: int) -> float:
    """How long after the latest of so many asks comes the next."""
    due_at = timing.due(
        progress_at=0.0, ended_at=None, tries=tries, asked_at=5.0, overdue_at=math.inf
    )
    return due_at - 5.0


def test_a_tail_is_asked_for_after_a_short_silence() -> None:
    assert first_ask(RepairTiming()) == TAIL_S


def test_nothing_is_asked_for_that_would_come_too_late() -> None:
    timing = RepairTiming()
    timing.round_trip_s = 0.05

    def ask_at(overdue_at: float) -> float:
        return timing.due(
            progress_at=0.0, ended_at=None, tries=0, asked_at=0.0, overdue_at=overdue_at
        )

    assert ask_at(TAIL_S + 0.05) == TAIL_S
    assert ask_at(TAIL_S + 0.0499) == math.inf


def test_the_first_retry_waits_for_longer_than_the_round_trip() -> None:
    timing = RepairTiming()
    assert retry(timing, 1) == pytest.approx(FIRST_RETRY_S)
    timing.round_trip_s = 0.04
    assert 0.04 < retry(timing, 1) < 0.08


def test_a_later_frame_cuts_the_wait_to_the_reorder_allowance_and_never_lengthens_it() -> None:
    assert first_ask(RepairTiming(), ended_at=0.0005) == 0.0005 + REORDER_S
    assert first_ask(RepairTiming(), ended_at=1.0) == TAIL_S


def test_the_reorder_allowance_doubles_with_each_ask_in_vain_up_to_a_bound_and_falls_again() -> (
    None
):
    timing = RepairTiming()
    waits = []
    for _ in range(8):
        timing.asked_in_vain()
        waits.append(first_ask(timing, ended_at=0.0))
    assert waits[:3] == [2 * REORDER_S, 4 * REORDER_S, 8 * REORDER_S]
    assert waits[-1] == MOST_REORDER_S
    for _ in range(30):  # a second of frames that were whole by themselves
        timing.silence(0.0)
    assert REORDER_S < first_ask(timing, ended_at=0.0) < 0.6 * MOST_REORDER_S
    for _ in range(300):
        timing.silence(0.0)
    assert first_ask(timing, ended_at=0.0) == REORDER_S


def test_the_tail_timer_learns_a_senders_pauses_within_a_bound() -> None:
    timing = RepairTiming()
    timing.silence(0.004)
    assert first_ask(timing) == 0.008
    timing.silence(0.001)
    assert 0.0078 < first_ask(timing) < 0.008
    timing.silence(5.0)  # this receiver's own
    assert first_ask(timing) == 2 * MOST_TAIL_S
    for _ in range(300):
        timing.silence(0.0)
    assert first_ask(timing) == TAIL_S


def test_retries_grow_and_end() -> None:
    timing = RepairTiming()
    waits = [retry(timing, tries) for tries in range(1, MAX_TRIES + 1)]
    assert waits[0] == pytest.approx(FIRST_RETRY_S)
    for shorter, longer in itertools.pairwise(waits[:-1]):
        assert longer == pytest.approx(RETRY_GROWTH * shorter)
    assert waits[-1] == math.inf


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_retries_wait_for_a_little_longer_than_answers_take(answers_s: list[float]) -> None:
    timing = RepairTiming()
    smooth_s = answers_s[0]
    for answer_s in answers_s:
        timing.answered(answer_s)
        smooth_s += (answer_s - smooth_s) / 8
    assert retry(timing, 1) == pytest.approx(max(LEAST_RETRY_S, 1.5 * smooth_s))


# -- who asks -----------------------------------------------------------------


class Asking:
    """A reassembler whose sender hears it, on a clock that is told."""

    def __init__(self, *, can_ask: bool = True) -> None:
        self.ledger = Ledger()
        self.core = Reassembler(self.ledger, pool=BufferPool(), max_frame_bytes=1 << 20)
        self.core.can_ask = can_ask
        self.core.announce(0, 0.0)
        self.frames: list[WholeFrame] = []

    def feed(self, datagrams: NDArray[np.uint8], now: float) -> list[int]:
        """Feed datagrams; return the numbers of the frames that came of it."""
        while len(datagrams):
            taken = self.core.feed_run(datagrams, now)
            if not taken:
                taken, _ = self.core.feed(parse_frame_header(datagrams[0].data), datagrams, now)
            datagrams = datagrams[taken:]
        return self._take()

    def expire(self, now: float) -> list[int]:
        self.core.expire(now)
        return self._take()

    def asks_from(self, now: float, until: float) -> Iterator[tuple[float, list[Ask]]]:
        """Let the timers run; each time that something is asked for, say when and what."""
        while (timer := self.core.next_timer()) is not None and timer <= until:
            now = max(now, timer)
            self.core.expire(now)
            asks = self.core.asks()
            if asks:
                yield now, asks

    def _take(self) -> list[int]:
        frames = self.core.frames()
        assert balanced(self.ledger)
        for frame in frames:
            assert np.array_equal(frame.payload, payload_of(frame.number, len(frame.payload)))
        self.frames += frames
        return [frame.number for frame in frames]


def without(number: int, *lost: int, **options: int) -> NDArray[np.uint8]:
    return np.delete(datagrams_of(number, **options), lost, axis=0)  # type: ignore[arg-type]


def test_a_chunk_that_is_missing_is_asked_for_and_makes_the_frame_whole() -> None:
    fed = Asking()
    assert fed.feed(without(0, 4, 5, 8), 0.0) == []
    assert fed.core.next_timer() == pytest.approx(TAIL_S)
    fed.expire(TAIL_S - 1e-6)
    assert fed.core.asks() == []
    fed.expire(TAIL_S)
    assert fed.core.asks() == [Ask(0, 0, 4, 2), Ask(0, 0, 8, 1)]
    assert fed.feed(datagrams_of(0)[[4, 5, 8]], 0.004) == [0]
    assert (fed.ledger.repaired_by_nack, fed.ledger.repaired_by_parity) == (1, 0)
    assert fed.ledger.repair_bytes == 3 * 124
    counts = fed.ledger.link
    assert (counts.expected, counts.received, counts.runs) == (10, 7, 2)
    assert (counts.reordered, counts.duplicates) == (0, 0)
    assert (fed.core.memory_bytes, fed.core.next_timer()) == (0, None)


def test_nothing_is_asked_for_that_parity_restores() -> None:
    fed = Asking()
    assert fed.feed(without(0, 4, 5, parity=2), 0.0) == [0]
    fed.feed(without(1, 4, 5, 6, 7, parity=2), 0.033)
    ((_, asks),) = itertools.islice(fed.asks_from(0.033, 1.0), 1)
    assert asks == [Ask(1, 0, 4, 2)]  # and parity restores the other two
    assert fed.feed(datagrams_of(1, parity=2)[4:6], 0.04) == [1]
    assert (fed.ledger.repaired_by_parity, fed.ledger.repaired_by_nack) == (1, 1)
    assert fed.ledger.parity_bytes == 4 * 124
    assert fed.ledger.repair_bytes == 2 * 124


def test_parity_that_comes_late_among_repairs_is_counted_as_parity() -> None:
    fed = Asking()
    fed.feed(without(0, 4, 5, 6, 7, 10, 11, parity=2), 0.0)
    ((_, asks),) = itertools.islice(fed.asks_from(0.0, 1.0), 1)
    assert asks == [Ask(0, 0, 4, 4)]
    assert fed.feed(datagrams_of(0, parity=2)[[4, 10, 5, 11]], 0.01) == [0]
    assert (fed.ledger.parity_bytes, fed.ledger.repair_bytes) == (2 * 124, 2 * 124)


def test_a_frame_that_was_not_seen_is_asked_for_in_one_piece() -> None:
    fed = Asking()
    fed.feed(datagrams_of(0), 0.0)
    assert fed.feed(datagrams_of(2), 0.066) == []
    ((at, asks),) = itertools.islice(fed.asks_from(0.066, 1.0), 1)
    assert asks == [Ask(1)]
    assert at == pytest.approx(0.066 + REORDER_S)
    assert fed.feed(datagrams_of(1), 0.07) == [1, 2]
    assert fed.ledger.repaired_by_nack == 1
    assert fed.ledger.link.received == 20


def test_a_repair_that_is_lost_is_asked_for_again_so_often_and_no_more() -> None:
    fed = Asking()
    fed.feed(without(0, 4), 0.0)
    asked = list(fed.asks_from(0.0, 1.0))
    assert all(asks == [Ask(0, 0, 4, 1)] for _, asks in asked)
    assert 4 < len(asked) <= MAX_TRIES
    assert asked[0][0] == pytest.approx(TAIL_S)
    assert asked[1][0] - asked[0][0] == pytest.approx(FIRST_RETRY_S)
    assert asked[-1][0] < LATENCY_BUDGET_S
    assert fed.ledger.lost == {Loss.MISSING: 1}


def test_a_frame_that_was_asked_for_whole_has_as_many_tries_as_any_other() -> None:
    fed = Asking()
    fed.feed(datagrams_of(0), 0.0)
    fed.feed(datagrams_of(2), 0.005)
    asked = [at for at, _ in itertools.islice(fed.asks_from(0.005, 1.0), 4)]
    fed.feed(datagrams_of(1)[:1], asked[-1] + 0.001)  # one datagram of the answer
    asked += [at for at, _ in fed.asks_from(asked[-1] + 0.001, 1.0)]
    assert 4 < len(asked) <= MAX_TRIES
    assert fed.ledger.lost == {Loss.MISSING: 1}


def test_only_the_end_of_an_outage_is_asked_for() -> None:
    fed = Asking()
    fed.feed(datagrams_of(0), 0.0)
    fed.feed(datagrams_of(100), 3.3)
    ((_, asks),) = itertools.islice(fed.asks_from(3.3, 4.0), 1)
    assert asks == [Ask(number) for number in range(98, 100)]  # those before are overdue
    fed.feed(datagrams_of(1_000), 3.4)
    ((_, asks),) = itertools.islice(fed.asks_from(3.4, 3.41), 1)
    assert asks == [Ask(number) for number in range(996, 1_000)]


def test_a_lost_tail_of_all_is_asked_for_when_a_hello_tells_of_it() -> None:
    fed = Asking()
    fed.feed(datagrams_of(0), 0.0)
    fed.core.announce(2, 0.05)
    ((_, asks),) = itertools.islice(fed.asks_from(0.05, 1.0), 1)
    assert asks == [Ask(1)]
    assert fed.feed(datagrams_of(1), 0.06) == [1]


def test_who_is_not_heard_asks_for_nothing_and_holds_nothing() -> None:
    fed = Asking(can_ask=False)
    assert fed.feed(without(0, 4), 0.0) == []
    assert fed.feed(datagrams_of(1), 0.03) == [1]
    assert fed.feed(datagrams_of(3), 0.09) == [3]
    assert list(fed.asks_from(0.09, 1.0)) == []
    assert fed.ledger.lost == {Loss.MISSING: 1, Loss.UNSEEN: 1}
    assert fed.core.memory_bytes == 0


# -- order, and the budget ----------------------------------------------------


def test_frames_wait_in_order_for_one_that_is_being_repaired() -> None:
    fed = Asking()
    fed.feed(without(0, 4), 0.0)
    assert fed.feed(datagrams_of(1), 0.01) == []
    assert fed.feed(datagrams_of(2), 0.02) == []
    assert fed.core.memory_bytes > 2000
    assert fed.feed(datagrams_of(1), 0.02) == []  # what comes again of one that waits
    fed.expire(0.021)
    assert fed.feed(datagrams_of(0)[4:5], 0.03) == [0, 1, 2]
    assert fed.core.memory_bytes == 0
    assert fed.ledger.link.duplicates == 10


def test_a_dead_frame_delays_the_next_by_no_more_than_the_budget() -> None:
    fed = Asking()
    fed.feed(without(0, 4), 0.0)
    assert fed.feed(datagrams_of(1), 0.033) == []
    assert fed.expire(LATENCY_BUDGET_S - 1e-6) == []
    assert fed.expire(LATENCY_BUDGET_S) == [1]
    assert fed.ledger.lost == {Loss.MISSING: 1}
    assert fed.feed(datagrams_of(0)[4:5], 0.11) == []  # too late
    assert fed.ledger.lost == {Loss.MISSING: 1}
    assert fed.ledger.link.received == 19  # it is an answer, and no late original


def test_datagrams_that_trickle_in_do_not_make_the_next_frame_wait_on() -> None:
    fed = Asking()
    rows = datagrams_of(0, 10_000)
    fed.feed(rows[:1], 0.0)
    fed.feed(datagrams_of(1), 0.01)
    got = []
    for at in range(1, 9):
        now = 0.04 * at
        got += [(now, number) for number in fed.expire(now)]
        got += [(now, number) for number in fed.feed(rows[at : at + 1], now)]
    assert got == [(0.12, 1)]


def test_frames_behind_ones_whose_asks_nobody_answers_wait_no_more() -> None:
    fed = Asking()
    delays = []
    for number in range(12):
        now = number / 30
        frames = fed.feed(without(number, 4) if number % 2 else datagrams_of(number), now)
        for _ in fed.asks_from(now, now + 1 / 30 - 1e-9):
            pass
        delays += [now - each / 30 for each in frames + fed.expire(now + 1 / 30 - 1e-9)]
    assert max(delays) < LATENCY_BUDGET_S
    assert fed.feed(datagrams_of(12), 0.4) == [12]
    fed.feed(without(13, 4), 0.433)
    assert fed.feed(datagrams_of(14), 0.466) == [14]  # though 13 lacks a chunk
    fed.expire(0.467)
    assert fed.core.asks() == [Ask(13, 0, 4, 1)]  # and is asked for


def test_an_answer_makes_frames_wait_again() -> None:
    fed = Asking()
    for number in range(10):
        fed.feed(without(number, 4), number / 30)
        for _ in fed.asks_from(number / 30, (number + 1) / 30):
            pass
    assert fed.feed(datagrams_of(10), 10 / 30) == [10]
    fed.feed(without(11, 4), 11 / 30)
    fed.expire(11 / 30 + 0.005)
    assert fed.feed(datagrams_of(11)[4:5], 11 / 30 + 0.006) == [11]
    fed.feed(without(12, 4), 12 / 30)
    assert fed.feed(datagrams_of(13), 13 / 30) == []


def test_when_the_way_back_is_lost_what_waits_is_let_go() -> None:
    fed = Asking()
    fed.feed(without(0, 4), 0.0)
    assert fed.feed(datagrams_of(1), 0.01) == []
    fed.core.can_ask = False  # a HELLO told so
    assert fed.expire(0.011) == [1]


def test_evicting_what_others_wait_for_lets_them_go() -> None:
    fed = Asking()
    fed.feed(without(0, 4), 0.0)
    assert fed.feed(datagrams_of(1), 0.01) == []
    assert fed.core.evict_oldest()
    assert fed.expire(0.01) == [1]
    assert (fed.core.memory_bytes, fed.core.next_timer()) == (0, None)
    assert fed.ledger.lost == {Loss.EVICTED: 1}


def test_finishing_hands_on_what_waits() -> None:
    fed = Asking()
    fed.feed(without(0, 4), 0.0)
    fed.feed(datagrams_of(1), 0.01)
    fed.core.finish(0.02)
    assert fed.expire(0.02) == [1]
    assert fed.ledger.in_flight == fed.core.memory_bytes == 0


# -- what comes after all -----------------------------------------------------


def test_the_original_after_the_frame_is_whole_teaches_patience() -> None:
    fed = Asking()
    fed.feed(without(0, 4), 0.0)
    fed.expire(TAIL_S)
    fed.feed(datagrams_of(0)[4:5], 0.004)  # the answer
    fed.feed(datagrams_of(0)[4:5], 0.005)  # and the original
    assert (fed.ledger.link.received, fed.ledger.link.reordered) == (10, 1)
    fed.feed(without(1, 4), 0.033)
    fed.feed(datagrams_of(2)[:1], 0.033)
    assert fed.core.next_timer() == pytest.approx(0.033 + 2 * REORDER_S)


def test_a_second_answer_teaches_nothing_and_was_not_sent_by_itself() -> None:
    fed = Asking()
    fed.feed(without(0, 4), 0.0)
    assert len(list(itertools.islice(fed.asks_from(0.0, 1.0), 2))) == 2
    fed.feed(datagrams_of(0)[4:5], 0.02)
    fed.feed(datagrams_of(0)[4:5], 0.03)
    counts = fed.ledger.link
    assert (counts.expected, counts.received, counts.reordered) == (10, 9, 0)
    assert counts.duplicates == 1
    fed.feed(without(1, 4), 0.033)
    fed.feed(datagrams_of(2)[:1], 0.033)
    assert fed.core.next_timer() == pytest.approx(0.033 + REORDER_S)


@pytest.mark.parametrize("parity", [0, 2])
def test_a_bad_link_of_thousands_of_datagrams_leaves_nothing_behind(parity: int) -> None:
    """Losses both ways, displaced and repeated datagrams: order, budget, books, memory."""
    rng = np.random.default_rng(5)
    fed = Asking()
    arriving: list[tuple[float, np.intp | int, NDArray[np.uint8]]] = []
    frames = {number: datagrams_of(number, parity=parity) for number in range(150)}
    for number, rows in frames.items():
        copies = rng.choice([0, 1, 1, 1, 1, 1, 1, 1, 2], len(rows))
        arriving += [(number / 30 + rng.random() * 0.004, at, rows[at : at + 1])
                     for at in np.repeat(np.arange(len(rows)), copies)]  # fmt: skip
    got: list[tuple[float, int]] = []
    now = 0.0
    while arriving or fed.core.next_timer() is not None:
        arriving.sort(key=lambda each: each[:2])
        timer = fed.core.next_timer()
        if arriving and (timer is None or arriving[0][0] <= timer):
            now, _, row = arriving.pop(0)
            got += [(now, number) for number in fed.feed(row, now)]
            continue
        now = max(now, timer or 0.0)
        got += [(now, number) for number in fed.expire(now)]
        for ask in fed.core.asks():
            rows = frames[ask.frame]
            if ask.chunks:
                rows = rows[ask.index : ask.index + ask.chunks]
            arriving += [(now + 0.001 + rng.random() * 0.01, 0, row[None, :])
                         for row in rows if rng.random() > 0.2]  # fmt: skip
    numbers = [number for _, number in got]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 148
    assert max(at - number / 30 for at, number in got) < 0.004 + LATENCY_BUDGET_S
    assert fed.core.memory_bytes == fed.core.partial_frames == 0
    assert fed.ledger.sent - fed.ledger.delivered == fed.ledger.total_lost <= 2
    assert fed.ledger.repaired_by_nack > 20
    assert fed.ledger.link.lost_share == pytest.approx(1 / 9, abs=0.04)
