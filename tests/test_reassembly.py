from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.link_tools import balanced, datagrams_of, payload_of
from udpstream.core.layout import layout_of
from udpstream.core.ledger import Ledger, Loss
from udpstream.core.pool import BufferPool
from udpstream.core.reassembly import (
    LATENCY_BUDGET_S,
    MAX_ASKED_FRAMES,
    MAX_GAPS,
    MAX_PARTIAL_FRAMES,
    Reassembler,
    WholeFrame,
)
from udpstream.protocol import Codec, FrameHeader, pack_frame_header, parse_frame_header


class Fed:
    """A reassembler that is fed as the receiver's core does it, with its books checked."""

    def __init__(self, max_frame_bytes: int = 1 << 26) -> None:
        self.ledger = Ledger()
        self.core = Reassembler(self.ledger, pool=BufferPool(), max_frame_bytes=max_frame_bytes)
        self.bad = 0

    def feed(self, datagrams: NDArray[np.uint8], now: float = 0.0) -> list[WholeFrame]:
        frames = []
        while len(datagrams):
            taken = self.core.feed_run(datagrams, now)
            if not taken:
                header = parse_frame_header(datagrams[0].data)
                taken, bad = self.core.feed(header, datagrams, now)
                self.bad += bad
            assert taken > 0
            datagrams = datagrams[taken:]
            frames += self.core.frames()
            assert balanced(self.ledger)
        return frames

    def expire(self, now: float) -> None:
        self.core.expire(now)
        assert balanced(self.ledger)

    @property
    def lost(self) -> dict[Loss, int]:
        return {loss: count for loss, count in self.ledger.lost.items() if count}


def numbers(frames: list[WholeFrame]) -> list[int]:
    return [frame.number for frame in frames]


@pytest.mark.parametrize("length", [1, 500, 5_000])
def test_a_frame_is_no_view_of_what_was_read(length: int) -> None:
    datagrams = datagrams_of(0, length, datagram_bytes=1_400).copy()
    fed = Fed()
    (frame,) = fed.feed(datagrams)
    before = frame.payload.copy()
    datagrams[:] = 255 - datagrams  # as the next read does
    assert np.array_equal(frame.payload, before)


# -- round trips --------------------------------------------------------------


@given(st.integers(1, 5_000), st.integers(25, 600), st.sampled_from(Codec))
def test_what_was_cut_is_put_together(length: int, datagram_bytes: int, codec: Codec) -> None:
    fed = Fed()
    size_wh = (640, 480)
    if codec is Codec.RAW:
        length, size_wh = length * 3, (length, 1)
    datagrams = datagrams_of(0, length, datagram_bytes=datagram_bytes, codec=codec, size_wh=size_wh)
    (frame,) = fed.feed(datagrams)
    assert np.array_equal(frame.payload, payload_of(0, length))
    assert (frame.number, frame.codec, frame.size_wh) == (0, codec, size_wh)
    assert fed.core.memory_bytes == 0
    assert fed.ledger.payload_bytes == length


@given(st.data())
def test_order_repetition_and_batches_make_no_difference(data: st.DataObject) -> None:
    frames = {number: datagrams_of(number, 1000) for number in range(3)}
    rows = np.concatenate(list(frames.values()))
    order = data.draw(st.permutations(range(len(rows))))
    repeated = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10))
    arriving = rows[[*order, *repeated]]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(arriving)), max_size=6)))

    one_by_one, batched = Fed(), Fed()
    for fed in (one_by_one, batched):
        fed.core.announce(0, 0.0)
    expected = [frame for row in arriving for frame in one_by_one.feed(row[None, :])]
    got = [frame for batch in np.split(arriving, cuts) for frame in batched.feed(batch)]

    assert numbers(got) == numbers(expected) == sorted(set(numbers(got)))
    for frame in got:
        assert np.array_equal(frame.payload, payload_of(frame.number, 1000))
    for fed in (one_by_one, batched):
        fed.core.finish(1.0)
    assert batched.ledger.lost == one_by_one.ledger.lost
    assert batched.ledger.delivered + batched.ledger.lost[Loss.LATE] == 3
    assert batched.ledger.sent == 3


