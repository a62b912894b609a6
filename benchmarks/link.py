"""Measures the link beside its peers, on loopback, in one run.

    python -m benchmarks.link --markdown

Runs are interleaved (A B C A B C ...) and medians taken, because machines are noisy.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer

from benchmarks.peer import Load, Peer, Run
from benchmarks.peer_bare import Bare, BareFrames
from benchmarks.peer_classic import Classic
from benchmarks.peer_gstreamer import GStreamer
from benchmarks.peer_imagezmq import ImageZmq
from benchmarks.peer_udpstream import UdpStream
from benchmarks.report import Table, Value, progress, publish

VGA, FULL_HD = (640, 480), (1920, 1080)
_BISECTIONS = 5  # of the link's rate: to 3 % of a factor of two
_ATTEMPTS = 2
_LEAST_FPS = 30.0


class Measurement(StrEnum):
    """What can be measured."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    STOCK = "stock"


def throughput(seconds: float, repeats: int, seed: int) -> Table:
    """Raw 640x480: the bare loop, the classic scripts, and the link."""
    load = Load(VGA, "raw", None, seconds, seed)
    frame_gb = load.size_wh[0] * load.size_wh[1] * 3 / 1e9
    table = Table(
        f"Throughput, raw 640x480, median of {repeats} x {seconds:g} s",
        "The bare loop and the classic scripts go as fast as they can and lose; the link's row "
        f"is its highest rate at which every frame arrived (in one of {_ATTEMPTS} "
        "tries). Classic shows torn frames too: its ratios are to frames shown, and to frames "
        "intact.",
    )
    bare, classic, link = Bare(), Classic(), UdpStream()
    without_bare = bare.missing()
    bare_runs, classic_runs, link_runs = [], [], []
    for repeat in range(repeats):
        progress.print(f"throughput, {repeat + 1} of {repeats}")
        if without_bare is None:
            bare_runs.append(bare.run(load))
        classic_runs.append(classic.run(load))
        link_runs.append(highest_whole(link, load))
    link_fps = [run.received_fps if run else 0.0 for run in link_runs]
    bare_fps = [run.received_fps for run in bare_runs]
    intact_fps = [run.sent_fps * run.intact_share for run in classic_runs]

    def row(name: str, fps: list[float], intact: list[float], to_link: float | None) -> None:
        table.rows.append(
            {
                "peer": name if fps else f"{name}: {without_bare}",
                "frames/s shown": median(fps) if fps else None,
                "GB/s": median(fps) * frame_gb if fps else None,
                "intact %": 100 * median(intact) if intact else None,
                "link's ratio to it": to_link,
            }
        )

    shown_fps = [run.received_fps for run in classic_runs]
    row(bare.name, bare_fps, [], _ratio(link_fps, bare_fps))
    row(
        classic.name, shown_fps, [r.intact_share for r in classic_runs], _ratio(link_fps, shown_fps)
    )
    row(f"{classic.name}, intact frames", intact_fps, [1.0], _ratio(link_fps, intact_fps))
    row(link.name, link_fps, [1.0], None)
    return table


def highest_whole(peer: Peer, load: Load) -> Run | None:
    """The fastest run found in which every frame arrived intact; None if there was none."""
    flat_out = peer.run(load)
    if flat_out.intact_share == 1:
        return flat_out
    best: Run | None = None
    too_fast = flat_out.sent_fps
    fps = too_fast / 2
    while best is None:  # down until all arrives
        best = _whole_run(peer, replace(load, fps=fps))
        if best is None:
            too_fast, fps = fps, fps / 2
            if fps < _LEAST_FPS:
                return None
    for _ in range(_BISECTIONS):
        middle = (fps + too_fast) / 2
        run = _whole_run(peer, replace(load, fps=middle))
        if run is None:
            too_fast = middle
        else:
            fps, best = middle, max(best, run, key=lambda whole: whole.received_fps)
    return best


def _whole_run(peer: Peer, load: Load) -> Run | None:
    """A run without loss, if there is one in a few: other programs take their share, too."""
    for _ in range(_ATTEMPTS):
        run = peer.run(load)
        if run.intact_share == 1:
            return run
    return None


