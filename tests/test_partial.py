from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.link_tools import datagrams_of, payload_of
from udpstream.core.layout import Layout, layout_of
from udpstream.core.meter import LinkCounts, LinkMeter
from udpstream.core.partial import Partial
from udpstream.core.pool import BufferPool
from udpstream.protocol import HEADER_BYTES, Ask, parse_frame_header


class Frame:
    """All datagrams of a frame, and a `Partial` that waits for them."""

    def __init__(self, length: int = 1000, *, datagram_bytes: int = 124, parity: int = 0) -> None:
        self.length = length
        self.datagrams = datagrams_of(7, length, datagram_bytes=datagram_bytes, parity=parity)
        header = parse_frame_header(self.datagrams[0].data)
        self.layout: Layout = layout_of(header.data_chunks, header.data, header.parity)
        self.counts = LinkCounts()
        self.partial = Partial(7, header, self.layout, LinkMeter(self.counts), BufferPool(), 0.0)

    def take(self, datagrams: NDArray[np.uint8], now: float = 0.0) -> None:
        """Feed datagrams as a reassembler does it."""
        while len(datagrams):
            self.partial.foretell(datagrams[0])
            taken = self.partial.take_run(datagrams, now)
            if not taken:
                self.partial.place(datagrams, now)
                taken = len(datagrams)
            datagrams = datagrams[taken:]

    def answer(self, asks: list[Ask]) -> NDArray[np.uint8]:
        """The datagrams that are asked for."""
        wanted = [
            (self.datagrams[:, 3] == ask.block)
            & (self.datagrams[:, 0] >= ask.index)
            & (self.datagrams[:, 0] < ask.index + ask.chunks)
            for ask in asks
        ]
        nothing = np.zeros(len(self.datagrams), np.bool_)
        return self.datagrams[np.logical_or.reduce([nothing, *wanted])]

    @property
    def is_right(self) -> bool:
        restored = self.partial.restore()[: self.length]
        return bool(np.array_equal(restored, payload_of(7, self.length)))


def shapes() -> st.SearchStrategy[tuple[int, int]]:
    """Length and parity: of one block, or, in chunks of 9 bytes, of up to four."""
    return st.tuples(st.integers(1, 9 * 700), st.integers(0, 40))


@given(shapes(), st.data())
def test_in_any_order_and_number_it_is_whole_when_parity_suffices_and_then_right(
    shape: tuple[int, int], data: st.DataObject
) -> None:
    frame = Frame(shape[0], datagram_bytes=33, parity=shape[1])
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 20)))
    order = rng.permutation(len(frame.datagrams))
    arrived = np.zeros(frame.layout.total, np.bool_)
    sizes = data.draw(st.lists(st.integers(1, 60), min_size=20, max_size=20))
    for part in np.split(order, np.cumsum(sizes)):
        if frame.partial.is_whole:
            break
        frame.take(frame.datagrams[part])
        arrived[frame.layout.rows[part]] = True
        assert frame.partial.is_whole == (not frame.layout.shortages(arrived).any())
        assert frame.partial.left == np.count_nonzero(~arrived[: frame.layout.chunks])
    assert frame.partial.is_whole
    assert frame.is_right
    frame.partial.finish_run()
    assert frame.counts.received <= len(order)
    assert frame.counts.duplicates == 0


@given(shapes(), st.data())
def test_it_asks_for_so_much_that_the_answer_makes_it_whole(
    shape: tuple[int, int], data: st.DataObject
) -> None:
    frame = Frame(shape[0], datagram_bytes=33, parity=shape[1])
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 20)))
    here = rng.random(len(frame.datagrams)) < data.draw(st.floats(0.3, 1))
    here[0] = True
    frame.take(frame.datagrams[here])
    short = int(frame.layout.shortages(_arrived(frame, here)).sum())
    asks = [] if frame.partial.is_whole else frame.partial.asks(1.0)
    assert sum(ask.chunks for ask in asks) == short  # no chunk more than parity leaves over
    assert all(ask.index + ask.chunks <= frame.layout.data for ask in asks)
    frame.partial.finish_run()
    before = frame.counts.copy()
    repairs = frame.answer(asks)
    assert len(repairs) == short
    frame.take(repairs[rng.permutation(short)], now=1.01)
    assert frame.is_right
    assert frame.partial.repairs == short
    frame.partial.finish_run()
    assert frame.counts == before  # repairs are no part of what came by itself
    assert frame.partial.progress_at == 0.0  # nor do they put giving up off


def _arrived(frame: Frame, here: NDArray[np.bool_]) -> NDArray[np.bool_]:
    arrived = np.zeros(frame.layout.total, np.bool_)
    arrived[frame.layout.rows[here]] = True
    return arrived


def test_originals_that_come_beside_their_repairs_were_not_lost() -> None:
    frame = Frame()
    frame.take(frame.datagrams[[0, 1, 2, 6, 7, 8, 9]])
    (ask,) = frame.partial.asks(0.005)
    assert ask == Ask(7, 0, 3, 3)
    frame.take(frame.datagrams[3:4], now=0.006)  # it cannot tell which of the two this is
    in_vain = [frame.partial.asked_in_vain]
    frame.take(frame.datagrams[3:4], now=0.007)
    assert [*in_vain, frame.partial.asked_in_vain] == [False, True]
    assert (frame.counts.expected, frame.counts.received) == (10, 8)
    assert (frame.counts.reordered, frame.counts.duplicates) == (1, 0)


