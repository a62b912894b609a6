from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.link_tools import balanced, payload_of
from udpstream.core.classic import GIVE_UP_S, ClassicReassembler
from udpstream.core.ledger import Ledger, Loss
from udpstream.core.packetize import packetize_classic
from udpstream.core.pool import BufferPool
from udpstream.core.reassembly import WholeFrame
from udpstream.protocol import ClassicGeometry, Codec

GEOMETRY = ClassicGeometry((20, 5), chunk_bytes=33)  # 300 bytes: nine chunks and one of three


def chunks_of(number: int, geometry: ClassicGeometry = GEOMETRY) -> list[NDArray[np.uint8]]:
    payload = payload_of(number, geometry.frame_bytes)
    return [np.frombuffer(bytes(each), np.uint8) for each in packetize_classic(payload, geometry)]


class Fed:
    """A classic reassembler with its books checked at each step."""

    def __init__(self, geometry: ClassicGeometry = GEOMETRY) -> None:
        self.ledger = Ledger()
        self.core = ClassicReassembler(self.ledger, geometry, BufferPool())

    def feed(
        self, chunks: list[NDArray[np.uint8]], kernel_dropped: int = 0, now: float = 0.0
    ) -> list[WholeFrame]:
        frames = []
        for chunk in chunks:
            whole = self.core.feed(chunk, kernel_dropped, now)
            assert balanced(self.ledger)
            frames += [whole] if whole else []
        return frames

    @property
    def torn(self) -> int:
        assert self.ledger.total_lost == self.ledger.lost[Loss.TORN]
        return self.ledger.lost[Loss.TORN]


@given(st.integers(1, 60), st.integers(1, 40), st.integers(40, 500))
def test_frames_of_any_size_come_back(width: int, height: int, chunk_bytes: int) -> None:
    geometry = ClassicGeometry((width, height), chunk_bytes)
    fed = Fed(geometry)
    frames = [frame for number in range(3) for frame in fed.feed(chunks_of(number, geometry))]
    assert [frame.number for frame in frames] == [0, 1, 2]
    for frame in frames:
        assert np.array_equal(frame.payload, payload_of(frame.number, geometry.frame_bytes))
        assert (frame.codec, frame.size_wh) == (Codec.RAW, (width, height))
        assert frame.captured_us is None
    assert (fed.ledger.sent, fed.ledger.total_lost) == (3, 0)


def test_the_last_chunk_delivers_the_frame_at_once() -> None:
    fed = Fed()
    chunks = chunks_of(0)
    assert fed.feed(chunks[:-1]) == []
    assert fed.core.memory_bytes == GEOMETRY.frame_bytes
    assert len(fed.feed(chunks[-1:])) == 1
    assert fed.core.memory_bytes == 0


def test_what_was_handed_on_is_not_written_to_again() -> None:
    fed = Fed()
    (frame,) = fed.feed(chunks_of(0))
    fed.feed(chunks_of(1))
    assert np.array_equal(frame.payload, payload_of(0, GEOMETRY.frame_bytes))


@pytest.mark.parametrize("lost", range(10))
def test_a_lost_chunk_tears_its_frame_and_no_other(lost: int) -> None:
    fed = Fed()
    torn = chunks_of(1)
    del torn[lost]
    frames = fed.feed([*chunks_of(0), *torn, *chunks_of(2)])
    assert [frame.payload[0] for frame in frames] == [
        payload_of(number, GEOMETRY.frame_bytes)[0] for number in (0, 2)
    ]
    assert (fed.ledger.sent, fed.torn) == (3, 1)


def test_the_tail_of_one_frame_never_follows_the_head_of_another() -> None:
    fed = Fed()
    assert fed.feed([*chunks_of(0)[:4], *chunks_of(1)[5:]]) == []
    assert fed.feed([*chunks_of(2)[:4], *chunks_of(3)[2:]]) == []
    assert len(fed.feed(chunks_of(4))) == 1
    assert fed.ledger.delivered == 1


