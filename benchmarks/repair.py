"""What becomes of frames where packets get lost: the command line over the lab.

    sudo python -m benchmarks.repair --seconds 30 --markdown

Each row is a run of `udpstream send` and `udpstream receive`, as processes in two network
namespaces (see `benchmarks.lab`). Then the link and its peers side by side, and a link whose
rate is cut by half for a while.

The pictures are the test card: at quality 80 a 640x480 one has 58 KB as JPEG, in 42
datagrams, and one of 1920x1080 has 203 KB in 148. The peers' are those of
`benchmarks.pictures`, of 42 KB.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import typer

from benchmarks.lab import SERVER_ADDRESS, Lab, LabError, Side, enter, missing
from benchmarks.peer import Load, Peer, Receive, Run, Send, run_pair
from benchmarks.peer_gstreamer import GStreamer
from benchmarks.peer_gstreamer import _receive as gstreamer_receive
from benchmarks.peer_gstreamer import _send as gstreamer_send
from benchmarks.peer_imagezmq import ImageZmq
from benchmarks.peer_imagezmq import _receive as imagezmq_receive
from benchmarks.peer_imagezmq import _send as imagezmq_send
from benchmarks.peer_udpstream import UdpStream
from benchmarks.peer_udpstream import receive as udpstream_receive
from benchmarks.peer_udpstream import send as udpstream_send
from benchmarks.recovery import BACK_SHARE, STEADY_S, Arrival, recovery_of, timeline
from benchmarks.report import Table, Value, progress, publish

FPS = 30.0
_ADDRESS = f"{SERVER_ADDRESS}:9505"
_COMMAND = (sys.executable, "-m", "udpstream")
_START_S = 30.0  # how long a process may take to get ready, on a busy machine
_TAIL_S = 0.5  # how long the last frames may take to arrive


class Measurement(StrEnum):
    """What can be measured."""

    LOSS = "loss"
    PEERS = "peers"
    LIMIT = "limit"


@dataclass(frozen=True)
class Case:
    """One stream over one link.

    Attributes:
        name: of its row.
        loss: share of datagrams lost on the way to the receiver, 0 to 1.
        size: of the pictures, WxH.
        codec: how they travel.
        back: share lost on the way back; None is the same.
        options: more of `udpstream send`.
    """

    name: str
    loss: float
    size: str = "640x480"
    codec: str = "jpeg"
    back: float | None = None
    options: tuple[str, ...] = ()


CASES = (
    *(Case("640x480 JPEG", loss) for loss in (0.0, 0.01, 0.05, 0.1, 0.2)),
    *(Case("1080p JPEG", loss, size="1920x1080") for loss in (0.01, 0.05)),
    Case("640x480 raw", 0.01, codec="raw"),
    Case("640x480 JPEG, no way back", 0.05, back=1.0, options=("--fec", "30")),
)


# -- loss -------------------------------------------------------------------------


def losses(
    cases: Sequence[Case], seconds: float, sending: Sequence[str], receiving: Sequence[str]
) -> Table:
    """Frames that arrive whole, and what that takes, by the loss of the link."""
    table = Table(
        f"Frames over a link that loses packets, {FPS:g} fps, {seconds:g} s each",
        "Intact: frames delivered by frames sent. Latency: capture to whole, of those "
        "delivered. Wire / payload: UDP payload that crossed the wire, lost or not, by the "
        "bytes of the pictures. Crossed and lost: nftables' own counts of datagrams.",
    )
    for case in cases:
        progress.print(f"loss, {case.name}, {case.loss:.0%}")
        table.rows.append(loss_row(case, seconds, sending, receiving))
    return table


def loss_row(
    case: Case, seconds: float, sending: Sequence[str] = (), receiving: Sequence[str] = ()
) -> dict[str, Value]:
    """Run one case; a row tells where a command failed, the screen tells why."""
    frames = round(FPS * seconds)
    with Lab() as lab, TemporaryDirectory() as folder:
        lab.loss(case.loss, case.back)
        stats_file = Path(folder) / "stats.json"
        try:
            receiver = _Program(
                lab, Side.SERVER, folder, "receive", _ADDRESS, "--no-record", "--display", "off",
                "--stats", str(stats_file), *receiving,
            )  # fmt: skip
            receiver.wait_for("listening on")
            sender = _Program(
                lab, Side.CAMERA, folder, "send", _ADDRESS, "--source", "test", "--size", case.size,
                "--fps", f"{FPS:g}", "--codec", case.codec, "--frames", str(frames),
                *case.options, *sending,
            )  # fmt: skip
            sender.end(_START_S + 3 * seconds)
            time.sleep(_TAIL_S)
            receiver.end(_START_S, signal.SIGINT)
        except RuntimeError as error:
            progress.print(str(error))
            return _loss_row(f"{case.name}: failed", case.loss, None, {}, None, None)
        counts = lab.counts()
        streams = json.loads(stats_file.read_text())["streams"]
    stream = streams[0] if streams else {}
    row = _loss_row(case.name, case.loss, frames, stream, counts.seen, counts.lost)
    payload_bytes = row["KB a frame"]
    if isinstance(payload_bytes, float):
        row["wire / payload"] = counts.udp_payload_bytes / (payload_bytes * 1e3 * frames)
    return row


def _loss_row(
    name: str,
    loss: float,
    frames: int | None,
    stream: dict[str, Any],
    seen: int | None,
    lost: int | None,
) -> dict[str, Value]:
    delivered = stream.get("frames", {}).get("delivered", 0)
    repaired = stream.get("frames", {}).get("repaired", {})
    latency_ms = stream.get("latency_ms", {})
    return {
        "stream": name,
        "loss %": 100 * loss,
        "frames": frames,
        "intact %": 100 * delivered / frames if frames else None,
        "p50 ms": latency_ms.get("p50"),
        "p99 ms": latency_ms.get("p99"),
        "wire / payload": None,
        "KB a frame": stream["bytes"]["payload"] / delivered / 1e3 if delivered else None,
        "by parity": repaired.get("parity"),
        "by NACK": repaired.get("nack"),
        "crossed": seen,
        "lost": lost,
    }


class _Program:
    """One `udpstream ...` at one end; what it prints goes to files."""

    def __init__(self, lab: Lab, side: Side, folder: str, *arguments: str) -> None:
        self._name = arguments[0]
        self._said = Path(folder) / f"{self._name}.stderr"
        with self._said.open("wb") as stderr:
            self._process = lab.popen(
                side, [*_COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=stderr
            )

    def wait_for(self, text: str) -> None:
        """Wait until it has said something."""
        end_s = time.monotonic() + _START_S
        while text not in self._said.read_text(encoding="utf-8"):
            if self._process.poll() is not None or time.monotonic() > end_s:
                raise self._failure()
            time.sleep(0.02)

    def end(self, patience_s: float, number: signal.Signals | None = None) -> None:
        """Send a signal, if one is given, and wait for a good end."""
        if number is not None:
            self._process.send_signal(number)
        try:
            code = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            raise self._failure()

    def _failure(self) -> RuntimeError:
        lines = self._said.read_text(encoding="utf-8").splitlines()
        return RuntimeError(f"{self._name} failed: {lines[-1] if lines else 'it said nothing'}")


# -- peers ------------------------------------------------------------------------


class _Ends(NamedTuple):
    """A peer's two processes, which `run_pair` starts."""

    peer: Peer
    send: Send
    receive: Receive


