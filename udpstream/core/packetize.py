"""A frame's bytes to datagrams: no loop over datagrams, one strided copy a frame."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from udpstream.errors import FrameError
from udpstream.protocol import (
    HEADER_BYTES,
    MAX_BLOCKS,
    MAX_CHUNKS_PER_BLOCK,
    MAX_DATAGRAM_BYTES,
    MIN_DATAGRAM_BYTES,
    ClassicGeometry,
    Codec,
    FrameHeader,
    pack_frame_header,
)

_INDICES = np.arange(MAX_CHUNKS_PER_BLOCK, dtype=np.uint8)


class OutgoingFrame:
    """A frame's datagrams, each burst of which is filled when it is to leave.

    So the first burst is on its way while the others are still being copied, and each is
    in the cache when the kernel copies it in turn.

    Attributes:
        datagrams: `(N, D)` uint8, C-contiguous; headers only, until `burst` filled them.
    """

    def __init__(self, datagrams: NDArray[np.uint8], payload: NDArray[np.uint8]) -> None:
        self.datagrams = datagrams
        self._payload = payload

    def __len__(self) -> int:
        return len(self.datagrams)

    def burst(self, start: int, end: int) -> NDArray[np.uint8]:
        """Datagrams `start` to below `end`, filled: `(n, D)` uint8, C-contiguous."""
        datagrams = self.datagrams[start:end]
        chunk_bytes = datagrams.shape[1] - HEADER_BYTES
        _fill(
            datagrams[:, HEADER_BYTES:],
            self._payload[start * chunk_bytes : end * chunk_bytes],
        )
        return datagrams

    def whole(self) -> NDArray[np.uint8]:
        """All datagrams, filled."""
        return self.burst(0, len(self))


class Packetizer:
    """Cuts frames for the indexed wire, into a buffer that it uses again and again."""

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
        self._room: NDArray[np.uint8] = np.empty(0, np.uint8)

    def packetize(
        self,
        payload: NDArray[np.uint8],
        codec: Codec,
        size_wh: tuple[int, int],
        frame: int,
        captured_us: int,
    ) -> OutgoingFrame:
        """Return a frame's datagrams, in a buffer that the next call overwrites.

        Args:
            payload: `(length,)` uint8.
            codec: how it encodes the picture.
            size_wh: width and height in pixels.
            frame: number of the frame; its lowest 32 bits go on the wire.
            captured_us: capture time by the sender's clock; likewise.

        Raises:
            FrameError: the frame needs more than 256 blocks of such datagrams.
        """
        length = len(payload)
        chunks = -(-length // self._most_chunk_bytes)
        chunk_bytes = -(-length // chunks)
        # Rounding the size up can make the last chunks superfluous: 10 bytes in 4 chunks
        # are 3 each, so 4; 6 bytes in 4 are 2 each, so 3.
        chunks = -(-length // chunk_bytes)
        blocks = -(-chunks // MAX_CHUNKS_PER_BLOCK)
        if blocks > MAX_BLOCKS:
            raise FrameError(
                f"a frame of {length} bytes needs {blocks} blocks of datagrams with "
                f"{chunk_bytes} bytes each, and only {MAX_BLOCKS} can be numbered: "
                "use larger datagrams, JPEG or a smaller picture"
            )
        header = pack_frame_header(
            FrameHeader(
                index=0, block=0, data=-(-chunks // blocks), parity=0, epoch=self._epoch,
                frame=frame & 0xFFFF_FFFF, length=length, captured_us=captured_us & 0xFFFF_FFFF,
                width=size_wh[0], height=size_wh[1], codec=codec, chunk_bytes=chunk_bytes,
            )
        )  # fmt: skip
        datagram_bytes = HEADER_BYTES + chunk_bytes
        if len(self._room) < chunks * datagram_bytes:
            self._room = np.empty(chunks * datagram_bytes, np.uint8)
        datagrams = self._room[: chunks * datagram_bytes].reshape(chunks, datagram_bytes)
        fill_headers(datagrams[:, :HEADER_BYTES], header)
        return OutgoingFrame(datagrams, payload)


def fill_headers(rows: NDArray[np.uint8], header: bytes) -> None:
    """Write the headers of a frame's data chunks, in order.

    Args:
        rows: `(N, 24)` uint8, for all N of them.
        header: that of any one of them.
    """
    rows[:] = np.frombuffer(header, np.uint8)
    if len(rows) <= header[4]:  # one block
        rows[:, 0] = _INDICES[: len(rows)]
        rows[:, 3] = 0
    else:
        rows[:, 3], rows[:, 0] = _blocks_and_indices(len(rows), header[4])


@lru_cache(maxsize=8)  # raw frames have the same geometry time after time
def _blocks_and_indices(chunks: int, data: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    block, index = np.divmod(np.arange(chunks), data)
    return block.astype(np.uint8), index.astype(np.uint8)


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
        chunks[whole, : len(tail)] = tail
        chunks[whole, len(tail) :] = 0