def test_a_kernel_drop_in_mid_run_tears_it_even_if_the_indices_fit() -> None:
    """A multiple of a frame's chunks was dropped: the indices tell nothing."""
    fed = Fed()
    assert fed.feed(chunks_of(0)[:4], kernel_dropped=7) == []
    assert fed.feed(chunks_of(1)[4:], kernel_dropped=17) == []
    assert fed.torn == 1
    assert len(fed.feed(chunks_of(2), kernel_dropped=17)) == 1


def test_a_kernel_drop_between_frames_tears_nothing() -> None:
    fed = Fed()
    assert len(fed.feed(chunks_of(0), kernel_dropped=1)) == 1
    assert len(fed.feed(chunks_of(1), kernel_dropped=21)) == 1
    assert fed.torn == 0


@pytest.mark.parametrize("repeated", [0, 4, 9])
def test_a_repeated_datagram_harms_nothing(repeated: int) -> None:
    fed = Fed()
    chunks = chunks_of(0)
    chunks.insert(repeated, chunks[repeated])
    frames = fed.feed([*chunks, *chunks_of(1)])
    assert len(frames) == 2
    assert (fed.ledger.sent, fed.ledger.link.duplicates, fed.torn) == (2, 1, 0)


def test_the_same_index_with_other_bytes_is_no_repetition() -> None:
    fed = Fed()
    assert fed.feed([*chunks_of(0)[:5], *chunks_of(1)[4:]]) == []
    assert fed.torn == 1


def test_a_still_picture_of_one_chunk_is_no_repetition() -> None:
    geometry = ClassicGeometry((2, 2), chunk_bytes=12)
    fed = Fed(geometry)
    assert len(fed.feed(chunks_of(0, geometry) * 3)) == 3


def test_swapped_chunks_tear_the_frame_once() -> None:
    fed = Fed()
    chunks = chunks_of(0)
    chunks[3], chunks[4] = chunks[4], chunks[3]
    assert fed.feed(chunks) == []
    assert (fed.ledger.sent, fed.torn) == (1, 1)


def test_joining_in_mid_frame() -> None:
    fed = Fed()
    frames = fed.feed([*chunks_of(0)[6:], *chunks_of(1)])
    assert len(frames) == 1
    assert (fed.ledger.sent, fed.torn) == (2, 1)


def test_a_run_that_pauses_is_given_up() -> None:
    fed = Fed()
    fed.feed(chunks_of(0)[:4], now=1.0)
    assert fed.core.next_timer() == 1.0 + GIVE_UP_S
    fed.core.expire(1.0 + GIVE_UP_S - 1e-6)
    assert fed.torn == 0
    fed.core.expire(1.0 + GIVE_UP_S)
    assert (fed.torn, fed.core.next_timer(), fed.core.memory_bytes) == (1, None, 0)
    assert fed.feed(chunks_of(0)[4:], now=2.0) == []
    assert fed.ledger.sent == 1


def test_the_end_of_the_stream_tears_what_is_in_flight() -> None:
    fed = Fed()
    fed.feed(chunks_of(0)[:4])
    fed.core.finish(0.0)
    assert (fed.torn, fed.ledger.in_flight) == (1, 0)


def test_eviction_frees_the_memory() -> None:
    fed = Fed()
    assert not fed.core.evict_oldest()
    fed.feed(chunks_of(0)[:4])
    assert fed.core.evict_oldest()
    assert fed.core.memory_bytes == 0
    assert fed.ledger.lost[Loss.EVICTED] == 1
    assert fed.feed(chunks_of(0)[4:]) == []
    assert len(fed.feed(chunks_of(1))) == 1


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20)), max_size=3))
def test_whatever_the_kernel_drops_no_frame_is_mixed(drops: list[tuple[int, int]]) -> None:
    fed = Fed()
    stream = [(number, chunk) for number in range(6) for chunk in chunks_of(number)]
    gone = {at for start, count in drops for at in range(start, start + count)}
    dropped = 0
    delivered = []
    for at, (number, chunk) in enumerate(stream):
        if at in gone:
            dropped += 1
            continue
        for frame in fed.feed([chunk], kernel_dropped=dropped):
            assert np.array_equal(frame.payload, payload_of(number, GEOMETRY.frame_bytes))
            delivered.append(number)
    whole = [number for number in range(6)
             if not gone & set(range(10 * number, 10 * number + 10))]  # fmt: skip
    assert delivered == whole