_PEERS = (
    _Ends(UdpStream(), udpstream_send, udpstream_receive),
    _Ends(GStreamer(), gstreamer_send, gstreamer_receive),
    _Ends(ImageZmq(), imagezmq_send, imagezmq_receive),
)


def peers(seconds: float, seed: int) -> Table:
    """The link, GStreamer and imagezmq over the same lab."""
    table = Table(
        f"Beside its peers, JPEG 640x480 quality 80 at {FPS:g} fps, {seconds:g} s each",
        "Intact: frames shown by frames sent. Latency: capture to decoded, of those shown. "
        "imagezmq is TCP, where a loss is waited for; its sender waits too, and falls behind "
        "the rate that is asked of it.",
    )
    load = Load((640, 480), "jpeg", FPS, seconds, seed)
    for loss in (0.0, 0.01, 0.05):
        for ends in _PEERS:
            progress.print(f"peers, {loss:.0%}, {ends.peer.name}")
            without = ends.peer.missing()
            run = None if without else run_in_lab(ends, load, loss)
            name = f"{ends.peer.name}: not installed ({without})" if without else ends.peer.name
            table.rows.append(_peer_row(name, loss, run))
    return table


def run_in_lab(ends: _Ends, load: Load, loss: float) -> Run:
    """Carry a load from one end of a lab to the other; 127.0.0.1 is the server's from both."""
    with Lab() as lab:
        lab.loss(loss)
        send = partial(_at, lab.namespace(Side.CAMERA), ends.send)
        receive = partial(_at, lab.namespace(Side.SERVER), ends.receive)
        return run_pair(send, receive, load)


def _at(namespace: str, function: Callable[..., Iterator[Any]], *args: object) -> Iterator[Any]:
    enter(namespace)
    yield from function(*args)


def _peer_row(name: str, loss: float, run: Run | None) -> dict[str, Value]:
    p50, p99 = None, None
    if run is not None and run.received:
        p50, p99 = map(float, np.percentile(run.latencies_ms()[0], (50, 99)))
    return {
        "loss %": 100 * loss,
        "peer": name,
        "frames": None if run is None else len(run.sent),
        "sent fps": None if run is None else run.sent_fps,
        "intact %": None if run is None else 100 * run.intact_share,
        "p50 ms": p50,
        "p99 ms": p99,
    }


