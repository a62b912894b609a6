"""Where a frame's chunks lie: in blocks, on the wire, and in memory.

A frame of N data chunks in B blocks with m parity chunks each has N + B·m rows in memory:
the data chunks in the order of its bytes, then the parity chunks, block by block. So its
payload lies in one piece, and so do a block's data and its parity.

On the wire they have the same order where there is one block or no parity. Otherwise they
go index by index, all blocks in turn, so that a burst of losses is shared among the blocks.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from udpstream.protocol import MAX_CHUNKS_PER_BLOCK

_INDICES = bytes(range(MAX_CHUNKS_PER_BLOCK))
_NO_BLOCKS = bytes(MAX_CHUNKS_PER_BLOCK)


class Layout:
    """The places of one frame's chunks.

    A forged header is to cost little, whatever it claims: where a few chunks lie is
    computed from the numbers below; tables of all are made when they are first asked for.

    Attributes:
        chunks: N, data chunks in the frame.
        data: K, data chunks in a full block.
        parity: m, parity chunks in each block.
        blocks: B.
        total: N + B·m.
        is_interleaved: whether the order on the wire is another than in memory.
    """

    def __init__(self, chunks: int, data: int, parity: int) -> None:
        self.chunks = chunks
        self.data = data
        self.parity = parity
        self.blocks = -(-chunks // data)
        self.total = chunks + self.blocks * parity
        self.is_interleaved = parity > 0 and self.blocks > 1
        self._in_last_block = chunks - (self.blocks - 1) * data

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """The row in memory of each datagram in the order of the wire, `(total,)`."""
        if not self.is_interleaved:
            return np.arange(self.total)
        data = (np.arange(self.data)[:, None] + self.data * np.arange(self.blocks)).ravel()
        parity = (np.arange(self.parity)[:, None] + self.parity * np.arange(self.blocks)).ravel()
        return np.concatenate((data[data < self.chunks], self.chunks + parity))

    @cached_property
    def blocks_and_indices(self) -> tuple[bytes, bytes]:
        """Block and index of each datagram in the order of the wire, `total` bytes each."""
        if self.chunks == self.data:
            return _NO_BLOCKS[: self.total], _INDICES[: self.total]
        blocks, indices = np.divmod(self.rows, self.data)
        over = self.rows >= self.chunks
        if self.parity:
            blocks[over], indices[over] = np.divmod(self.rows[over] - self.chunks, self.parity)
            indices[over] += self.data
        return blocks.astype(np.uint8).tobytes(), indices.astype(np.uint8).tobytes()

    def place(self, block: int, index: int) -> int:
        """The place on the wire of a chunk; of one that the frame has not, anything from 0 on."""
        if index >= self.data:
            return self.chunks + (index - self.data) * self.blocks + block
        if not self.is_interleaved:
            return block * self.data + index
        return index * self.blocks + block - max(index - self._in_last_block, 0)

    def rows_of(
        self, blocks: NDArray[np.uint8], indices: NDArray[np.uint8]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """The rows in memory of chunks, and which of those chunks the frame has."""
        block, index = blocks.astype(np.intp), indices.astype(np.intp)
        over = index - self.data
        rows = np.where(
            over < 0, block * self.data + index, self.chunks + block * self.parity + over
        )
        known = np.where(over < 0, rows < self.chunks, (over < self.parity) & (block < self.blocks))
        return rows, known

    def places_of(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """The places on the wire of rows that the frame has."""
        if not self.is_interleaved:
            return rows
        block, index = np.divmod(rows, self.data)
        parity_block, parity_index = np.divmod(rows - self.chunks, self.parity)
        # Behind its last chunk, the last block is left out: so places fall back by one each.
        left_out = np.maximum(index - self._in_last_block, 0)
        return np.where(
            rows < self.chunks,
            index * self.blocks + block - left_out,
            self.chunks + parity_index * self.blocks + parity_block,
        )

    def shortages(self, arrived: NDArray[np.bool_]) -> NDArray[np.intp]:
        """How many chunks each block lacks beyond what its parity here restores, `(B,)`.

        Args:
            arrived: `(total,)`, whether the chunk of each row in memory is here.
        """
        starts = np.arange(0, self.chunks, self.data)
        lacking = np.add.reduceat(~arrived[: self.chunks], starts, dtype=np.intp)
        parity = arrived[self.chunks :].reshape(self.blocks, self.parity).sum(axis=1)
        shortages: NDArray[np.intp] = np.maximum(lacking - parity, 0)
        return shortages

    def data_rows(self, block: int) -> slice:
        """The rows of a block's data chunks."""
        return slice(block * self.data, min((block + 1) * self.data, self.chunks))

    def parity_rows(self, block: int) -> slice:
        """The rows of a block's parity chunks."""
        start = self.chunks + block * self.parity
        return slice(start, start + self.parity)


def runs_of(places: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Cut places, in the order given, where one does not follow the one before."""
    return np.split(places, np.flatnonzero(np.diff(places) != 1) + 1) if len(places) else []


def layout_of(chunks: int, data: int, parity: int) -> Layout:
    """The layout of a frame; most are like one of those before."""
    return (_one_block if chunks == data else _many_blocks)(chunks, data, parity)


@lru_cache(maxsize=256)
def _one_block(chunks: int, data: int, parity: int) -> Layout:
    return Layout(chunks, data, parity)


@lru_cache(maxsize=16)  # their tables take up to 0.7 MB
def _many_blocks(chunks: int, data: int, parity: int) -> Layout:
    return Layout(chunks, data, parity)
