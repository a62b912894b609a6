"""One frame of which some chunks are here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udpstream.core.layout import Layout, runs_of
from udpstream.core.meter import LinkMeter
from udpstream.core.packetize import headers_of
from udpstream.core.parity import restore
from udpstream.core.pool import BufferPool
from udpstream.protocol import HEADER_BYTES, Ask, FrameHeader

# Frames of more chunks, parity included, get their headers foretold only when one in 256 of
# them is here: else a lone forged datagram would cost 2 MB. Raw 1080p has 4,521 chunks.
_FORETOLD_CHUNKS = 5_120
_FORETOLD_SHARE = 256
_TABLE_BYTES = 10  # a chunk, where the layout has tables: a row, a block and an index


class Placed(NamedTuple):
    """What became of datagrams that came in no order.

    Attributes:
        bad: that the frame has no place for.
        repeated: that were there already, and did not come by themselves after all.
        parity: that are parity, and were not asked for.
    """

    bad: int
    repeated: int
    parity: int


class Partial:
    """A frame of which some chunks are here.

    `headers` are the headers that its datagrams must have, in the order of the wire: a run
    of datagrams that equals a run of those is checked in all of its fields by one
    comparison of bytes. They are empty until they are worth their memory.
    While no datagram is missing, `run_end` counts them and `arrived` is not kept.

    Attributes:
        number: of the frame, not cut.
        header: of its first datagram.
        left: data chunks that are not here.
        first_at, progress_at: when the first datagram came, and the latest that was not
            asked for.
        ended_at: when it was clear that no more are under way; None until then.
        contradicted: whether a datagram said another thing of the frame than the first.
        tries, asked_at: how often its chunks were asked for again, and when last.
        asked_in_vain: whether chunks that were asked for came by themselves, too.
        repairs: datagrams that came because they were asked for.
        silence_s: the longest time between two runs of its datagrams.
    """

    __slots__ = (
        "_arrived",
        "_asked",
        "_datagram_bytes",
        "_foretold_bytes",
        "_headers",
        "_layout",
        "_meter",
        "_parity_here",
        "_rows",
        "_run_end",
        "_run_start",
        "asked_at",
        "asked_in_vain",
        "contradicted",
        "ended_at",
        "first_at",
        "header",
        "left",
        "number",
        "progress_at",
        "repairs",
        "silence_s",
        "tries",
    )

    def __init__(
        self,
        number: int,
        header: FrameHeader,
        layout: Layout,
        meter: LinkMeter,
        pool: BufferPool,
        now: float,
    ) -> None:
        self.number = number
        self.header = header
        self.left = layout.chunks
        self.first_at = self.progress_at = now
        self.ended_at: float | None = None
        self.contradicted = False
        self.tries = 0
        self.asked_at = 0.0
        self.asked_in_vain = False
        self.repairs = 0
        self.silence_s = 0.0
        self._layout = layout
        self._meter = meter
        self._datagram_bytes = HEADER_BYTES + header.chunk_bytes
        self._headers = bytearray()
        self._foretold_bytes = 0
        rows = pool.take(layout.total * header.chunk_bytes)
        self._rows: NDArray[np.uint8] = rows.reshape(layout.total, header.chunk_bytes)
        self._arrived: NDArray[np.bool_] | None = None
        self._asked: NDArray[np.bool_] | None = None
        self._parity_here = 0
        self._run_start = self._run_end = 0  # places on the wire of the latest run

    @property
    def memory_bytes(self) -> int:
        """What is set aside for it: chunks, which of them came, and headers."""
        return self._rows.nbytes + len(self._rows) + self._foretold_bytes

    @property
    def is_whole(self) -> bool:
        """Whether all data chunks are here, or parity enough for those that are not."""
        if not self.left:
            return True
        if self.left > self._parity_here:
            return False
        assert self._arrived is not None
        return not self._layout.shortages(self._arrived).any()

    def foretell(self, datagram: NDArray[np.uint8]) -> int:
        """Foretell all headers from one datagram, once it is worth it; return what it costs."""
        total = self._layout.total
        if self._headers or (total > _FORETOLD_CHUNKS and self._here * _FORETOLD_SHARE < total):
            return 0
        layout = self._layout
        self._headers = headers_of(datagram[:HEADER_BYTES].tobytes(), layout)
        tables = layout.total * _TABLE_BYTES if layout.blocks > 1 else 0
        self._foretold_bytes = len(self._headers) + tables
        return self._foretold_bytes

    def fits(self, header: FrameHeader) -> bool:
        """Whether a header says of the frame what the first one said."""
        return header[2:] == self.header[2:]  # all but index and block

    def take_run(self, datagrams: NDArray[np.uint8], now: float) -> int:
        """Take the leading datagrams if they are of this frame, in order and new.

        They are all data or all parity: parity is not even copied where the data before it
        is whole.

        Args:
            datagrams: `(n, D)` uint8, of whatever frame or kind.
            now: seconds.

        Returns:
            How many were taken; 0 tells nothing about whose they are.
        """
        layout = self._layout
        if datagrams.shape[1] != self._datagram_bytes or self._asked is not None:
            return 0
        headers = datagrams[:, :HEADER_BYTES].tobytes()
        first = layout.place(headers[3], headers[0])
        limit = layout.chunks if first < layout.chunks else layout.total
        end = min(first + len(datagrams), limit)
        expected = self._headers[first * HEADER_BYTES : end * HEADER_BYTES]
        if not expected or headers[: len(expected)] != expected:
            return 0
        rows = layout.rows[first:end] if layout.is_interleaved else slice(first, end)
        if first != self._run_end:
            self._keep_arrived()
            self._end_run(first)
        if self._arrived is not None:
            if self._arrived[rows].any():
                return 0
            self._arrived[rows] = True
        self._rows[rows] = datagrams[: end - first, HEADER_BYTES:]
        self._run_end = end
        if first < layout.chunks:
            self.left -= end - first
        else:
            self._parity_here += end - first
        self.progress_at = now
        return end - first

    def place(self, datagrams: NDArray[np.uint8], now: float) -> Placed:
        """Put chunks where they belong.

        Args:
            datagrams: `(n, D)` uint8, all of this frame but in any order; index and
                block are checked here.
            now: seconds.
        """
        self._keep_arrived()
        assert self._arrived is not None
        layout = self._layout
        rows, known = layout.rows_of(datagrams[:, 3], datagrams[:, 0])
        parity = rows[known & (rows >= layout.chunks)]
        if self._asked is not None:
            parity = parity[~self._asked[parity]]
        sources = np.flatnonzero(known)
        fresh, first_at = np.unique(rows[sources], return_index=True)
        new = ~self._arrived[fresh]
        repeated = fresh[~new]
        fresh, sources = fresh[new], sources[first_at[new]]
        self._rows[fresh] = datagrams[sources, HEADER_BYTES:]
        self._arrived[fresh] = True
        data = int(np.count_nonzero(fresh < layout.chunks))
        self.left -= data
        self._parity_here += len(fresh) - data
        self._count(fresh[np.argsort(sources)], now)
        bad = int(np.count_nonzero(~known))
        twice = repeated[:0]
        if self._asked is not None and self.tries == 1:  # else it may be the answer to two asks
            twice = repeated[self._asked[repeated]]
        for run in runs_of(layout.places_of(twice)):  # of the two, one came by itself
            self._meter.note(self.number, int(run[0]), int(run[-1]) + 1, layout.total, now)
            self.asked_in_vain = True
        return Placed(bad, len(datagrams) - bad - len(fresh) - len(twice), len(parity))

    def finish_run(self) -> None:
        """Let the meter know of what came in order so far."""
        self._end_run(self._run_end)

    def all_asked(self, *, tries: int, asked_at: float, due_at: float) -> None:
        """Note that all of it was asked for, because nothing had come when it was due."""
        self._keep_arrived()
        self._asked = np.ones(self._layout.total, np.bool_)
        self.tries = tries
        self.asked_at = asked_at
        self.progress_at = due_at

    def asks(self, now: float) -> list[Ask]:
        """What to ask for so that parity can restore the rest; notes that it was asked for.

        No more asks than datagrams of it have come, and one: else a few forged ones would
        cost a flood of asks. A frame of one block never lacks more runs than that.
        """
        self._keep_arrived()
        assert self._arrived is not None
        if self._asked is None:
            self._asked = np.zeros(self._layout.total, np.bool_)
            self.finish_run()
        self.tries += 1
        self.asked_at = now
        frame, most = self.number & 0xFFFF_FFFF, self._here + 1
        shortages = self._layout.shortages(self._arrived)
        asks: list[Ask] = []
        for block in np.flatnonzero(shortages).tolist():
            missing = self._missing(block)[: shortages[block]]
            for run in runs_of(missing)[: most - len(asks)]:
                self._asked[run + self._layout.data_rows(block).start] = True
                asks.append(Ask(frame, block, int(run[0]), len(run)))
            if len(asks) == most:
                break
        return asks

    def restore(self) -> NDArray[np.uint8]:
        """The frame's bytes, `(N * S,)`, padding included; missing chunks from parity."""
        if self.left:
            assert self._arrived is not None
            for block in range(self._layout.blocks):
                missing = self._missing(block)
                if len(missing):
                    rows = self._layout.parity_rows(block)
                    here = np.flatnonzero(self._arrived[rows])
                    restore(
                        self._rows[self._layout.data_rows(block)], missing.tolist(),
                        self._rows[rows][here], here.tolist(),
                    )  # fmt: skip
        return self._rows[: self._layout.chunks].reshape(-1)

    @property
    def _here(self) -> int:
        """How many of its chunks are here, data and parity."""
        return self._layout.chunks - self.left + self._parity_here

    def _missing(self, block: int) -> NDArray[np.intp]:
        """Which data chunks of a block are not here, by their index."""
        assert self._arrived is not None
        return np.flatnonzero(~self._arrived[self._layout.data_rows(block)])

    def _count(self, rows: NDArray[np.intp], now: float) -> None:
        """Count new chunks, in the order in which they came: repairs, and all others."""
        if self._asked is not None:
            asked = self._asked[rows]
            self.repairs += int(np.count_nonzero(asked))
            rows = rows[~asked]
        if not len(rows):
            return
        self.progress_at = now
        for run in runs_of(self._layout.places_of(rows)):
            if run[0] != self._run_end:
                self._end_run(int(run[0]))
            self._run_end = int(run[-1]) + 1

    def _end_run(self, next_start: int) -> None:
        if self._run_end > self._run_start:
            self._meter.note(
                self.number, self._run_start, self._run_end, self._layout.total, self.progress_at
            )
        self._run_start = self._run_end = next_start

    def _keep_arrived(self) -> None:
        """From now on, chunks may not be in order."""
        if self._arrived is None:
            self._arrived = np.zeros(self._layout.total, np.bool_)
            layout = self._layout
            if not layout.is_interleaved:
                self._arrived[: self._run_end] = True
            elif self._run_end:  # the rows of all chunks are costly, and a lone one needs none
                self._arrived[layout.rows[: self._run_end]] = True