@given(st.sets(st.integers(0, 29)), st.integers(1, 40))
def test_losses_take_their_own_frame_and_no_other(lost: set[int], batch_rows: int) -> None:
    fed = Fed()
    fed.core.announce(0, 0.0)
    rows = np.concatenate([datagrams_of(number) for number in range(3)])
    arriving = np.delete(rows, sorted(lost), axis=0)
    got = [
        frame
        for start in range(0, len(arriving), batch_rows)
        for frame in fed.feed(arriving[start : start + batch_rows])
    ]
    whole = [number for number in range(3)
             if not lost & set(range(10 * number, 10 * number + 10))]  # fmt: skip
    assert numbers(got) == whole
    fed.core.announce(3, 0.0)
    fed.core.finish(1.0)
    assert (fed.ledger.sent, fed.ledger.in_flight) == (3, 0)
    assert fed.ledger.link.duplicates == fed.bad == 0


def test_the_last_chunk_delivers_the_frame_at_once() -> None:
    fed = Fed()
    datagrams = datagrams_of(0)
    assert fed.feed(datagrams[:-1]) == []
    assert numbers(fed.feed(datagrams[-1:])) == [0]
    assert fed.core.next_timer() is None


def test_a_frame_is_delivered_exactly_once() -> None:
    fed = Fed()
    datagrams = datagrams_of(0)
    assert numbers(fed.feed(datagrams)) == [0]
    assert fed.feed(datagrams) == []
    assert fed.feed(datagrams[::-1]) == []
    assert (fed.ledger.sent, fed.ledger.delivered) == (1, 1)
    assert fed.ledger.link.duplicates == 20


def test_a_batch_may_hold_the_end_of_one_frame_and_the_start_of_the_next() -> None:
    fed = Fed()
    first, second = datagrams_of(0), datagrams_of(1)
    assert fed.feed(first[:6]) == []
    assert numbers(fed.feed(np.concatenate((first[6:], second[:7])))) == [0]
    assert numbers(fed.feed(second[7:])) == [1]


def test_frames_of_many_blocks_in_any_order() -> None:
    rng = np.random.default_rng(3)
    for length in (65_280, 30_000):  # the most chunks that there can be, and a few blocks
        fed = Fed()
        fed.core.announce(0, 0.0)
        datagrams = datagrams_of(0, length, datagram_bytes=25)
        assert len(datagrams) == length
        shuffled = datagrams[rng.permutation(length)]
        (frame,) = [frame for part in np.array_split(shuffled, 10) for frame in fed.feed(part)]
        assert np.array_equal(frame.payload, payload_of(0, length))
        in_order = datagrams_of(1, length, datagram_bytes=25)
        assert numbers([f for part in np.array_split(in_order, 100) for f in fed.feed(part)]) == [1]
        assert fed.core.memory_bytes == 0


# -- parity -------------------------------------------------------------------


