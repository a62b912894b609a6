"""What the commands print: messages, a status line, summaries."""

from __future__ import annotations

import contextlib
import os
import textwrap
import threading
from collections.abc import Mapping, Sequence
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from udpstream.adapters.recorder import RecordingSummary
from udpstream.core.ledger import Ledger, StreamReport
from udpstream.errors import UdpStreamError

COLUMNS = 80  # of a usual terminal


class _Console(Console):
    """A console that falls silent when nobody reads it any more: the link goes on."""

    def on_broken_pipe(self) -> None:
        self.silence()

    def silence(self) -> None:
        """Print nothing from now on, nor what is still in a buffer."""
        self.quiet = True
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.file.fileno())
        os.close(null)


# What one may want to pipe on goes to stdout; what is said meanwhile to stderr.
_out = _Console(highlight=False, soft_wrap=True)
_err = _Console(
    stderr=True,
    highlight=False,
    soft_wrap=True,
    # As it is now: while a pose model is loaded, the error output is a file for a second.
    force_terminal=Console(stderr=True).is_terminal,
)


def say(text: str) -> None:
    """Print a line that a person should read now; from any thread."""
    with contextlib.suppress(OSError):  # a terminal that was closed, a disk that is full
        _err.print(Text(text))


def complain(text: str) -> None:
    """Print an error."""
    with contextlib.suppress(OSError):
        _err.print(Text.assemble(("udpstream: error: ", "bold red"), text))


def print_lines(lines: Sequence[str | Text]) -> None:
    """Print a result.

    Raises:
        UdpStreamError: there is no room for it.
    """
    try:
        for line in lines:
            _out.print(Text(line) if isinstance(line, str) else line)
    except OSError as error:
        _out.silence()
        raise UdpStreamError(f"cannot print the result: {error.strerror}") from error


def print_table(table: Table) -> None:
    """Print a table, folded to the terminal's width.

    Raises:
        UdpStreamError: there is no room for it.
    """
    try:
        _out.print(table, soft_wrap=False)
    except OSError as error:
        _out.silence()
        raise UdpStreamError(f"cannot print the result: {error.strerror}") from error


class ProgressBar:
    """A bar at the foot of the terminal, for what takes its time; nothing where there is none."""

    def __init__(self, what: str = "") -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=_err,
            transient=True,
            disable=not _err.is_terminal,
        )
        self._task = self._progress.add_task(what, total=None)

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._progress.stop()

    def show(self, done: float, of: float | None, what: str | None = None) -> None:
        """Say how much of it all is done, as far as that is known, and what is being done."""
        with contextlib.suppress(OSError):
            self._progress.update(self._task, completed=done, total=of, description=what)


class StatusLine:
    """One line at the foot of the terminal, rewritten in place; nothing where there is none.

    Messages of `say` scroll by above it.
    """

    def __init__(self) -> None:
        self._live = Live(console=_err, transient=True, auto_refresh=False)
        self._shown = _err.is_terminal
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if self._shown:
            with contextlib.suppress(OSError):
                self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            with contextlib.suppress(OSError):
                self._live.stop()

    def show(self, lines: Sequence[str]) -> None:
        """Put these lines there, each cut to the terminal's width."""
        if self._shown:
            text = Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis")
            with self._lock, contextlib.suppress(OSError):
                self._live.update(text, refresh=True)


def stream_status(report: StreamReport) -> str:
    """A live stream in one line of at most 80 columns."""
    ledger = report.ledger
    fps = "-" if report.frames_per_second is None else f"{report.frames_per_second:.1f}"
    p50 = ledger.latency.percentile(50)
    latency = "-" if p50 is None else f"{p50 * 1e3:.1f} ms"
    repaired = ledger.repaired_by_parity + ledger.repaired_by_nack
    mended = f" ({repaired:,} repaired)" if repaired else ""
    return (
        f"{report.stream.camera}  {_size(report)} {report.codec}  {fps} fps  "
        f"loss {ledger.lost_share:.2%}  latency {latency}  {ledger.delivered:,} frames{mended}"
    )


