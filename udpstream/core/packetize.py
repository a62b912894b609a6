"""A frame's bytes to datagrams: no loop over datagrams, one strided copy a frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from udpstream.core.layout import Layout, layout_of
from udpstream.core.parity import encode
from udpstream.errors import FrameError
from udpstream.protocol import (
    HEADER_BYTES,
    MAX_BLOCKS,
    MAX_CHUNKS_PER_BLOCK,
    MAX_DATAGRAM_BYTES,
    MIN_DATAGRAM_BYTES,
    ClassicGeometry,
    Codec,
    pack_frame_header,
)

_NO_ROOM: NDArray[np.uint8] = np.empty(0, np.uint8)
# To fill up with: where the caches are cold, numpy takes 0.03 ms to do it with a number.
_ZEROS: NDArray[np.uint8] = np.zeros(MAX_DATAGRAM_BYTES, np.uint8)
_MOST_FREE = 2  # buffers kept for frames to come


class OutgoingFrame:
    """A frame's datagrams, each burst of which is filled when it is to leave.

    So the first burst is on its way while the others are still being copied and parity is
    still being computed, and each is in the cache when the kernel copies it in turn.

    Attributes:
        datagrams: `(N, D)` uint8, C-contiguous, in the order of the wire; of no sense until
            `burst` filled them.
        layout: which chunk each of them carries.
    """

    __slots__ = ("_data", "_filled", "_headers", "_parity", "_payload", "datagrams", "layout")

    def __init__(
        self,
        datagrams: NDArray[np.uint8],
        layout: Layout,
        header: bytes,
        payload: NDArray[np.uint8],
    ) -> None:
        self.datagrams = datagrams
        self.layout = layout
        self._headers: NDArray[np.uint8] = np.ndarray(
            (layout.total, HEADER_BYTES), np.uint8, headers_of(header, layout)
        )
        self._payload = payload
        self._filled = 0
        self._parity: NDArray[np.uint8] | None = None  # of all blocks, as rows in memory
        self._data: NDArray[np.uint8] | None = None  # where it is not in `datagrams` in order

    def __len__(self) -> int:
        return len(self.datagrams)

    def burst(self, start: int, end: int) -> NDArray[np.uint8]:
        """Datagrams `start` to below `end`, filled: `(n, D)` uint8, C-contiguous."""
        if self._filled < end:
            self._fill_to(end)
        return self.datagrams[start:end]

    def whole(self) -> NDArray[np.uint8]:
        """All datagrams, filled."""
        return self.burst(0, len(self))

    def again(
        self, block: int, index: int, chunks: int, most: int, most_bytes: float
    ) -> NDArray[np.uint8]:
        """A copy of the datagrams of a run of chunks, `(n, D)` uint8; 0 chunks: of all.

        Only those that have been filled, and so have left, and that the frame has; the first
        `most` of them, and none where those are more than `most_bytes`.
        """
        filled = self.datagrams[: self._filled]
        if not chunks:
            first = filled[:most]
            return first.copy() if first.nbytes <= most_bytes else filled[:0]
        run = np.arange(index, index + chunks).astype(np.uint8)
        rows, known = self.layout.rows_of(np.full(chunks, block, np.uint8), run)
        places = self.layout.places_of(rows[known])
        places = places[places < self._filled][:most]
        return filled[places if len(places) * filled.shape[1] <= most_bytes else places[:0]]

    def _fill_to(self, end: int) -> None:
        start, layout, datagrams = self._filled, self.layout, self.datagrams
        datagrams[start:end, :HEADER_BYTES] = self._headers[start:end]
        data_end = min(end, layout.chunks)
        if start < data_end:
            chunks = datagrams[start:data_end, HEADER_BYTES:]
            if layout.is_interleaved:
                chunks[:] = self._data_rows()[layout.rows[start:data_end]]
            else:
                size = chunks.shape[1]
                _fill(chunks, self._payload[start * size : data_end * size])
        if data_end < end:
            self._fill_parity(max(start, data_end), end)
        self._filled = end
        if end == layout.total:  # all is in the datagrams now
            self._payload, self._data, self._parity = _NO_ROOM, None, None

    def _data_rows(self) -> NDArray[np.uint8]:
        """The data chunks in the order of the payload, `(N, S)`."""
        if self._data is None:
            self._data = np.empty(
                (self.layout.chunks, self.datagrams.shape[1] - HEADER_BYTES), np.uint8
            )
            _fill(self._data, self._payload)
        return self._data

    def _fill_parity(self, start: int, end: int) -> None:
        layout = self.layout
        if self._parity is None:
            data = self._data
            if data is None:
                data = self.datagrams[: layout.chunks, HEADER_BYTES:]
            self._parity = np.concatenate(
                [encode(data[layout.data_rows(b)], layout.parity) for b in range(layout.blocks)]
            )
        chunks = self.datagrams[start:end, HEADER_BYTES:]
        if not layout.is_interleaved:
            chunks[:] = self._parity[start - layout.chunks : end - layout.chunks]
        else:
            chunks[:] = self._parity[layout.rows[start:end] - layout.chunks]


class Packetizer:
    """Cuts frames for the indexed wire, into buffers that it uses again."""

    def __init__(self, epoch: int, datagram_bytes: int) -> None:
        """Prepare for datagrams of at most `datagram_bytes`.

        Raises:
            FrameError: no datagram can be that small or that large.
        """
        if not MIN_DATAGRAM_BYTES <= datagram_bytes <= MAX_DATAGRAM_BYTES:
            raise FrameError(
                f"datagrams of {datagram_bytes} bytes: give {MIN_DATAGRAM_BYTES} to "
                f"{MAX_DATAGRAM_BYTES}"
            )
        self._epoch = epoch
        self._most_chunk_bytes = datagram_bytes - HEADER_BYTES
        # No `BufferPool`: where the caches are cold, that costs 0.01 ms before a frame can leave.
        self._free: list[NDArray[np.uint8]] = []

    def packetize(
        self,
        payload: NDArray[np.uint8],
        codec: Codec,
        size_wh: tuple[int, int],
        frame: int,
        captured_us: int,
        parity: Callable[[int], int] | None = None,
    ) -> OutgoingFrame:
        """Return a frame's datagrams, in a buffer that is theirs until `reuse`.

        Args:
            payload: `(length,)` uint8; not to be changed until all datagrams are filled.
            codec: how it encodes the picture.
            size_wh: width and height in pixels.
            frame: number of the frame; its lowest 32 bits go on the wire.
            captured_us: capture time by the sender's clock; likewise.
            parity: tells how many parity chunks a block of so many data chunks gets; it
                gets as many of them as a block has room for. None where none gets any.

        Raises:
            FrameError: the frame needs more than 256 blocks of such datagrams.
        """
        length = len(payload)
        chunks = -(-length // self._most_chunk_bytes)
        chunk_bytes = -(-length // chunks)
        # Rounding the size up can make the last chunks superfluous: 10 bytes in 4 chunks
        # are 3 each, so 4; 6 bytes in 4 are 2 each, so 3.
        chunks = -(-length // chunk_bytes)
        data, parity_chunks = chunks, 0
        if chunks > MAX_CHUNKS_PER_BLOCK or parity is not None:
            data, parity_chunks = _blocks_with_parity(chunks, chunk_bytes, parity)
        header = pack_frame_header(
            0, 0, data, parity_chunks, self._epoch, frame & 0xFFFF_FFFF, length,
            captured_us & 0xFFFF_FFFF, *size_wh, codec,
        )  # fmt: skip
        layout = layout_of(chunks, data, parity_chunks)
        total, datagram_bytes = layout.total, HEADER_BYTES + chunk_bytes
        room = self._free.pop() if self._free else _NO_ROOM
        if len(room) < total * datagram_bytes:
            # An eighth more than is asked for: the next frame may be a little larger.
            room = np.empty(total * datagram_bytes * 9 // 8, np.uint8)
        datagrams = np.ndarray((total, datagram_bytes), np.uint8, room)
        return OutgoingFrame(datagrams, layout, header, payload)

    def reuse(self, frame: OutgoingFrame) -> None:
        """Take back the buffer of a frame that nobody needs any more."""
        base = frame.datagrams.base
        if isinstance(base, np.ndarray) and len(self._free) < _MOST_FREE:
            self._free.append(base)


def _blocks_with_parity(
    chunks: int, chunk_bytes: int, parity: Callable[[int], int] | None
) -> tuple[int, int]:
    """Data and parity chunks in a block, in the least number of blocks that holds both."""
    blocks = -(-chunks // MAX_CHUNKS_PER_BLOCK)
    if blocks > MAX_BLOCKS:
        raise FrameError(
            f"a frame of {chunks} chunks needs {blocks} blocks of datagrams with "
            f"{chunk_bytes} bytes each, and only {MAX_BLOCKS} can be numbered: "
            "use larger datagrams, JPEG or a smaller picture"
        )
    while True:
        data = -(-chunks // blocks)
        wanted = parity(data) if parity else 0
        if data + wanted <= MAX_CHUNKS_PER_BLOCK or blocks == MAX_BLOCKS:
            # More blocks than are needed can leave the last ones empty: they are not sent.
            return data, min(wanted, MAX_CHUNKS_PER_BLOCK - data)
        blocks += 1


def headers_of(header: bytes, layout: Layout, most: int | None = None) -> bytearray:
    """The headers of a frame's datagrams one after the other, in the order of the wire.

    Without numpy, it takes a third of the time when the caches are cold.

    Args:
        header: that of any one of them.
        layout: of the frame.
        most: how many, if not all.
    """
    blocks, indices = layout.blocks_and_indices
    headers = bytearray(header) * len(indices[:most])
    headers[0::HEADER_BYTES] = indices[:most]
    if layout.blocks > 1:
        headers[3::HEADER_BYTES] = blocks[:most]
    return headers


def packetize_classic(payload: NDArray[np.uint8], geometry: ClassicGeometry) -> list[memoryview]:
    """Return a raw frame's datagrams for the classic wire, each led by its index.

    Raises:
        FrameError: the frame has not the size that both ends were told.
    """
    if len(payload) != geometry.frame_bytes:
        width, height = geometry.size_wh
        raise FrameError(
            f"a raw frame of {len(payload)} bytes on a classic wire of {width}x{height} "
            f"({geometry.frame_bytes} bytes): classic sends raw frames of one size"
        )
    datagrams = np.empty((geometry.chunks, 1 + geometry.chunk_bytes), np.uint8)
    datagrams[:, 0] = np.arange(geometry.chunks)
    _fill(datagrams[:, 1:], payload)
    return [
        row.data[: 1 + geometry.chunk_size(index)]  # the last may be shorter
        for index, row in enumerate(datagrams)
    ]


def _fill(chunks: NDArray[np.uint8], payload: NDArray[np.uint8]) -> None:
    """Lay a payload over `(N, S)` rows, zeros behind its end."""
    chunk_bytes = chunks.shape[1]
    whole = len(payload) // chunk_bytes
    chunks[:whole] = payload[: whole * chunk_bytes].reshape(whole, chunk_bytes)
    if whole < len(chunks):
        tail = payload[whole * chunk_bytes :]
        last = chunks[whole]
        last[: len(tail)] = tail
        last[len(tail) :] = _ZEROS[: chunk_bytes - len(tail)]
