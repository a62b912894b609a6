"""Does the link stay as it was? Memory and latency of a long run, interval by interval.

python -m benchmarks.soak --seconds 600
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer

from benchmarks.peer import Load, Pair, Received, Sent, run_of
from benchmarks.peer_udpstream import receive, send
from benchmarks.report import Table, Value, progress, publish

_FIGURES = ("sender MB", "receiver MB", "net p50 ms", "net p99 ms")


class Books:
    """Matches what was sent with what came, as both are told bit by bit."""

    def __init__(self) -> None:
        self.frames = 0
        self.matched = 0
        self._sent: dict[int, Sent] = {}
        self._received: list[Received] = []

    @property
    def unmatched(self) -> int:
        """Frames sent that have not been seen to arrive."""
        return self.frames - self.matched

    def add(self, sent: list[Sent], received: list[Received]) -> list[float]:
        """Take records; return the net latencies, in ms, of the frames now known at both ends."""
        new = run_of(sent, received)
        self.frames += len(new.sent)
        self._sent.update((frame.number, frame) for frame in new.sent)
        self._received += new.received
        waiting, net_ms = [], []
        for there in self._received:
            here = self._sent.pop(there.number, None)
            if here is None:
                waiting.append(there)
            else:
                took_s = there.decoded_s - here.captured_s - here.encode_s - there.decode_s
                net_ms.append(took_s * 1e3)
        self._received = waiting
        self.matched += len(net_ms)
        return net_ms


def soak(seconds: float, every_s: float, seed: int) -> list[Table]:
    """Run the link and watch it; return the intervals, and the drift between thirds."""
    intervals = Table(
        f"Soak, JPEG 640x480 at 30 fps, {seconds:g} s",
        "Resident memory of both processes at each interval's end; latency from capture to "
        "decoded, less encode and decode.",
    )
    load = Load((640, 480), "jpeg", 30.0, seconds, seed)
    pair = Pair(send, receive, load, flush_s=every_s)
    books = Books()
    try:
        while (sent := pair.sent()) is not None:
            received: list[Received] = []
            while batch := pair.received(timeout_s=0.2):
                received += batch
            net_ms = books.add(sent, received)
            if len(net_ms) > 1:
                p50, p99 = np.percentile(net_ms, (50, 99))
                memory = (_resident_mb(pair.sender.pid), _resident_mb(pair.receiver.pid))
                values = (*memory, float(p50), float(p99))
                at_s = books.frames / (load.fps or 1)
                intervals.rows.append({"s": at_s, **dict(zip(_FIGURES, values, strict=True))})
                progress.print(f"{at_s:.0f} s: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        pair.finish()
        while (last := pair.received()) is not None:
            books.add([], last)
    finally:
        pair.close()
    return [intervals, drift(intervals.rows, books)]


def drift(rows: list[dict[str, Value]], books: Books) -> Table:
    """The median of each figure in the first third and in the last."""
    third = max(1, len(rows) // 3)
    table = Table("Drift", f"{books.frames} frames sent, {books.unmatched} lost.")
    for figure in _FIGURES:
        values = [row[figure] for row in rows]
        numbers = [value for value in values if isinstance(value, float)]
        if not numbers:
            continue
        first, last = median(numbers[:third]), median(numbers[-third:])
        table.rows.append(
            {"figure": figure, "first third": first, "last third": last, "change": last - first}
        )
    return table


def _resident_mb(pid: int | None) -> float | None:
    """Resident memory of a process; None where there is no /proc, or no process any more."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(
    seconds: Annotated[float, typer.Option(help="How long.")] = 600.0,
    every: Annotated[float, typer.Option(help="Seconds between two rows.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of the pictures.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown for a page.")
    ] = False,
) -> None:
    """Run the link for a long time and watch memory and latency."""
    tables = soak(seconds, every, seed)
    publish("benchmarks.soak", seed, tables, json, as_markdown=as_markdown)


if __name__ == "__main__":
    typer.run(main)