def stream_summary(
    report: StreamReport, stages_ms: Mapping[str, Mapping[str, float | None]]
) -> list[str]:
    """A stream that is over, in a few lines of at most 80 columns.

    Args:
        report: its books.
        stages_ms: p50, p95 and p99 of each stage, in order; None where not known.
    """
    ledger = report.ledger
    duration_s = report.ended_at - report.started_at
    rate = (ledger.delivered - 1) / duration_s if ledger.delivered > 1 and duration_s > 0 else 0.0
    lost = ", ".join(f"{loss.value} {count:,}" for loss, count in ledger.lost.items() if count)
    picture = f"{_size(report)} {report.codec}"
    reasons = f" ({lost})" if lost else ""
    delivered = f"{ledger.sent:,} sent, {ledger.delivered:,} delivered"
    lines = [
        f"{report.stream.camera}  {picture}  {rate:.1f} fps for {duration_s:.1f} s",
        f"  frames    {delivered}, {ledger.total_lost:,} lost{reasons}",
    ]
    link = ledger.link
    if link.expected > link.received:
        gone = link.expected - link.received
        lines.append(
            f"  link      {gone:,} of {link.expected:,} datagrams did not come "
            f"({link.lost_share:.1%}), {gone / max(link.runs, 1):.1f} in a row"
        )
    repaired = ledger.repaired_by_parity + ledger.repaired_by_nack
    if repaired:
        frames = "frame" if repaired == 1 else "frames"
        lines.append(
            f"  repaired  {repaired:,} {frames}: {ledger.repaired_by_parity:,} by parity "
            f"({_share(ledger.parity_bytes, ledger)}), {ledger.repaired_by_nack:,} by asking again "
            f"({_share(ledger.repair_bytes, ledger)})"
        )
    latency = ledger.latency.summary_ms()
    if latency["p50"] is not None:
        lines.append(
            f"  latency   p50 {latency['p50']:.2f} ms, p95 {latency['p95']:.2f}, "
            f"p99 {latency['p99']:.2f}, clocks within {_clock_error(report)}"
        )
        known = [(name, times["p50"]) for name, times in stages_ms.items()]
        medians = [f"{name} {p50:.1f}" for name, p50 in known if p50 is not None]
        lines.append(f"  stages    p50 in ms: {', '.join(medians)}")
    if ledger.payload_bytes and not ledger.total_lost:
        more = f", {ledger.wire_bytes / ledger.payload_bytes - 1:.1%} more on the wire"
    else:
        more = f", {ledger.wire_bytes / 1e6:,.1f} MB on the wire"
    lines.append(f"  data      {ledger.payload_bytes / 1e6:,.1f} MB of pictures{more}")
    if report.kernel_dropped:
        lines.append(
            f"  kernel    {report.kernel_dropped:,} datagrams found no room in this machine's "
            "receive buffer"
        )
    return [part for line in lines for part in _wrapped(line)]


def recording_summary(recording: RecordingSummary) -> list[str]:
    """A recording in a line for each file, and one for what is not in them."""
    paths = [recording.path / name for name in recording.files if recording.frames_written]
    lines = [
        f"  recorded  {path}{'' if path.exists() else ', which somebody removed'}" for path in paths
    ]
    if not lines:
        lines = ["  recorded  nothing"]
    missed = {reason: n for reason, n in recording.frames_not_written.items() if n}
    if missed:
        reasons = ", ".join(f"{reason.replace('_', ' ')} {n:,}" for reason, n in missed.items())
        lines.append(f"            {sum(missed.values()):,} frames not written ({reasons})")
    return lines


def _wrapped(line: str) -> list[str]:
    """A line of a summary in as many as it takes, none wider than a usual terminal."""
    return textwrap.wrap(
        line, COLUMNS, subsequent_indent=" " * 12,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _share(part_bytes: int, ledger: Ledger) -> str:
    """Bytes spent, as a share of all that came."""
    return f"{part_bytes / ledger.wire_bytes:.1%} of the bytes"


def _size(report: StreamReport) -> str:
    return "-" if report.size_wh is None else f"{report.size_wh[0]}x{report.size_wh[1]}"


def _clock_error(report: StreamReport) -> str:
    return "-" if report.clock_error_s is None else f"{report.clock_error_s * 1e3:.2f} ms"
