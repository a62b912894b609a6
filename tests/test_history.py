from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.link_tools import SIZE_WH, payload_of
from udpstream.core.history import KEPT_S, MAX_BYTES, History
from udpstream.core.packetize import OutgoingFrame, Packetizer
from udpstream.core.sending import SenderCore
from udpstream.protocol import Ask, Codec

ALLOWANCE_BYTES = 256 << 10


class Kept:
    """A history, and the frames that were let go."""

    def __init__(self) -> None:
        self.gone: list[OutgoingFrame] = []
        self.history = History(self.gone.append)

    def add(
        self, number: int, length: int = 1000, now: float = 0.0, *,
        datagram_bytes: int = 124, parity: int = 0, filled: bool = True,
    ) -> OutgoingFrame:  # fmt: skip
        packetizer = Packetizer(1, datagram_bytes)
        frame = packetizer.packetize(
            payload_of(number, length), Codec.JPEG, SIZE_WH, number, 0, lambda _: parity
        )
        if filled:
            frame.whole()
        self.history.add(number, frame, now)
        return frame

    def answer(
        self, number: int, block: int = 0, index: int = 0, chunks: int = 0,
        buffer_bytes: int = 1 << 30,
    ) -> NDArray[np.uint8] | None:  # fmt: skip
        return self.history.answer(Ask(number, block, index, chunks), buffer_bytes)


@given(st.integers(1, 9 * 700), st.integers(0, 40), st.data())
def test_what_is_asked_for_is_answered_as_it_was(
    length: int, parity: int, data: st.DataObject
) -> None:
    kept = Kept()
    frame = kept.add(3, length, datagram_bytes=33, parity=parity)
    block = data.draw(st.integers(0, 255))
    index = data.draw(st.integers(0, 254))
    chunks = data.draw(st.integers(1, 255 - index))
    rows = frame.datagrams
    wanted = rows[(rows[:, 3] == block) & (rows[:, 0] >= index) & (rows[:, 0] < index + chunks)]
    answer = kept.answer(3, block, index, chunks)
    if answer is None:
        assert not len(wanted)
    else:
        by_index = wanted[np.argsort(wanted[:, 0], kind="stable")]
        assert np.array_equal(answer[np.argsort(answer[:, 0], kind="stable")], by_index)


def test_a_whole_frame_is_answered_with_all_of_it_in_its_order() -> None:
    kept = Kept()
    frame = kept.add(3, 9 * 300, datagram_bytes=33, parity=4)
    answer = kept.answer(3)
    assert answer is not None
    assert np.array_equal(answer, frame.datagrams)
    assert not np.shares_memory(answer, frame.datagrams)  # whose buffer may be used again


def test_a_frame_that_is_not_there_has_no_answer() -> None:
    kept = Kept()
    assert kept.answer(0) is None
    kept.add(5)
    assert kept.answer(4) is None
    assert kept.answer(5, block=1, chunks=1) is None  # a block that it has not
    assert kept.answer(5, index=10, chunks=245) is None  # chunks that it has not
    assert kept.answer(5, index=9, chunks=246) is not None


def test_frames_are_known_by_their_number_on_the_wire() -> None:
    kept = Kept()
    kept.add((7 << 32) + 2)
    assert kept.answer(2, chunks=1) is not None


@pytest.mark.parametrize("parity", [0, 3])
def test_what_has_not_left_is_not_sent_twice(parity: int) -> None:
    kept = Kept()
    frame = kept.add(0, 9 * 300, datagram_bytes=33, parity=parity, filled=False)
    assert kept.answer(0) is None
    assert kept.answer(0, chunks=255) is None
    frame.burst(0, 40)
    whole = kept.answer(0)
    assert whole is not None
    assert np.array_equal(whole, frame.datagrams[:40])
    parts = [kept.answer(0, block=block, chunks=255) for block in range(frame.layout.blocks)]
    assert sum(len(part) for part in parts if part is not None) == 40
    frame.whole()
    whole = kept.answer(0)
    assert whole is not None
    assert len(whole) == len(frame)


# -- bounds -------------------------------------------------------------------


def test_frames_are_kept_for_a_second() -> None:
    kept = Kept()
    first, second = kept.add(0, now=0.0), kept.add(1, now=0.5)
    kept.add(2, now=KEPT_S)
    assert kept.gone == []
    kept.add(3, now=KEPT_S + 0.01)
    assert kept.gone == [first]
    kept.add(4, now=10.0)
    assert kept.gone[:2] == [first, second]
    assert len(kept.gone) == 4
    assert kept.answer(3, chunks=1) is None
    assert kept.answer(4, chunks=1) is not None


