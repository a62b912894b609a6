from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from udpstream.core.layout import Layout, layout_of, runs_of


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Any frame that the wire can carry, mostly small."""
    data = draw(st.integers(1, 255))
    parity = draw(st.integers(0, 255 - data))
    blocks = draw(st.integers(1, 256 if data * 256 < 3_000 else 8))
    in_last = draw(st.integers(1, data))
    return Layout((blocks - 1) * data + in_last, data, parity)


def spoken_order(layout: Layout) -> list[tuple[int, int]]:
    """Block and index of all chunks in the order of docs/protocol.md, written out slowly."""
    blocks = range(layout.blocks)
    in_block = [min(layout.data, layout.chunks - b * layout.data) for b in blocks]
    data = [(b, i) for i in range(layout.data) for b in blocks if i < in_block[b]]
    parity = [(b, layout.data + j) for j in range(layout.parity) for b in blocks]
    return (data if layout.parity else sorted(data)) + parity


def arrays_of(layout: Layout) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    blocks, indices = layout.blocks_and_indices
    return np.frombuffer(blocks, np.uint8), np.frombuffer(indices, np.uint8)


@given(layouts())
def test_the_order_on_the_wire_is_the_one_that_is_written_down(layout: Layout) -> None:
    order = spoken_order(layout)
    assert layout.total == len(order)
    blocks, indices = layout.blocks_and_indices
    assert list(zip(blocks, indices, strict=True)) == order
    assert [layout.place(block, index) for block, index in order] == list(range(layout.total))


@given(layouts())
def test_rows_and_places_are_each_others_inverse_and_each_once(layout: Layout) -> None:
    assert sorted(layout.rows) == list(range(layout.total))
    assert np.array_equal(layout.places_of(layout.rows), np.arange(layout.total))
    rows, known = layout.rows_of(*arrays_of(layout))
    assert known.all()
    assert np.array_equal(rows, layout.rows)


@given(layouts())
def test_a_blocks_chunks_lie_together_in_memory(layout: Layout) -> None:
    blocks, indices = arrays_of(layout)
    seen = 0
    for block in range(layout.blocks):
        here = blocks == block
        data = layout.rows[here & (indices < layout.data)]
        parity = layout.rows[here & (indices >= layout.data)]
        assert np.array_equal(np.sort(data), np.r_[layout.data_rows(block)])
        assert np.array_equal(np.sort(parity), np.r_[layout.parity_rows(block)])
        seen += len(data) + len(parity)
    assert seen == layout.total


@given(layouts(), st.data())
def test_chunks_that_the_frame_has_not_are_known_for_that(
    layout: Layout, data: st.DataObject
) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=30))
    blocks = np.array([block for block, _ in pairs], np.uint8)
    indices = np.array([index for _, index in pairs], np.uint8)
    _, known = layout.rows_of(blocks, indices)
    order = set(spoken_order(layout))
    assert known.tolist() == [pair in order for pair in pairs]
    assert all(layout.place(block, index) >= 0 for block, index in pairs)


@given(layouts(), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_shortages_are_what_parity_here_does_not_make_up_for(
    layout: Layout, seed: int, share: float
) -> None:
    arrived = np.random.default_rng(seed).random(layout.total) < share
    expected = []
    for block in range(layout.blocks):
        lacking = int(np.count_nonzero(~arrived[layout.data_rows(block)]))
        expected.append(max(0, lacking - int(arrived[layout.parity_rows(block)].sum())))
    assert layout.shortages(arrived).tolist() == expected


@pytest.mark.parametrize("burst", [2, 5, 11])
def test_a_burst_takes_from_each_block_its_share_and_at_most_one_more(burst: int) -> None:
    layout = Layout(4 * 60 + 31, 60, 9)  # five blocks, the last of them short
    blocks, _ = arrays_of(layout)
    for start in range(layout.total - burst + 1):
        taken = np.bincount(blocks[start : start + burst], minlength=layout.blocks)
        # Behind the end of the short block the other four share a burst.
        assert taken.max() <= -(-burst // (layout.blocks - 1))


def test_runs() -> None:
    assert runs_of(np.array([], np.intp)) == []
    runs = runs_of(np.array([4, 5, 6, 9, 8, 8, 9]))
    assert [run.tolist() for run in runs] == [[4, 5, 6], [9], [8], [8, 9]]


def test_a_layout_is_kept_for_the_next_frame_like_it() -> None:
    assert layout_of(1000, 200, 20) is layout_of(1000, 200, 20)
    assert layout_of(1000, 200, 20) is not layout_of(1000, 200, 21)


def test_where_one_chunk_of_a_huge_frame_lies_is_known_without_tables() -> None:
    layout = Layout(256 * 250, 250, 5)
    for block in range(256):
        layout.place(block, 254)
        layout.places_of(layout.rows_of(np.full(1, block, np.uint8), np.full(1, 7, np.uint8))[0])
    tables = {"rows", "blocks_and_indices"}
    assert not tables & vars(layout).keys()
    assert len(layout.blocks_and_indices[0]) == layout.chunks + 5 * 256
    assert tables <= vars(layout).keys()
