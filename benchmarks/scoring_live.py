"""What does scoring cost a live stream, and how soon is a score there?

python -m benchmarks.scoring_live --markdown

Each round has three parts, one after the other, of the same pictures: the link without
scoring, the link with it, and MediaPipe alone. The link is that of the command line, sender
and receiver as processes, with a recording.
"""

from __future__ import annotations

import json as json_format
import signal
import socket
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.report import Table, Value, progress, publish
from udpstream.adapters.avi import AviWriter
from udpstream.adapters.codec import encode
from udpstream.adapters.model import find_model
from udpstream.adapters.reference_video import write_csv
from udpstream.adapters.sources.dancer import DancerSource
from udpstream.adapters.video import VideoReader
from udpstream.core.dancer.performer import Dancer
from udpstream.core.reference import make_reference
from udpstream.pose import PoseTracker
from udpstream.protocol import Codec

_SIZE_WH = 640, 480
_QUALITY = 90
_WARM_S = 4.0  # for the receiver to load the model
_REFERENCE_FPS = 10.0


def prepare(folder: Path, fps: float, seconds: float, seed: int) -> tuple[Path, Path]:
    """Write a performer as a video, and another body's true joints as the reference."""
    video, reference = folder / "performer.avi", folder / "dance.csv"
    source = DancerSource(Dancer(seed), _SIZE_WH, fps)
    writer = AviWriter(video, _SIZE_WH, Fraction(fps).limit_denominator(1001), "mjpeg")
    for number in range(round(seconds * fps)):
        picture = source.read()
        assert picture is not None  # it is not closed
        writer.write(number, encode(Codec.JPEG, picture, _QUALITY).data)
    writer.close()
    times_s = np.arange(round((seconds + 1) * _REFERENCE_FPS)) / _REFERENCE_FPS
    dancer = Dancer(seed + 1)
    poses = [dancer.landmarks(float(time_s), _SIZE_WH) for time_s in times_s]
    write_csv(make_reference(times_s, poses, _SIZE_WH[0] / _SIZE_WH[1], "a dancer"), reference)
    return video, reference


def stream(folder: Path, video: Path, seconds: float, *options: str) -> dict[str, Any]:
    """Send a video over the link, and return what the receiver's books say of it."""
    address = f"127.0.0.1:{_free_port()}"
    stats = folder / "stats.json"
    receiver = _start(
        "receive", address, "--display", "off", "--record", str(folder / "recordings"),
        "--stats", str(stats), *options,
    )  # fmt: skip
    try:
        time.sleep(_WARM_S)
        _start("send", address, "--source", str(video), "--seconds", str(seconds)).wait()
        time.sleep(1)
    finally:
        receiver.send_signal(signal.SIGTERM)
        receiver.wait()
    [entry] = json_format.loads(stats.read_text())["streams"]
    assert isinstance(entry, dict)
    return entry


def alone(video: Path, model: Path) -> float:
    """Return how many pictures a second MediaPipe decodes and finds with nothing beside it."""
    with PoseTracker(model) as tracker, VideoReader(video) as reader:
        pictures = reader.pictures()
        tracker.find(next(pictures).image())
        begun_s = time.perf_counter()
        count = sum(1 for picture in pictures if tracker.find(picture.image()) is not None)
        return count / (time.perf_counter() - begun_s)


def compare(fps: float, seconds: float, rounds: int, seed: int) -> list[Table]:
    """Run the rounds; return a row for each, and their medians."""
    table = Table(
        f"Scoring, 640x480 JPEG at {fps:g} fps, {seconds:g} s a part",
        "Link: capture to whole, p99, without scoring and with it. Scored frames a second, and "
        "by what MediaPipe alone does or the stream brings, whichever is less. Shown: p50 from "
        "a frame's delivery until its score can be shown, and by the time to decode it and find "
        "the pose.",
    )
    model = find_model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video, reference = prepare(folder, fps, seconds, seed)
        for number in range(1, rounds + 1):
            off = stream(folder, video, seconds)
            on = stream(folder, video, seconds, "--score", str(reference), "--model", str(model))
            row = _row(off, on, alone(video, model), fps)
            table.rows.append({"round": str(number), **row})
            progress.print(f"round {number} of {rounds}: {row}")
    middle = {
        column: median(float(row[column] or 0) for row in table.rows)
        for column in table.rows[0]
        if column != "round"
    }
    table.rows.append({"round": "median", **middle})
    return [table]


def _row(off: dict[str, Any], on: dict[str, Any], alone_fps: float, fps: float) -> dict[str, Value]:
    poses = on["score"]["poses"]
    scored_fps = (poses["found"] + poses["nobody"]) / (on["ended_at"] - on["started_at"])
    p99_off, p99_on = off["latency_ms"]["p99"], on["latency_ms"]["p99"]
    pose_ms, shown_ms = (poses["times_ms"][each]["p50"] for each in ("pose", "result"))
    return {
        "link off ms": p99_off,
        "on ms": p99_on,
        "on / off": p99_on / p99_off,
        "alone fps": alone_fps,
        "scored fps": scored_fps,
        "scored / alone": scored_fps / min(alone_fps, fps),
        "pose ms": pose_ms,
        "shown ms": shown_ms,
        "shown / pose": shown_ms / pose_ms,
        "score": on["score"].get("mean_score"),
    }


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "udpstream", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 30.0,
    seconds: Annotated[float, typer.Option(help="Length of each part.")] = 15.0,
    rounds: Annotated[int, typer.Option(help="How often.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the dancer.")] = 3,
    json: Annotated[Path | None, typer.Option(help="Write the figures here, too.")] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown for a page.")
    ] = False,
) -> None:
    """Compare a stream that is scored with one that is not, and with MediaPipe alone."""
    tables = compare(fps, seconds, rounds, seed)
    publish("benchmarks.scoring_live", seed, tables, json, as_markdown=as_markdown)


if __name__ == "__main__":
    typer.run(main)
