"""Curves of what becomes of frames on a link that loses datagrams, by matplotlib."""

from __future__ import annotations

import html
import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from udpstream.bench.loss import SETTLE_S, Method, Setting, Trial
from udpstream.errors import UdpStreamError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST_FRAMES = 10  # whose p99 says something
_STEP_SHARES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_MARGIN = 0.45  # between the last share that can be told from 1, and 1, in powers of ten


class _Style(NamedTuple):
    colour: str  # of Okabe and Ito: told apart by colour-blind people, too
    marker: str
    width: float
    size: float


# Where curves lie upon each other, the wide ones are below and the narrow ones on top.
_STYLES = {
    Method.CLASSIC: _Style("#666666", "X", 2.0, 7.0),
    Method.INDEXED: _Style("#E69F00", "s", 2.0, 6.0),
    Method.PARITY: _Style("#56B4E9", "D", 5.0, 9.0),
    Method.REPAIR: _Style("#009E73", "^", 3.0, 7.5),
    Method.BOTH: _Style("#111111", "o", 1.8, 4.5),
}

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; color: #111; background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: 0.15rem 0.6rem; }
th:nth-child(2), td:nth-child(2) { text-align: left; }
thead th { border-bottom: 1px solid #888; vertical-align: bottom; }
tbody tr.first td { border-top: 1px solid #ddd; }
"""


def require_matplotlib() -> None:
    """Make sure that curves can be drawn, before there is something to lose.

    Raises:
        UdpStreamError: they cannot.
    """
    try:
        import matplotlib.figure  # noqa: F401 - asked for here, used below
    except ImportError as error:
        raise UdpStreamError(
            "curves need matplotlib, which is not installed: pip install 'udpstream[bench]'"
        ) from error


def write_png(path: Path, setting: Setting, trials: Sequence[Trial]) -> None:
    """Draw the curves as PNG.

    Raises:
        OSError: the file cannot be written.
    """
    picture = io.BytesIO()
    _save(picture, "png", setting, trials)
    path.write_bytes(picture.getvalue())


def write_html(path: Path, setting: Setting, trials: Sequence[Trial]) -> None:
    """Write one page that needs nothing beside it: the curves, and their figures in tables.

    Raises:
        OSError: the file cannot be written.
    """
    drawing = io.BytesIO()
    _save(drawing, "svg", setting, trials)
    text = drawing.getvalue().decode()
    svg = text[text.index("<svg") :]  # without what only a file of its own begins with
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>udpstream bench loss</title><style>{_CSS}</style></head><body>",
        "<h1>What becomes of frames where datagrams get lost</h1>",
        *(f"<p>{html.escape(line)}</p>" for line in (describe(setting), *notes(trials))),
        svg,
    ]
    for burst in _bursts(trials):
        parts += [f"<h2>{link_name(burst)}</h2>", *_table([t for t in trials if t.burst == burst])]
    parts.append("</body></html>\n")
    path.write_text("\n".join(parts), encoding="utf-8")


def describe(setting: Setting) -> str:
    """The trials in one line."""
    parts = [
        f"{setting.frames:,} frames of {setting.frame_bytes / 1e3:,.0f} kB at {setting.fps:g} fps",
        f"datagrams of {setting.datagram_bytes:,} bytes",
        f"{setting.delay_s * 1e3:g} ms each way",
    ]
    if setting.rate_bytes_per_s is not None:
        parts.append(f"{setting.rate_bytes_per_s * 8e-6:g} Mbit/s")
    if setting.reorder:
        parts.append(f"overtaken by up to {setting.reorder}")
    if setting.duplicate:
        parts.append(f"{setting.duplicate:.2%} twice")
    if setting.fec_percent is not None:
        parts.append(f"{setting.fec_percent:g} % parity")
    parts.append(f"seed {setting.seed}")
    return ", ".join(parts)


def link_name(burst: float) -> str:
    """How a link loses datagrams, in words."""
    return "each lost independently" if burst == 1 else f"lost in bursts, {burst:g} on average"


def notes(trials: Sequence[Trial]) -> list[str]:
    """What one must know to read the figures."""
    simulated = (
        "Simulated: the sender's and the receiver's own code on simulated time, without what "
        f"machines add. The way back loses as much. Frames count after {SETTLE_S:g} s, in which "
        "parity learns."
    )
    lines = [simulated]
    if any(trial.method is Method.CLASSIC for trial in trials):
        lines.append(
            "classic sends raw 640x480, in 25 ms, in datagrams of 46,081 bytes: on Ethernet 32 IP "
            "fragments each, 640 packets a frame, of which none may be lost. It is tried with a "
            "sixth of the frames."
        )
    left_out = [trial for trial in trials if trial.left_out]
    if left_out:
        most = max(left_out, key=lambda trial: trial.left_out)
        lines.append(
            "Where the sender found the link too narrow it left frames out, up to "
            f"{most.left_out:,} ({most.method.value} at {100 * most.loss:g} %): "
            "shares are of those sent."
        )
    return lines


def _save(file: io.BytesIO, form: str, setting: Setting, trials: Sequence[Trial]) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings = mpl.rc_context(
        {
            "font.family": ["DejaVu Sans", "sans-serif"],
            "font.size": 10.0,
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": "udpstream",  # the same figures give the same file
        }
    )
    with settings:
        width = 10.5 if len(_bursts(trials)) > 1 else 8.0
        figure = Figure(figsize=(width, 10.5), layout="constrained")
        _draw(figure, setting, trials)
        metadata = {"Date": None} if form == "svg" else None
        figure.savefig(file, format=form, dpi=110, metadata=metadata)


def _draw(figure: Figure, setting: Setting, trials: Sequence[Trial]) -> None:
    bursts = _bursts(trials)
    most = max(trial.frames for trial in trials)
    axes = figure.subplots(3, len(bursts), sharex=True, sharey="row", squeeze=False)
    for column, burst in enumerate(bursts):
        for method, style in _STYLES.items():
            series = sorted(
                (t for t in trials if t.method is method and (t.burst == burst or not t.loss)),
                key=lambda trial: trial.loss,
            )
            if not series:
                continue
            _curve(
                axes[0, column], "intact", burst, style, series, [_nines(t, most) for t in series]
            )
            _curve(axes[1, column], "p99", burst, style, series, [_p99_ms(t) for t in series])
            wire = [trial.wire_by_payload for trial in series]
            _curve(axes[2, column], "wire", burst, style, series, wire)
        axes[0, column].set_title(link_name(burst), fontsize=12, pad=10)
        _loss_axis(axes[2, column], setting)
    for each in axes.flat:
        each.grid(visible=True, color="#dddddd", linewidth=0.8)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    _intact_axis(axes[0, 0], most)
    axes[0, 0].set_ylabel("frames intact")
    _latency_axis(axes[1, 0])
    axes[2, 0].set_ylabel("bytes sent per byte of frames")
    figure.align_ylabels()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    title = ["Frames over a link that loses datagrams", *textwrap.wrap(describe(setting), 80)]
    figure.suptitle("\n".join(title), fontsize=12)
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False,
                  fontsize=11)  # fmt: skip


def _curve(
    axes: Axes,
    what: str,
    burst: float,
    style: _Style,
    series: Sequence[Trial],
    values: Sequence[float],
) -> None:
    (line,) = axes.plot(
        [100 * trial.loss for trial in series],
        values,
        color=style.colour,
        marker=style.marker,
        linewidth=style.width,
        markersize=style.size,
        label=series[0].method.value,
        clip_on=False,
    )
    line.set_gid(f"{what} {series[0].method.value} {burst:g}".replace(" ", "-").replace("+", ""))


def _loss_axis(axes: Axes, setting: Setting) -> None:
    losses = sorted({100 * loss for loss in setting.losses})
    least = min((loss for loss in losses if loss), default=1.0)
    axes.set_xscale("symlog", linthresh=least, linscale=0.5)
    axes.set_xticks(losses, [f"{loss:g}" for loss in losses])
    axes.minorticks_off()
    axes.set_xlabel("datagrams lost, %")


def _latency_axis(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel("p99 latency of intact frames, ms")


def _intact_axis(axes: Axes, frames: int) -> None:
    """Each step up is a tenth of the frames lost before; on top, none are."""
    known = [share for share in _STEP_SHARES if share < 1 - 0.5 / frames]
    top = _top(frames)
    ticks = [-math.log10(1 - share) for share in known]
    axes.set_yticks([*ticks, top], [*(f"{100 * share:g} %" for share in known), "all"])
    axes.set_ylim(0, top)


def _nines(trial: Trial, frames: int) -> float:
    broken = trial.frames - trial.intact
    return -math.log10(broken / trial.frames) if broken else _top(frames)


def _top(frames: int) -> float:
    return math.log10(frames) + _MARGIN


def _p99_ms(trial: Trial) -> float:
    return trial.p99_ms if trial.p99_ms and trial.intact >= _LEAST_FRAMES else math.nan


def _bursts(trials: Sequence[Trial]) -> list[float]:
    return sorted({trial.burst for trial in trials})


def _table(trials: Sequence[Trial]) -> list[str]:
    headings = ["lost", "method", "intact", "p50 ms", "p99 ms", "bytes sent<br>per byte",
                "by parity", "by repair"]  # fmt: skip
    rows = [
        "<table><thead><tr>",
        *(f"<th>{each}</th>" for each in headings),
        "</tr></thead><tbody>",
    ]
    loss = -1.0
    for trial in trials:
        rows.append('<tr class="first">' if trial.loss != loss else "<tr>")
        cells = [
            f"{100 * trial.loss:g} %" if trial.loss != loss else "",
            trial.method.value,
            f"{100 * trial.intact_share:.2f} %",
            "-" if trial.p50_ms is None else f"{trial.p50_ms:.1f}",
            "-" if trial.p99_ms is None else f"{trial.p99_ms:.1f}",
            f"{trial.wire_by_payload:.3f}",
            f"{trial.by_parity:,}",
            f"{trial.by_nack:,}",
        ]
        rows += [*(f"<td>{html.escape(cell)}</td>" for cell in cells), "</tr>"]
        loss = trial.loss
    return [*rows, "</tbody></table>"]