def latency(seconds: float, repeats: int, seed: int) -> Table:
    """JPEG, capture to decoded: the link, GStreamer, imagezmq, and the limit."""
    table = Table(
        f"Latency, JPEG quality 80, median of {repeats} x {seconds:g} s",
        "Capture to decoded, in ms; net is less each frame's own encode and decode time, taken "
        "in the same run. GStreamer's codec is its own: for it, net is less the time in "
        "videoconvert and jpegenc, jpegdec and videoconvert. The bare frames are a limit: a JPEG's "
        "bytes by few system calls, with no headers, no checks and no copy of ours.",
    )
    peers: list[Peer] = [UdpStream(), GStreamer(), ImageZmq(), BareFrames()]
    for size_wh, fps in ((VGA, 30.0), (VGA, 120.0), (FULL_HD, 30.0)):
        load = Load(size_wh, "jpeg", fps, seconds, seed)
        name = f"{size_wh[0]}x{size_wh[1]} at {fps:g} fps"
        runs: dict[str, list[Run]] = {peer.name: [] for peer in peers}
        for repeat in range(repeats):
            progress.print(f"latency, {name}, {repeat + 1} of {repeats}")
            for peer in peers:
                if peer.missing() is None:
                    runs[peer.name].append(peer.run(load))
        for peer in peers:
            table.rows.append(_latency_row(name, peer, runs[peer.name]))
    return table


def _latency_row(name: str, peer: Peer, runs: list[Run]) -> dict[str, Value]:
    figures = [
        [*np.percentile(total, (50,)), *np.percentile(net, (50, 95, 99))]
        for total, net in (run.latencies_ms() for run in runs if run.received)
    ]
    total_50, net_50, net_95, net_99 = np.median(figures, axis=0) if figures else [None] * 4
    missing = peer.missing()
    return {
        "load": name,
        "peer": peer.name if missing is None else f"{peer.name}: not installed ({missing})",
        "total p50": total_50,
        "net p50": net_50,
        "net p95": net_95,
        "net p99": net_99,
        "arrived %": 100 * median(run.intact_share for run in runs) if runs else None,
    }


def stock_buffer(seconds: float, repeats: int, seed: int) -> Table:
    """Raw 640x480 at 30 fps into a socket buffer that nobody raised."""
    load = Load(VGA, "raw", 30.0, seconds, seed, stock_buffer=True)
    table = Table(
        f"Stock receive buffer (212,992 bytes), raw 640x480 at 30 fps, {repeats} x {seconds:g} s",
        "Frames that arrived intact, of all frames sent.",
    )
    peers: list[Peer] = [UdpStream(), Classic()]
    runs: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    for repeat in range(repeats):
        progress.print(f"stock buffer, {repeat + 1} of {repeats}")
        for peer in peers:
            runs[peer.name].append(peer.run(load))
    for name, of_peer in runs.items():
        sent = sum(len(run.sent) for run in of_peer)
        intact = sum(len(run.sent) * run.intact_share for run in of_peer)
        shares = [100 * run.intact_share for run in of_peer]
        table.rows.append(
            {"peer": name, "frames": sent, "intact %": 100 * intact / sent, "worst %": min(shares)}
        )
    return table


def _ratio(link: list[float], peer: list[float]) -> float | None:
    """Median of the ratios of neighbours in time, which a slow minute leaves alone."""
    pairs = [ours / theirs for ours, theirs in zip(link, peer, strict=False) if theirs]
    return median(pairs) if pairs else None


def main(
    only: Annotated[
        list[Measurement] | None, typer.Option(help="Measure this alone; may be repeated.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of each run.")] = 5.0,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each peer.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the pictures.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown for a page.")
    ] = False,
) -> None:
    """Measure the link beside its peers on this machine's loopback."""
    chosen = only or list(Measurement)
    tables = []
    if Measurement.THROUGHPUT in chosen:
        tables.append(throughput(min(seconds, 2.0), repeats, seed))
    if Measurement.LATENCY in chosen:
        tables.append(latency(seconds, repeats, seed))
    if Measurement.STOCK in chosen:
        tables.append(stock_buffer(seconds, repeats, seed))
    publish("benchmarks.link", seed, tables, json, as_markdown=as_markdown)


if __name__ == "__main__":
    typer.run(main)