def test_of_two_answers_to_two_asks_neither_came_by_itself() -> None:
    frame = Frame()
    frame.take(frame.datagrams[[0, 1, 2, 4, 5, 6, 7, 8]])
    frame.partial.asks(0.005)
    frame.partial.asks(0.015)
    frame.take(frame.datagrams[3:4], now=0.016)
    placed = frame.partial.place(frame.datagrams[3:4], 0.017)
    assert (placed.bad, placed.repeated) == (0, 1)
    assert not frame.partial.asked_in_vain
    assert (frame.counts.expected, frame.counts.received) == (9, 8)


def test_what_was_not_asked_for_is_progress_though_other_chunks_were() -> None:
    frame = Frame()
    frame.take(frame.datagrams[[0, 1, 2, 4]])
    frame.partial.asks(0.005)
    frame.take(frame.datagrams[3:4], now=0.006)
    assert frame.partial.progress_at == 0.0
    asks = frame.partial.asks(0.007)
    assert asks == [Ask(7, 0, 5, 5)]


def test_a_frame_of_which_nothing_came_in_time_is_all_repairs() -> None:
    frame = Frame(parity=3)
    frame.partial.all_asked(tries=2, asked_at=0.5, due_at=0.4)
    frame.take(frame.datagrams[:9], now=0.6)
    assert (frame.partial.repairs, frame.partial.tries) == (9, 2)
    assert (frame.partial.progress_at, frame.partial.asked_at) == (0.4, 0.5)
    frame.take(frame.datagrams[10:11], now=0.6)
    assert frame.partial.is_whole
    assert frame.is_right
    assert frame.counts == LinkCounts()


def test_a_few_datagrams_of_many_blocks_ask_in_few_runs() -> None:
    frame = Frame(9 * 60_000, datagram_bytes=33, parity=10)
    assert frame.layout.blocks > 200
    frame.take(frame.datagrams[1000:1001])
    assert len(frame.partial.asks(0.1)) == 2
    frame.take(frame.datagrams[2000:2009])
    assert len(frame.partial.asks(0.2)) == 11


def test_it_goes_on_asking_until_a_frame_of_many_blocks_is_whole() -> None:
    frame = Frame(9 * 3_000, datagram_bytes=33, parity=10)
    assert frame.layout.blocks == 13
    frame.take(frame.datagrams[500:502])
    for _ in range(8):
        if not frame.partial.is_whole:
            frame.take(frame.answer(frame.partial.asks(0.1)))
    assert frame.partial.is_whole
    assert frame.is_right


# -- what it holds for sound --------------------------------------------------


def test_datagrams_that_the_frame_has_no_place_for_are_bad() -> None:
    frame = Frame(parity=2)
    rows = frame.datagrams[:6].copy()
    rows[1, 0] = 200
    rows[2, 3] = 1
    rows[3, 0], rows[3, 3] = 10, 1  # parity of a block that is not there
    placed = frame.partial.place(np.concatenate((rows, rows[:1])), 0.0)
    assert placed == (3, 1, 0)
    assert frame.partial.left == 10 - 3


def test_one_datagram_in_a_run_that_says_another_thing_ends_it() -> None:
    frame = Frame()
    frame.partial.foretell(frame.datagrams[0])
    rows = frame.datagrams.copy()
    rows[5, 20] ^= 1  # another width
    assert frame.partial.take_run(rows, 0.0) == 0
    assert frame.partial.take_run(rows[:5], 0.0) == 5
    assert frame.partial.take_run(rows[:5], 0.0) == 0  # and what is there is not new
    header = parse_frame_header(rows[5].data)
    assert not frame.partial.fits(header)
    assert frame.partial.fits(parse_frame_header(frame.datagrams[9].data))


def test_datagrams_of_another_size_are_no_run() -> None:
    frame = Frame()
    frame.partial.foretell(frame.datagrams[0])
    assert frame.partial.take_run(frame.datagrams[:, :-1], 0.0) == 0


@pytest.mark.parametrize(("data", "parity"), [(1, 254), (20, 235), (250, 5), (255, 0)])
def test_a_lone_datagram_costs_little_whatever_it_claims(data: int, parity: int) -> None:
    datagram = datagrams_of(7, 256 * data, datagram_bytes=25)[:1].copy()
    datagram[0, 3:6] = 0, data, parity
    header = parse_frame_header(datagram[0].data)
    layout = Layout(header.data_chunks, data, parity)
    partial = Partial(7, header, layout, LinkMeter(LinkCounts()), BufferPool(), 0.0)
    assert partial.foretell(datagram[0]) == 0
    partial.place(datagram, 0.0)
    partial.finish_run()
    partial.asks(0.1)
    assert partial.memory_bytes <= 2 * 65_280
    assert not {"rows", "_blocks_and_indices"} & vars(layout).keys()  # tables of all chunks


def test_what_is_foretold_is_in_the_memory_that_it_tells() -> None:
    frame = Frame(9 * 600, datagram_bytes=33, parity=4)
    before = frame.partial.memory_bytes
    foretold = frame.partial.foretell(frame.datagrams[0])
    tables = frame.layout.rows.nbytes + sum(map(len, frame.layout.blocks_and_indices))
    assert foretold == HEADER_BYTES * frame.layout.total + tables
    assert frame.partial.memory_bytes == before + foretold
    assert frame.partial.foretell(frame.datagrams[1]) == 0


def test_a_frame_of_very_many_chunks_is_foretold_once_a_share_is_here() -> None:
    frame = Frame(9 * 6_000, datagram_bytes=33)
    assert frame.partial.foretell(frame.datagrams[0]) == 0
    frame.partial.place(frame.datagrams[:23], 0.0)
    assert frame.partial.foretell(frame.datagrams[23]) == 0
    frame.partial.place(frame.datagrams[23:24], 0.0)
    assert frame.partial.foretell(frame.datagrams[24]) > 0
    frame.take(frame.datagrams[24:])
    assert frame.is_right
