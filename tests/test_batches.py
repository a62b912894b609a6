from __future__ import annotations

import errno
import socket
import sys
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.adapters.batches import BatchReader, Read, coalesced
from udpstream.adapters.udp_numbers import SO_RXQ_OVFL, TRUNCATED
from udpstream.core.streams import Address

HERE, THERE = ("203.0.113.1", 9), ("203.0.113.2", 9)


class Scripted:
    """A socket in which so many reads wait, or errors."""

    def __init__(self, *waiting: tuple[bytes, int | None, Address] | OSError) -> None:
        self.waiting = deque(waiting)
        self.flags = 0
        self.reads = 0

    def __call__(self, rooms: tuple[memoryview], ancillary_bytes: int) -> Read:
        self.reads += 1
        if not self.waiting:
            raise BlockingIOError
        each = self.waiting.popleft()
        if isinstance(each, OSError):
            raise each
        data, size, source = each
        rooms[0][: len(data)] = data
        return len(data), [] if size is None else coalesced(size), self.flags, source


def rows_of(reader: BatchReader) -> list[tuple[Address, bytes]]:
    return [(batch.source, row.tobytes()) for batch in reader.read() for row in batch.datagrams]


READS = st.lists(
    st.tuples(st.sampled_from([1, 7, 40, 1400]), st.integers(1, 60), st.integers(0, 6),
              st.sampled_from([HERE, THERE])),
    max_size=30,
)  # fmt: skip


@given(READS)
def test_whatever_comes_is_handed_over_datagram_by_datagram_in_order(
    reads: list[tuple[int, int, int, Address]],
) -> None:
    """Of each read: datagrams of one size, and perhaps a shorter one behind them."""
    waiting: list[tuple[bytes, int | None, Address]] = []
    expected: list[tuple[Address, bytes]] = []
    for number, (size, count, shorter, source) in enumerate(reads):
        length = size * min(count, 60_000 // size) + min(shorter, size - 1)
        data = np.full(length, number, np.uint8).tobytes()
        waiting.append((data, size, source))
        expected += [(source, data[at : at + size]) for at in range(0, len(data), size)]
    reader = BatchReader(Scripted(*waiting))
    rows: list[tuple[Address, bytes]] = []
    while part := rows_of(reader):  # no more at a time than there is room for
        rows += part
    assert rows == expected
    assert reader.truncated == 0


def test_full_reads_from_one_source_come_as_one_batch() -> None:
    reads = [(bytes([number]) * 46 * 1400, 1400, HERE) for number in range(3)]
    (batch,) = BatchReader(Scripted(*reads)).read()
    assert batch.datagrams.shape == (3 * 46, 1400)
    assert batch.datagrams[::46, 0].tolist() == [0, 1, 2]


def test_a_read_with_room_for_more_is_used_before_the_next() -> None:
    script = Scripted(*[(bytes(10 * 1400), 1400, HERE)] * 2)
    batches = BatchReader(script).read()
    assert len(next(batches).datagrams) == 10
    assert script.reads == 1


@pytest.mark.parametrize("datagram", [b"", b"x"])
def test_a_flood_of_tiny_datagrams_does_not_keep_the_reader(datagram: bytes) -> None:
    class Endless:
        """A socket in which there is always one more."""

        reads = 0

        def __call__(self, rooms: tuple[memoryview], _: int) -> Read:
            self.reads += 1
            rooms[0][: len(datagram)] = datagram
            return len(datagram), [], 0, HERE

    flood = Endless()
    reader = BatchReader(flood)
    rows = sum(len(batch.datagrams) for batch in reader.read())
    assert flood.reads <= 1000
    assert rows == (flood.reads if datagram else 0)
    assert reader.truncated == (0 if datagram else flood.reads)


@pytest.mark.skipif(not TRUNCATED, reason="this system does not tell")
def test_what_was_too_large_is_counted_and_left_out() -> None:
    script = Scripted((bytes(60_000), None, HERE))
    script.flags = TRUNCATED
    reader = BatchReader(script)
    assert rows_of(reader) == []
    assert reader.truncated == 1


def test_what_is_told_of_an_earlier_answer_is_no_error_and_another_is() -> None:
    reader = BatchReader(Scripted(OSError(errno.ECONNREFUSED, "refused"), (b"abc", None, HERE)))
    assert rows_of(reader) == [(HERE, b"abc")]
    with pytest.raises(OSError, match="broken"):
        rows_of(BatchReader(Scripted(OSError(errno.EBADF, "broken"))))


def test_errors_without_end_do_not_keep_the_reader() -> None:
    class Refused:
        reads = 0

        def __call__(self, _rooms: tuple[memoryview], _: int) -> Read:
            self.reads += 1
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    refused = Refused()
    assert rows_of(BatchReader(refused)) == []
    assert refused.reads <= 1000


def test_the_kernels_count_of_drops_has_32_bits_and_ours_has_not() -> None:
    reader = BatchReader(Scripted())
    for told, counted in ((5, 5), (2**32 - 1, 2**32 - 1), (3, 2**32 + 3), (3, 2**32 + 3)):
        reader._note([(socket.SOL_SOCKET, SO_RXQ_OVFL, told.to_bytes(4, sys.byteorder))])
        assert reader.kernel_dropped == counted
