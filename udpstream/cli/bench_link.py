"""``udpstream bench link``: the table, the progress, and the recommendation."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from udpstream.adapters.address import Endpoint, resolve, split_host_port
from udpstream.adapters.udp import Offload
from udpstream.bench.link import LinkTester
from udpstream.bench.reach import Reach, unreached
from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import ProgressBar, print_lines, print_table, say
from udpstream.core.advice import Advice, advise
from udpstream.core.ladder import FPS, RateLadder, Shape, Step
from udpstream.errors import AddressError, UdpStreamError

_MBIT = 1e6
_SHAPES: dict[Shape, str] = {"burst": "burst", "paced": "spread"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """The options of ``udpstream bench link``, checked by the command line."""

    address: str
    seconds: float
    min_bps: float
    max_bps: float
    datagram_bytes: int
    size_wh: tuple[int, int]
    offload: Offload
    json: Path | None


@dataclass(frozen=True, slots=True)
class _Way:
    """What is known of the way before it is loaded."""

    endpoint: Endpoint
    round_trip_ms: float
    mtu_bytes: int | None
    receive_buffer_bytes: int


def bench_link(options: LinkOptions) -> None:
    """Try a link, and print what it carries.

    Raises:
        UdpStreamError: no receiver answers, or the figures cannot be written.
    """
    way = _reach(*split_host_port(options.address, default_host="127.0.0.1"))
    ladder = RateLadder(options.min_bps, options.max_bps, options.datagram_bytes)
    with (
        StopSignals() as signals,
        LinkTester(
            way.endpoint,
            datagram_bytes=options.datagram_bytes,
            receive_buffer_bytes=way.receive_buffer_bytes,
            offload=options.offload,
        ) as tester,
    ):
        say(
            f"trying the link to {way.endpoint} in datagrams of {options.datagram_bytes:,} bytes; "
            "Ctrl+C ends"
        )
        _climb(tester, ladder, options.seconds, signals.event)
        segments = tester.segments
    if not ladder.steps:
        raise UdpStreamError("stopped before the first rate was tried: there is nothing to tell")
    advice = advise(ladder, options.size_wh, way.mtu_bytes) if ladder.best else None
    print_table(_table(ladder.steps, way))
    print_lines(_findings(ladder, way, options, advice, stopped=signals.event.is_set()))
    if options.json is not None:
        figures = _figures(ladder, way, options, advice, segments=segments)
        try:
            options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UdpStreamError(f"cannot write {options.json}: {error.strerror}") from error


def _reach(host: str, port: int) -> _Way:
    endpoint = resolve(host, port)
    if endpoint.is_multicast:
        raise AddressError(
            f"{endpoint} is a multicast group, and only one receiver can be asked what came: "
            "give a receiver's own address"
        )
    with Reach(endpoint) as reach:
        for _ in range(3):  # of which the quickest tells the round trip
            silence = reach.ask()
            if silence is not None:
                raise unreached(endpoint, silence)
        assert reach.tally is not None
        error_us = reach.clock.error_us if reach.clock else 0
        return _Way(
            endpoint, 2 * error_us / 1e3, reach.path.mtu_bytes, reach.tally.receive_buffer_bytes
        )


def _climb(tester: LinkTester, ladder: RateLadder, seconds: float, stop: threading.Event) -> None:
    """Try all rates that the ladder chooses, or until told to stop."""
    with ProgressBar() as progress:
        while not stop.is_set() and (chosen := ladder.next()) is not None:
            bps, shape = chosen
            what = f"{_mbit(bps)} Mbit/s, {_SHAPES[shape]}"
            progress.show(len(ladder.steps), ladder.at_most, what)
            step = tester.run(bps, shape, seconds, stop)
            if step is not None:
                ladder.add(step)


def _table(steps: list[Step], way: _Way) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    headings = [
        "Mbit/s", "frames\nsent as", "lost", "rows\nmean", "\nmax", "jitter\nms", "over-\ntaken",
        "latency\np50 ms", "\np99 ms", "frames\nwhole",
    ]  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for step in sorted(steps, key=lambda each: (each.bps, each.shape)):
        tally = step.tally
        table.add_row(
            _mbit(step.bps),
            _SHAPES[step.shape],
            _percent(step.loss),
            f"{step.mean_run:.1f}" if step.lost else "-",
            str(tally.longest_run) if step.lost else "-",
            f"{tally.jitter_us / 1e3:.2f}",
            f"{tally.reordered:,}",
            *(
                f"{way.round_trip_ms / 2 + delay_us / 1e3:.2f}" if tally.received else "-"
                for delay_us in (tally.delay_p50_us, tally.delay_p99_us)
            ),
            f"{tally.whole}/{step.frames}",
            style="" if step.whole else "yellow" if tally.whole else "red",
        )
    return table


def _findings(
    ladder: RateLadder,
    way: _Way,
    options: LinkOptions,
    advice: Advice | None,
    *,
    stopped: bool,
) -> list[str]:
    best = ladder.best
    mtu = "not known here" if way.mtu_bytes is None else f"{way.mtu_bytes:,} bytes"
    lines = [
        f"  way       round trip {way.round_trip_ms:.2f} ms, path MTU {mtu}",
        "            latency: half of that, and what a datagram took beyond the quickest",
    ]
    lines += _whole_lines(ladder, options, stopped=stopped)
    loss, mean_run = ladder.expected_loss()
    if best is not None and loss:
        lines.append(
            f"  loss      {_percent(loss)} at rates up to {_mbit(best.bps)} Mbit/s, in rows of "
            f"{mean_run:.1f} on average"
        )
    kernel = sum(step.tally.kernel_dropped for step in ladder.steps)
    if kernel:
        lines.append(
            f"  receiver  {kernel:,} datagrams found its buffer of "
            f"{way.receive_buffer_bytes:,} bytes full:"
        )
        lines.append("            its machine was the limit. There: udpstream doctor")
    if way.mtu_bytes is not None and advice and advice.datagram_bytes < options.datagram_bytes:
        lines.append(
            f"  pieces    datagrams of {options.datagram_bytes:,} bytes are cut up: one lost piece "
            "loses all"
        )
    if advice is None:
        lines.append(
            f"recommended: another link. This one lost {_percent(ladder.steps[-1].loss)} at "
            f"{_mbit(ladder.steps[-1].bps)} Mbit/s"
        )
        return lines
    size = "x".join(map(str, options.size_wh))
    comes_to = f"{size}: {_mbit(advice.bps)} Mbit/s"
    if not advice.fits:
        comes_to += ", and that is too much: send a smaller --size"
    lines += [f"recommended for {comes_to}", f"  {advice.options()}"]
    return lines


def _whole_lines(ladder: RateLadder, options: LinkOptions, *, stopped: bool) -> list[str]:
    whole = ladder.best_whole
    limited = [step for step in ladder.steps if step.sender_limited]
    if whole is None:
        text = "no rate arrived without loss"
    else:
        text = f"{_mbit(whole.bps)} Mbit/s is the highest rate that arrived whole"
        if whole.shape == "paced":
            text += ", spread; in bursts it did not"
    lines = [f"  whole     {text}"]
    if limited:
        lines.append(
            "  sender    this machine, not the link, was the limit: at most "
            f"{_mbit(max(step.bps for step in limited))} Mbit/s"
        )
    elif stopped:
        lines.append("  stopped   before all rates were tried")
    elif whole is not None and whole.bps > 0.95 * options.max_bps:
        lines.append("            and the highest that was tried: more with --max-rate")
    return lines


def _figures(
    ladder: RateLadder,
    way: _Way,
    options: LinkOptions,
    advice: Advice | None,
    *,
    segments: bool,
) -> dict[str, object]:
    best, whole = ladder.best, ladder.best_whole
    loss, mean_run = ladder.expected_loss()
    return {
        "receiver": str(way.endpoint),
        "round_trip_ms": way.round_trip_ms,
        "path_mtu_bytes": way.mtu_bytes,
        "receive_buffer_bytes": way.receive_buffer_bytes,
        "segmentation_offload": segments,
        "frames_per_second": FPS,
        "seconds": options.seconds,
        "steps": [_step_figures(step, way) for step in ladder.steps],
        "highest_whole_mbit_s": None if whole is None else whole.bps / _MBIT,
        "highest_carried_mbit_s": None if best is None else best.bps / _MBIT,
        "expected_loss": loss,
        "expected_mean_run": mean_run,
        "recommended": None
        if advice is None
        else {
            **asdict(advice),
            "codec": advice.codec.value,
            "size": list(options.size_wh),
            "options": advice.options(),
        },
    }


def _step_figures(step: Step, way: _Way) -> dict[str, object]:
    tally = step.tally
    delays_us = {"p50": tally.delay_p50_us, "p99": tally.delay_p99_us, "max": tally.delay_max_us}
    return {
        "mbit_s": step.bps / _MBIT,
        "shape": step.shape,
        "datagram_bytes": step.datagram_bytes,
        "datagrams_a_frame": step.chunks,
        "sent": step.sent,
        "received": tally.received,
        "loss": step.loss,
        "runs": tally.runs,
        "mean_run": step.mean_run,
        "longest_run": tally.longest_run,
        "duplicates": tally.duplicates,
        "reordered": tally.reordered,
        "jitter_ms": tally.jitter_us / 1e3,
        "latency_ms": {
            name: way.round_trip_ms / 2 + delay_us / 1e3 for name, delay_us in delays_us.items()
        }
        if tally.received
        else None,
        "frames": step.frames,
        "frames_whole": tally.whole,
        "kernel_dropped": tally.kernel_dropped,
        "sender_limited": step.sender_limited,
    }


def _mbit(bps: float) -> str:
    return f"{bps / _MBIT:.1f}" if bps < 99.5 * _MBIT else f"{bps / _MBIT:.0f}"


def _percent(share: float) -> str:
    return f"{share:.2%}" if share < 0.1 else f"{share:.1%}"
