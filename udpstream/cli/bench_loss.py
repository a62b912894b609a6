"""``udpstream bench loss``: the trials of a link that loses datagrams, as tables and curves."""

from __future__ import annotations

import csv
import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from udpstream import __version__
from udpstream.bench.loss import BURST, FRAME_BYTES, FRAMES, LOSSES, Method, Setting, Trial
from udpstream.cli.options import Parity, parse_parity, writable_file
from udpstream.core.reassembly import LATENCY_BUDGET_S
from udpstream.errors import UdpStreamError
from udpstream.protocol import (
    DEFAULT_DATAGRAM_BYTES,
    DEFAULT_MAX_FRAME_BYTES,
    MAX_DATAGRAM_BYTES,
    MIN_DATAGRAM_BYTES,
)

_GOOD_SHARE = 0.995
_FAIR_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class _Losses:
    """Shares of datagrams, 0 to 1, rising."""

    shares: tuple[float, ...]

    def __str__(self) -> str:
        return ",".join(f"{100 * share:g}" for share in self.shares)


def _parse_losses(text: str | _Losses) -> _Losses:
    if isinstance(text, _Losses):  # typer parses its own defaults too
        return text
    try:
        percents = {float(each.removesuffix("%")) for each in text.split(",")}
    except ValueError:
        percents = {-1.0}
    if not all(0 <= percent <= 90 for percent in percents):
        raise typer.BadParameter(
            f"'{text}' are no losses: write percents from 0 to 90 with commas, such as 0,1,5"
        )
    return _Losses(tuple(percent / 100 for percent in sorted(percents)))


def bench_loss(
    loss: Annotated[
        _Losses, typer.Option(parser=_parse_losses, metavar="P,P,...", help="Percents to lose.")
    ] = _Losses(LOSSES),
    burst: Annotated[
        float,
        typer.Option(min=1.0, max=1000.0, metavar="N", help="Mean burst; 1: no trials of bursts."),
    ] = BURST,
    frames: Annotated[
        int, typer.Option(min=10, max=1_000_000, metavar="N", help="Frames in each trial.")
    ] = FRAMES,
    frame_bytes: Annotated[
        int,
        typer.Option(
            min=100, max=DEFAULT_MAX_FRAME_BYTES, metavar="BYTES", help="Size of a frame."
        ),
    ] = FRAME_BYTES,
    fps: Annotated[
        float, typer.Option(min=1.0, max=1000.0, metavar="FPS", help="Frames a second.")
    ] = 30.0,
    datagram: Annotated[
        int,
        typer.Option(
            min=MIN_DATAGRAM_BYTES,
            max=MAX_DATAGRAM_BYTES,
            metavar="BYTES",
            help="Largest datagram; lost as one.",
        ),
    ] = DEFAULT_DATAGRAM_BYTES,
    delay: Annotated[
        float, typer.Option(min=0.0, max=10_000.0, metavar="MS", help="Delay, each way.")
    ] = 1.0,
    reorder: Annotated[
        int, typer.Option(min=0, max=1000, metavar="N", help="How many may overtake a datagram.")
    ] = 0,
    duplicate: Annotated[
        float, typer.Option(min=0.0, max=100.0, metavar="PERCENT", help="How many come twice.")
    ] = 0.0,
    rate: Annotated[
        float | None, typer.Option(min=0.01, metavar="MBIT", help="What the link holds, Mbit/s.")
    ] = None,
    fec: Annotated[
        Parity,
        typer.Option(
            parser=parse_parity, metavar="auto|PERCENT", help="Parity, where there is any."
        ),
    ] = Parity("auto"),  # noqa: B008 - a frozen value
    latency_budget: Annotated[
        float,
        typer.Option(
            min=1.0, max=10_000.0, metavar="MS", help="How long a frame may wait for repair."
        ),
    ] = LATENCY_BUDGET_S * 1e3,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Of all that happens by chance.")
    ] = 1,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", callback=writable_file, metavar="FILE", help="Write the figures."),
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", callback=writable_file, metavar="FILE", help="The same as a table."),
    ] = None,
    html_file: Annotated[
        Path | None,
        typer.Option("--html", callback=writable_file, metavar="FILE", help="Curves and tables."),
    ] = None,
    png_file: Annotated[
        Path | None,
        typer.Option("--png", callback=writable_file, metavar="FILE", help="Draw the curves."),
    ] = None,
) -> None:
    """See what parity and repair do where datagrams get lost."""
    from udpstream.bench import plots
    from udpstream.cli.terminal import COLUMNS, print_lines, print_table

    if html_file or png_file:
        plots.require_matplotlib()
    setting = Setting(
        losses=loss.shares,
        burst=burst,
        frames=frames,
        frame_bytes=frame_bytes,
        fps=fps,
        datagram_bytes=datagram,
        delay_s=delay / 1e3,
        reorder=reorder,
        duplicate=duplicate / 100,
        rate_bytes_per_s=None if rate is None else rate * 1e6 / 8,
        latency_budget_s=latency_budget / 1e3,
        fec_percent=_percent(fec),
        seed=seed,
    )
    trials = _run(setting)
    print_lines(textwrap.wrap(plots.describe(setting), COLUMNS))
    for each in sorted({trial.burst for trial in trials}):
        tables = _tables([trial for trial in trials if trial.burst == each])
        for title, table in tables.items():
            print_lines(["", f"{plots.link_name(each)}: {title}"])
            print_table(table)
    for note in plots.notes(trials):
        print_lines(["", *textwrap.wrap(note, COLUMNS)])
    write: dict[Path | None, Callable[[Path], None]] = {
        json_file: lambda path: _write_json(path, setting, trials),
        csv_file: lambda path: _write_csv(path, trials),
        html_file: lambda path: plots.write_html(path, setting, trials),
        png_file: lambda path: plots.write_png(path, setting, trials),
    }
    for path, writer in write.items():
        if path is not None:
            try:
                writer(path)
            except OSError as error:
                raise UdpStreamError(f"cannot write {path}: {error.strerror}") from error