# -- a limited rate -----------------------------------------------------------------


def limited(
    before_s: float, limit_s: float, after_s: float, sending: Sequence[str]
) -> tuple[Table, Table]:
    """Halve the link's rate for a while, and watch the picture."""
    progress.print(f"limit, {before_s + limit_s + after_s:g} s")
    with Lab() as lab, TemporaryDirectory() as folder, _Watch(lab) as watch:
        sender = _Program(
            lab, Side.CAMERA, folder, "send", _ADDRESS, "--source", "test",
            "--fps", f"{FPS:g}", *sending,
        )  # fmt: skip
        sender.wait_for("sending")
        time.sleep(before_s / 2)  # connected, and the first frames are out
        crossed, from_s = lab.counts().seen_bytes, time.monotonic()
        time.sleep(before_s / 2)
        rate_mbit = (lab.counts().seen_bytes - crossed) * 8e-6 / (time.monotonic() - from_s)
        lab.limit(round(rate_mbit / 2, 2))
        limited_s = time.monotonic()
        time.sleep(limit_s)
        lab.limit(None)
        lifted_s = time.monotonic()
        time.sleep(after_s)
        sender.end(_START_S, signal.SIGINT)
        arrivals = watch.arrivals()
    recovery = recovery_of(arrivals, limited_s, lifted_s)
    summary = Table(
        "A link cut to half the stream's rate",
        f"640x480 JPEG at {FPS:g} fps; limited by a token bucket with a queue of 50 ms for "
        f"{limit_s:g} s. Whole again: no frame lost for {STEADY_S:g} s. Back: "
        f"{BACK_SHARE:.0%} of the bytes a frame and of the rate of before.",
        [
            {
                "stream Mbit/s": rate_mbit,
                "limit Mbit/s": rate_mbit / 2,
                "whole again after s": recovery.whole_s,
                "frames lost after that": recovery.lost_after,
                "back after s": recovery.back_s,
            }
        ],
    )
    return summary, timeline(arrivals, limited_s, lifted_s)


class _Watch:
    """A receiver in a process of its own, which notes each frame."""

    def __init__(self, lab: Lab) -> None:
        context = mp.get_context("spawn")
        self._ready, self._stop = context.Event(), context.Event()
        self._told, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_watch,
            args=(lab.namespace(Side.SERVER), theirs, self._ready, self._stop),
            daemon=True,
        )

    def __enter__(self) -> Self:
        self._process.start()
        if not self._ready.wait(_START_S):
            raise RuntimeError("the receiver that is to watch did not get ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def arrivals(self) -> list[Arrival]:
        """End it, and take its notes."""
        time.sleep(_TAIL_S)
        self._stop.set()
        arrivals: list[Arrival] = self._told.recv()
        return arrivals


def _watch(namespace: str, tell: Connection, ready: Event, stop: Event) -> None:
    from udpstream import Receiver  # in the child alone

    enter(namespace)
    arrivals = []
    with Receiver(SERVER_ADDRESS, 9505) as receiver:
        ready.set()
        while not stop.is_set():
            frame = receiver.read(timeout=0.1)
            if frame is not None:
                arrivals.append(
                    Arrival(
                        time.monotonic(),
                        frame.number,
                        len(frame.payload),
                        frame.size_wh,
                        frame.latency_s,
                    )
                )
    tell.send(arrivals)


def main(
    only: Annotated[
        list[Measurement] | None, typer.Option(help="Measure this alone; may be repeated.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of each run.")] = 20.0,
    limit_seconds: Annotated[float, typer.Option(help="How long the rate is limited.")] = 12.0,
    case: Annotated[
        str, typer.Option(metavar="TEXT", help="Losses of these alone, as '1080p' or '5 %'.")
    ] = "",
    send: Annotated[str, typer.Option(metavar="OPTIONS", help="More for udpstream send.")] = "",
    receive: Annotated[
        str, typer.Option(metavar="OPTIONS", help="More for udpstream receive, but in limit.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of the peers' pictures.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown for a page.")
    ] = False,
) -> None:
    """Measure what arrives where packets get lost. Needs Linux, root, iproute2 and nftables."""
    if problem := missing():
        sys.exit(f"repair: error: {problem}")
    chosen = only or list(Measurement)
    tables: list[Table] = []
    try:
        if Measurement.LOSS in chosen:
            cases = [each for each in CASES if case in f"{each.name}, {each.loss:.0%}"]
            tables.append(losses(cases, seconds, send.split(), receive.split()))
        if Measurement.PEERS in chosen:
            tables.append(peers(seconds, seed))
        if Measurement.LIMIT in chosen:
            tables += limited(4.0, limit_seconds, limit_seconds, send.split())
    except LabError as error:
        sys.exit(f"repair: error: {error}")
    publish("benchmarks.repair", seed, tables, json, as_markdown=as_markdown)


if __name__ == "__main__":
    typer.run(main)
