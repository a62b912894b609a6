"""``udpstream score``: what ``receive --score`` does, from a recording."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from udpstream.cli.posing import ModelOption, load_reference, load_tracker
from udpstream.cli.score_options import (
    CountdownOption,
    LoopOption,
    Metric,
    MetricOption,
    Mirror,
    MirrorOption,
    OverlayOption,
    ScoreOptions,
    Sync,
    SyncOption,
    WindowOption,
    score_options,
)
from udpstream.cli.scoring import summary_lines
from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import ProgressBar, print_lines, say
from udpstream.errors import RecordingError, SourceError
from udpstream.frame import Stream
from udpstream.scored import ScoreSink
from udpstream.scoring import WINDOW_S


def score(
    recording: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO|SESSION",
            exists=True,
            help="A video of the performer, or the folder of a recording.",
        ),
    ],
    reference: Annotated[
        Path,
        typer.Option(
            metavar="REFERENCE",
            exists=True,
            dir_okay=False,
            help="What it is compared with: a video, or the CSV made of it.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Where to write; a new folder unless told."
        ),
    ] = None,
    sync: SyncOption = Sync.auto,
    countdown: CountdownOption = None,
    mirror: MirrorOption = Mirror.auto,
    metric: MetricOption = Metric.motion,
    window: WindowOption = WINDOW_S,
    loop_reference: LoopOption = False,
    overlay: OverlayOption = False,
    model: ModelOption = None,
) -> None:
    """Score a recording: the same files as live, of all frames."""
    options = score_options(
        reference,
        sync=sync,
        mirror=mirror,
        metric=metric,
        window_s=window,
        countdown_s=countdown,
        loop=loop_reference,
        model=model,
        overlay=overlay,
    )
    assert options is not None
    _score(find_recording(recording), options, output)


@dataclass(frozen=True, slots=True)
class Recording:
    """What is to be scored.

    Attributes:
        name: what to call it.
        videos: the files in order, and when each begins, in seconds.
    """

    name: str
    videos: tuple[tuple[Path, float], ...]


def find_recording(path: Path) -> Recording:
    """Return what there is of a video, or of a session's folder.

    Raises:
        SourceError: there is no video in the folder.
    """
    name = path.resolve().stem if path.is_file() else path.resolve().name
    if path.is_file():
        return Recording(name, ((path, 0.0),))
    listed = _listed_files(path / "session.json")
    videos = [(path / file, begin_s) for file, begin_s in listed if (path / file).is_file()]
    if not videos and (path / "output.avi").is_file():
        videos = [(path / "output.avi", 0.0)]
    if not videos:
        raise SourceError(f"{path} is no recording: there is no output.avi in it; name a video")
    return Recording(name, tuple(videos))


def _listed_files(session: Path) -> list[tuple[str, float]]:
    """Return the files that a session.json names, and when each begins; none if it is broken."""
    try:
        content: Any = json.loads(session.read_text(encoding="utf-8"))
        files = [
            (Path(file["name"]).name, datetime.fromisoformat(file["started_at"]).timestamp())
            for file in content["files"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [(name, max(0.0, begin_s - files[0][1])) for name, begin_s in files]


def _score(recording: Recording, options: ScoreOptions, output: Path | None) -> None:
    from udpstream.adapters.annotated import AnnotatedVideo
    from udpstream.adapters.score_files import ScoreFiles
    from udpstream.performance import Performance, perform

    stream = Stream(1, recording.name, "", 0, "recording")
    with contextlib.ExitStack() as closing, StopSignals() as signals:
        reference = load_reference(options.reference, signals.event, model=options.model)
        performance = Performance(stream, reference, options.scoring.scorer(reference))
        tracker = closing.enter_context(load_tracker(options.model, signals.event))
        folder = _folder(output, recording.name)
        files = ScoreFiles(lambda _: folder, options.about(), say)
        sinks: list[ScoreSink] = [files]
        if options.overlay:
            annotated = AnnotatedVideo(lambda _: folder, say, waits=True)
            closing.callback(annotated.close)
            sinks.append(annotated)
        bar = closing.enter_context(ProgressBar(recording.name))
        pictures = _pictures(recording, bar, signals.event)
        summary = perform(performance, tracker, pictures, sinks)
    lines = [f"{recording.name} against {options.reference}", *summary_lines(summary)]
    lines += [f"  result    {path}" for path in files.written(stream)]
    print_lines(lines)


def _pictures(
    recording: Recording, bar: ProgressBar, stop: threading.Event
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Give all pictures of a recording with their times, and say how far it is.

    Raises:
        SourceError: a file of it cannot be read.
    """
    from udpstream.adapters.video import VideoReader

    for path, begin_s in recording.videos:
        with VideoReader(path) as video:
            for picture in video.pictures():
                time_s = begin_s + picture.time_s
                if stop.is_set():
                    say(f"stopped at {time_s:.1f} s: here is the result up to there")
                    return
                bar.show(picture.time_s, video.duration_s, path.name)
                yield time_s, picture.image()
            if video.broken:
                say(f"{path} is damaged: {video.broken} pictures were left out")


def _folder(output: Path | None, name: str) -> Path:
    """Make the folder to write to.

    Raises:
        RecordingError: it cannot be made.
    """
    from udpstream.adapters.recorder import make_folder

    if output is None:
        return make_folder(Path(f"{name}-scored"))
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(
            f"cannot create {output}: {error.strerror}: name another folder"
        ) from error
    return output