def _percent(parity: Parity) -> float | None:
    if parity.value == "auto":
        return None
    return 0.0 if parity.value == "off" else parity.value


def _run(setting: Setting) -> list[Trial]:
    from udpstream.bench.loss import run_trial
    from udpstream.cli.signals import StopSignals
    from udpstream.cli.terminal import ProgressBar

    cases = [(method, *case) for case in setting.cases() for method in Method]
    trials: list[Trial] = []
    with StopSignals() as signals, ProgressBar() as progress:
        for method, loss, burst in cases:
            progress.show(len(trials), len(cases), f"{100 * loss:g} % lost, {method.value}")
            trials.append(run_trial(setting, method, loss, burst))
            if signals.event.is_set() and len(trials) < len(cases):
                raise UdpStreamError(
                    "stopped before all trials were run: nothing to tell. For fewer give --loss "
                    "or --frames"
                )
    return trials


def _tables(trials: Sequence[Trial]) -> dict[str, Table]:
    """By its title a table for each kind of figure: methods side by side, a row for each loss."""
    kinds: dict[str, Callable[[Trial], str]] = {
        "frames intact, %": _intact,
        "latency, capture to whole, ms: p50 / p99": _latency,
        "bytes sent per byte of frames": lambda trial: f"{trial.wire_by_payload:.3f}",
        "frames made whole by parity / by repair": _repaired,
    }
    tables = {}
    for title, cell in kinds.items():
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        table.add_column("lost", justify="right", no_wrap=True, min_width=6)
        for method in Method:
            table.add_column(method.value, justify="right", no_wrap=True, min_width=12)
        for loss in sorted({trial.loss for trial in trials}):
            table.add_row(f"{100 * loss:g} %", *(cell(t) for t in trials if t.loss == loss))
        tables[title] = table
    return tables


def _intact(trial: Trial) -> str:
    share = trial.intact_share
    style = "" if share >= _GOOD_SHARE else "yellow" if share >= _FAIR_SHARE else "red"
    text = f"{100 * share:.2f}"
    return f"[{style}]{text}[/]" if style else text


def _latency(trial: Trial) -> str:
    return "-" if trial.p50_ms is None else f"{trial.p50_ms:.1f} / {trial.p99_ms:.1f}"


def _repaired(trial: Trial) -> str:
    if trial.method in {Method.CLASSIC, Method.INDEXED}:
        return "-"
    return f"{trial.by_parity:,} / {trial.by_nack:,}"


def _write_json(path: Path, setting: Setting, trials: Sequence[Trial]) -> None:
    figures = {
        "udpstream": __version__,
        "setting": asdict(setting),
        "trials": [trial.as_dict() for trial in trials],
    }
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _write_csv(path: Path, trials: Sequence[Trial]) -> None:
    rows = [trial.as_dict() for trial in trials]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
