"""``udpstream bench speed``: the tables of what this machine can do."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.table import Table

from udpstream import __version__
from udpstream.bench.speed import (
    SIZE_WH,
    Flow,
    Work,
    at_frame_rate,
    bare_bytes_per_second,
    flat_out,
    work,
)
from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import ProgressBar, print_lines, print_table
from udpstream.errors import UdpStreamError
from udpstream.protocol import Codec

_FULL_HD_WH = (1920, 1080)
_RAW_BYTES = SIZE_WH[0] * SIZE_WH[1] * 3
_LATENCY_TIMES = 2.5  # as long as the others: at 30 fps, percentiles need frames
_STEPS = 6
_Result = TypeVar("_Result")


def bench_speed(*, seconds: float, json_file: Path | None) -> None:
    """Measure this machine, and print what it can do.

    Raises:
        UdpStreamError: it was stopped, or the figures cannot be written.
    """
    with StopSignals() as signals, ProgressBar() as progress:
        stop = signals.event
        done = 0

        def step(what: str, measure: Callable[[], _Result]) -> _Result:
            nonlocal done
            if stop.is_set():
                raise UdpStreamError("stopped before all was measured: nothing to tell")
            progress.show(done, _STEPS, what)
            done += 1
            return measure()

        works = [
            step("codec and parity, 640x480", lambda: work(SIZE_WH)),
            step("codec and parity, 1920x1080", lambda: work(_FULL_HD_WH)),
        ]
        bare = step("bare socket loop", lambda: bare_bytes_per_second(seconds, stop))
        raw = step("raw, flat out", lambda: flat_out(Codec.RAW, seconds, stop))
        jpeg = step("JPEG, flat out", lambda: flat_out(Codec.JPEG, seconds, stop))
        live = step("JPEG at 30 fps", lambda: at_frame_rate(_LATENCY_TIMES * seconds, stop))
        if stop.is_set():
            raise UdpStreamError("stopped before all was measured: nothing to tell")

    cores = os.cpu_count()
    system = f"{platform.system()} {platform.release()}"
    versions = f"udpstream {__version__}, Python {platform.python_version()}"
    print_lines([f"{versions}, {system}, {cores} cores"])
    print_table(_throughput({"raw": raw, "JPEG": jpeg}, works[0], bare))
    p50, p95, p99 = live.latency_ms
    cpu = f"{live.sender_cpu_ms:.2f} ms a frame at the sender, {live.receiver_cpu_ms:.2f}"
    print_lines(
        [
            f"  latency   JPEG at 30 fps, capture to whole, encoding included: p50 {p50:.2f} ms,",
            f"            p95 {p95:.2f}, p99 {p99:.2f}; {live.whole_share:.1%} of frames whole",
            f"  processor {cpu} at the receiver before decoding",
        ]
    )
    print_lines([""])
    print_table(_works(works))
    if json_file is not None:
        figures = {
            "udpstream": __version__,
            "python": platform.python_version(),
            "system": system,
            "cores": cores,
            "bare_loop_bytes_per_second": bare,
            "flat_out": {"raw": asdict(raw), "jpeg": asdict(jpeg)},
            "at_30_fps": asdict(live),
            "work": [asdict(each) for each in works],
        }
        try:
            json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UdpStreamError(f"cannot write {json_file}: {error.strerror}") from error


def _throughput(flows: dict[str, Flow], vga: Work, bare: float) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("640x480, as fast\nas it goes", no_wrap=True)
    for heading in (
        "sent\nframes/s", "whole\nframes/s", "whole\n%", "\nGB/s", "of bare\nloop",
        "sender\nms", "receiver\nms",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("bare socket loop", "-", "-", "-", f"{bare / 1e9:.2f}", "1.00", "-", "-")
    for name, flow in flows.items():
        rate = flow.whole_fps * (_RAW_BYTES if name == "raw" else vga.jpeg_bytes)
        table.add_row(
            f"{name} frames",
            f"{flow.sent_fps:,.0f}",
            f"{flow.whole_fps:,.0f}",
            f"{100 * flow.whole_share:.1f}",
            f"{rate / 1e9:.2f}",
            f"{rate / bare:.2f}" if bare else "-",
            f"{flow.sender_cpu_ms:.3f}",
            f"{flow.receiver_cpu_ms:.3f}",
        )
    return table


def _works(works: list[Work]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("work on a frame,\nJPEG quality 80", no_wrap=True)
    for heading in ("size\nkB", "encode\nms", "decode\nms", "8 parity chunks\na block, ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in works:
        table.add_row(
            f"{each.size_wh[0]}x{each.size_wh[1]}",
            f"{each.jpeg_bytes / 1e3:.0f}",
            f"{each.encode_ms:.2f}",
            f"{each.decode_ms:.2f}",
            f"{each.parity_ms:.2f}",
        )
    return table