@given(st.data())
def test_any_chunks_that_are_enough_restore_the_frame(data: st.DataObject) -> None:
    blocks = data.draw(st.integers(1, 4), "blocks")
    parity = data.draw(st.integers(1, 6), "parity")
    # 9 bytes a chunk; two or more blocks only because there is so much parity beside it
    length = data.draw(st.integers(1, 9 * 250 * blocks), "length")
    datagrams = datagrams_of(0, length, datagram_bytes=33, parity=parity)
    layout = layout_of(-(-length // (datagrams.shape[1] - 24)), int(datagrams[0, 4]), parity)
    lost = data.draw(st.sets(st.integers(0, len(datagrams) - 1), max_size=3 * parity), "lost")
    here = np.delete(datagrams, sorted(lost), axis=0)
    order = data.draw(st.sampled_from(["as sent", "shuffled"]), "order")
    if order == "shuffled":
        here = here[np.random.default_rng(length).permutation(len(here))]
    left = [min(layout.data, layout.chunks - b * layout.data) for b in range(layout.blocks)]
    for block in here[:, 3]:
        left[block] -= 1
    fed = Fed()
    fed.core.announce(0, 0.0)
    batch = data.draw(st.integers(1, 64), "batch")
    frames = [f for at in range(0, len(here), batch) for f in fed.feed(here[at : at + batch])]
    assert len(frames) == all(count <= 0 for count in left)
    for frame in frames:
        assert np.array_equal(frame.payload, payload_of(0, length))
    lost_data = {place for place in lost if datagrams[place, 0] < layout.data}
    counts = fed.ledger.link
    if order == "as sent":
        assert fed.ledger.repaired_by_parity == bool(frames and lost_data)
    assert fed.bad == 0
    fed.core.announce(1, 0.0)
    fed.core.finish(1.0)
    assert fed.core.memory_bytes == 0
    if order == "as sent":
        assert (counts.received, counts.reordered, counts.duplicates) == (len(here), 0, 0)


def test_a_frame_that_is_whole_without_parity_waits_for_none_and_does_not_copy_it() -> None:
    fed = Fed()
    datagrams = datagrams_of(0, parity=4)
    assert numbers(fed.feed(datagrams[:10])) == [0]
    assert fed.feed(datagrams[10:]) == []
    assert fed.ledger.repaired_by_parity == 0
    assert fed.ledger.parity_bytes == 4 * 124
    assert (fed.ledger.link.received, fed.ledger.link.expected) == (14, 14)
    assert fed.ledger.link.duplicates == 0


def test_a_frame_is_whole_with_the_chunk_that_makes_parity_enough() -> None:
    fed = Fed()
    datagrams = datagrams_of(0, parity=4)
    fed.core.announce(0, 0.0)
    assert fed.feed(datagrams[2:11]) == []
    assert numbers(fed.feed(datagrams[11:12])) == [0]
    assert fed.ledger.repaired_by_parity == 1


def test_a_burst_is_shared_among_the_blocks() -> None:
    datagrams = datagrams_of(0, 300 * 9, datagram_bytes=33, parity=3)  # two blocks
    fed = Fed()
    fed.core.announce(0, 0.0)
    assert numbers(fed.feed(np.delete(datagrams, range(100, 106), axis=0))) == [0]
    assert fed.ledger.link.runs == 1


def test_a_parity_chunk_that_the_frame_has_not_is_bad() -> None:
    fed = Fed()
    datagrams = datagrams_of(0, parity=2).copy()
    datagrams[3, 3] = 1  # block 1 of a frame of one
    fed.feed(datagrams[[0, 3]])
    datagrams[11, 3] = 1
    fed.feed(datagrams[[1, 11]])
    assert fed.bad == 2


# -- each loss, by name -------------------------------------------------------


def test_unseen() -> None:
    fed = Fed()
    fed.feed(datagrams_of(0), now=1.0)
    fed.feed(datagrams_of(5), now=1.0)
    assert fed.ledger.in_flight == 4
    assert fed.core.next_timer() == 1.0 + LATENCY_BUDGET_S
    fed.expire(1.0 + LATENCY_BUDGET_S - 1e-6)
    assert fed.lost == {}
    fed.expire(1.0 + LATENCY_BUDGET_S)
    assert fed.lost == {Loss.UNSEEN: 4}


def test_a_frame_that_was_not_seen_has_time_from_when_it_should_have_come() -> None:
    fed = Fed()
    fed.feed(datagrams_of(0), now=1.0)
    fed.feed(datagrams_of(2), now=1.2)
    assert fed.core.next_timer() == pytest.approx(1.1 + LATENCY_BUDGET_S)


def test_missing() -> None:
    fed = Fed()
    fed.feed(datagrams_of(0)[:9], now=1.0)
    fed.feed(datagrams_of(0)[3:4], now=1.05)  # a repetition is no progress
    fed.expire(1.0 + LATENCY_BUDGET_S)
    assert fed.lost == {Loss.MISSING: 1}
    assert fed.core.memory_bytes == 0
    assert fed.feed(datagrams_of(0)[9:], now=2.0) == []


def test_progress_puts_giving_up_off() -> None:
    fed = Fed()
    for at, row in enumerate(datagrams_of(0)):
        fed.expire(0.09 * at)
        frames = fed.feed(row[None, :], now=0.09 * at)
    assert numbers(frames) == [0]


def test_late() -> None:
    fed = Fed()
    fed.feed(datagrams_of(0)[:9])
    assert numbers(fed.feed(datagrams_of(1))) == [1]
    assert fed.feed(datagrams_of(0)[9:]) == []
    assert fed.lost == {Loss.LATE: 1}
    assert fed.feed(datagrams_of(0)) == []
    assert fed.lost == {Loss.LATE: 1}


def test_evicted() -> None:
    fed = Fed()
    for number in range(MAX_PARTIAL_FRAMES + 3):
        fed.feed(datagrams_of(number)[:1])
    assert fed.lost == {Loss.EVICTED: 3}
    assert fed.ledger.in_flight == MAX_PARTIAL_FRAMES
    assert numbers(fed.feed(datagrams_of(3)[1:])) == [3]  # the oldest that was kept
    while fed.core.evict_oldest():
        assert balanced(fed.ledger)
    assert (fed.ledger.in_flight, fed.core.memory_bytes) == (0, 0)


def test_malformed() -> None:
    fed = Fed()
    fed.feed(datagrams_of(0)[:5])
    other = datagrams_of(0, length=999)  # the same number, another frame
    assert fed.feed(other) == []
    assert fed.bad == 10
    fed.expire(LATENCY_BUDGET_S)
    assert fed.lost == {Loss.MALFORMED: 1}


def test_contradiction_does_not_keep_the_frame_from_getting_whole() -> None:
    fed = Fed()
    datagrams = datagrams_of(0)
    fed.feed(datagrams[:5])
    fed.feed(datagrams_of(0, length=999)[5:])
    (frame,) = fed.feed(datagrams[5:])
    assert np.array_equal(frame.payload, payload_of(0))
    assert fed.lost == {}


def test_oversized() -> None:
    fed = Fed(max_frame_bytes=999)
    assert fed.feed(datagrams_of(0)) == []
    assert numbers(fed.feed(datagrams_of(1, length=999))) == [1]
    assert fed.lost == {Loss.OVERSIZED: 1}
    assert fed.ledger.link.duplicates == 0


@pytest.mark.parametrize(("parity", "refused"), [(0, False), (7, False), (254, True)])
def test_a_header_that_claims_gigabytes_of_parity_is_refused(parity: int, refused: bool) -> None:
    header = FrameHeader(
        index=0, block=0, data=1, parity=parity, epoch=1, frame=0, length=256 * 60_000,
        captured_us=0, width=640, height=480, codec=Codec.JPEG, chunk_bytes=60_000,
    )  # fmt: skip
    fed = Fed()
    fed.feed(np.frombuffer(pack_frame_header(*header[:-1]) + bytes(60_000), np.uint8)[None, :])
    assert fed.lost == ({Loss.OVERSIZED: 1} if refused else {})
    assert fed.core.memory_bytes < 129 << 20


def test_bad_rows_behind_a_good_one() -> None:
    fed = Fed()
    datagrams = datagrams_of(0).copy()
    datagrams[3, 0] = 200  # no such index
    datagrams[4, 3] = 9  # no such block
    assert fed.feed(datagrams[:6]) == []
    assert fed.bad == 2
    good = datagrams_of(0)
    assert numbers(fed.feed(np.concatenate((good[3:5], good[6:])))) == [0]


# -- numbers ------------------------------------------------------------------


def test_a_jump_of_two_billion_costs_nothing() -> None:
    fed = Fed()
    fed.feed(datagrams_of(0))
    fed.core.announce(1 << 60, 0.0)  # not believed
    assert fed.ledger.sent == 1
    fed.core.announce(1 << 31, 0.0)
    assert fed.ledger.sent == 1 << 31
    assert len(fed.core._gaps) == 1 + MAX_ASKED_FRAMES
    fed.expire(LATENCY_BUDGET_S)
    assert fed.lost == {Loss.UNSEEN: (1 << 31) - 1}
    fed.feed(datagrams_of((1 << 31) + 0x7FFF_FFFE))
    assert fed.ledger.sent == 0xFFFF_FFFF


def test_gaps_are_bounded() -> None:
    fed = Fed()
    for number in range(0, 10 * MAX_GAPS, 2):
        fed.feed(datagrams_of(number, 10))
    assert len(fed.core._gaps) == MAX_GAPS
    assert fed.lost == {Loss.UNSEEN: 5 * MAX_GAPS - 1 - MAX_GAPS}
    fed = Fed()
    fed.core.announce(0, 0.0)
    fed.core.announce(1000, 0.0)
    for number in range(0, 1000, 2):  # each splits the gap once more
        fed.feed(datagrams_of(number, 10))
    assert len(fed.core._gaps) <= MAX_GAPS


def test_the_frame_number_wraps() -> None:
    fed = Fed()
    start = 0xFFFF_FFFE
    got = [frame for number in range(start, start + 5) for frame in fed.feed(datagrams_of(number))]
    assert numbers(got) == list(range(start, start + 5))
    assert np.array_equal(got[3].payload, payload_of(start + 3))
    assert (fed.ledger.sent, fed.lost) == (5, {})


def test_a_hello_tells_the_number_in_full() -> None:
    fed = Fed()
    fed.core.announce(5 << 32, 0.0)
    assert numbers(fed.feed(datagrams_of((5 << 32) + 1))) == [(5 << 32) + 1]
    assert fed.ledger.sent == 2


def test_joining_in_mid_frame_counts_from_the_next() -> None:
    fed = Fed()
    assert fed.feed(datagrams_of(8)[4:]) == []
    assert (fed.ledger.sent, fed.ledger.link.duplicates) == (0, 0)
    assert numbers(fed.feed(datagrams_of(9))) == [9]
    assert fed.ledger.sent == 1


def test_joining_at_a_frames_start_counts_it() -> None:
    fed = Fed()
    fed.feed(datagrams_of(8)[:4])
    fed.core.finish(1.0)
    assert fed.lost == {Loss.MISSING: 1}


def test_a_hello_before_the_first_frame_makes_a_lost_head_count() -> None:
    fed = Fed()
    fed.core.announce(8, 0.0)
    fed.feed(datagrams_of(8)[4:])
    assert fed.ledger.sent == 1
    fed.feed(datagrams_of(10))
    fed.core.finish(1.0)
    assert fed.lost == {Loss.MISSING: 1, Loss.UNSEEN: 1}


def test_an_announcement_counts_a_lost_tail_and_never_goes_back() -> None:
    fed = Fed()
    fed.feed(datagrams_of(0))
    fed.core.announce(4, 0.0)
    fed.core.announce(2, 0.0)
    assert (fed.ledger.sent, fed.ledger.in_flight) == (4, 3)
    assert numbers(fed.feed(datagrams_of(2))) == [2]
    assert fed.ledger.sent == 4
    fed.core.finish(0.0)
    assert fed.lost == {Loss.UNSEEN: 2}


def test_a_lone_datagram_of_a_frame_of_many_chunks_costs_little_memory() -> None:
    fed = Fed()
    fed.feed(datagrams_of(0, 65_280, datagram_bytes=25)[:1])
    assert fed.core.memory_bytes < 3 * 65_280
    assert Counter(fed.lost) == Counter()


@pytest.mark.parametrize("batch_rows", [1, 7, 64])
def test_a_long_run_with_everything_at_once_balances(batch_rows: int) -> None:
    rng = np.random.default_rng(11)
    fed = Fed()
    fed.core.announce(0, 0.0)
    rows = np.concatenate([datagrams_of(number) for number in range(300)])
    rows = rows[rng.random(len(rows)) > 0.02]
    rows = rows[np.argsort(np.arange(len(rows)) + rng.integers(0, 30, len(rows)), kind="stable")]
    rows = rows[np.sort(np.append(np.arange(len(rows)), rng.integers(0, len(rows), 50)))]
    got = []
    for start in range(0, len(rows), batch_rows):
        now = start / 300
        got += fed.feed(rows[start : start + batch_rows], now)
        fed.expire(now)
    fed.core.finish(now)
    assert numbers(got) == sorted(set(numbers(got)))
    assert 200 < len(got) == fed.ledger.delivered
    assert (fed.ledger.sent, fed.ledger.in_flight) == (300, 0)
    assert all(np.array_equal(frame.payload, payload_of(frame.number)) for frame in got)