def test_they_take_so_many_bytes_and_no_more() -> None:
    kept = Kept()
    frames = [kept.add(number, 2_000_000, datagram_bytes=60_000) for number in range(20)]
    nbytes = frames[0].datagrams.nbytes
    assert len(kept.gone) == 20 - MAX_BYTES // nbytes
    assert kept.gone == frames[: len(kept.gone)]


def test_of_frames_larger_than_the_bound_three_are_kept() -> None:
    kept = Kept()
    frames = [kept.add(number, MAX_BYTES + 1, datagram_bytes=60_000) for number in range(5)]
    assert kept.gone == frames[:2]
    assert kept.answer(2, chunks=1) is not None


def test_clearing_keeps_the_one_that_may_be_leaving() -> None:
    kept = Kept()
    frames = [kept.add(number) for number in range(4)]
    kept.history.clear()
    assert kept.gone == frames[:3]
    kept.history.clear()
    assert kept.gone == frames[:3]
    assert kept.answer(3, chunks=1) is not None


def test_memory_of_frames_that_are_gone_is_used_again() -> None:
    core = SenderCore(epoch=1, session=1, datagram_bytes=1_400, interval_s=None, wall_offset_s=0.0)
    places = []
    for number in range(10):  # nobody answers, so none but the latest is kept
        frame, _ = core.packetize(payload_of(number, 50_000), Codec.JPEG, SIZE_WH, 0.0, 0.0)
        places.append(frame.datagrams.ctypes.data)
        core.frame_sent(0.0)
    assert len(set(places)) <= 3


# -- how much is sent again ---------------------------------------------------


def test_nobody_makes_it_send_more_than_its_allowance() -> None:
    kept = Kept()
    frame = kept.add(0, 50_000, datagram_bytes=1_400)
    answered = sum(answer.nbytes for _ in range(1000) if (answer := kept.answer(0)) is not None)
    assert ALLOWANCE_BYTES - frame.datagrams.nbytes < answered <= ALLOWANCE_BYTES
    # What is left does for a few datagrams, and then for none.
    rest = sum(a.nbytes for _ in range(1000) if (a := kept.answer(0, chunks=1)) is not None)
    assert answered + rest <= ALLOWANCE_BYTES < answered + rest + frame.datagrams.shape[1]
    # Each new frame earns half of what it takes.
    frame = kept.add(1, 50_000, now=0.03, datagram_bytes=1_400)
    again = sum(a.nbytes for _ in range(1000) if (a := kept.answer(1, chunks=5)) is not None)
    assert again <= frame.datagrams.nbytes / 2 + frame.datagrams.shape[1]
    assert again > 0.4 * frame.datagrams.nbytes


@pytest.mark.parametrize("asked", [0, 30])
def test_no_more_is_answered_than_the_receivers_buffer_holds(asked: int) -> None:
    kept = Kept()
    frame = kept.add(0, 50_000, datagram_bytes=1_400)
    for _ in range(30):  # what is left out costs no allowance
        answer = kept.answer(0, chunks=asked, buffer_bytes=20_000)
        assert answer is not None
        assert np.array_equal(answer, frame.datagrams[:6])
    one = kept.answer(0, chunks=asked, buffer_bytes=1)
    assert one is not None
    assert len(one) == 1


def test_the_allowance_does_not_pile_up() -> None:
    kept = Kept()
    for number in range(500):
        kept.add(number, 50_000, now=number / 500, datagram_bytes=1_400)
    answered = sum(a.nbytes for _ in range(100) if (a := kept.answer(499)) is not None)
    assert answered <= ALLOWANCE_BYTES


def test_one_large_frame_can_be_sent_again_as_a_whole_and_not_twice() -> None:
    kept = Kept()
    for number in range(3):  # raw 640x480
        kept.add(number, 921_600, now=number / 30, datagram_bytes=1_400)
    assert kept.answer(2) is not None
    assert kept.answer(2) is None


def test_what_would_be_too_much_is_not_even_copied() -> None:
    kept = Kept()
    frame = kept.add(0, 1_000_000, datagram_bytes=1_400)
    size = frame.datagrams.shape[1]
    for chunks, most, answered in ((0, 1_000, len(frame)), (0, 5, 5), (2, 1_000, 2), (9, 5, 5)):
        assert len(frame.again(0, 0, chunks, most, answered * size - 1)) == 0
        assert len(frame.again(0, 0, chunks, most, answered * size)) == answered
