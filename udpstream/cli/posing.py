"""``udpstream model`` and ``udpstream reference``: what comparing poses needs beforehand.

The commands' options stand here, and what does the work is loaded when it is wanted.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import ProgressBar, print_lines, say
from udpstream.core.reference import DEFAULT_FPS, Reference

if TYPE_CHECKING:
    from udpstream.pose import PoseTracker

ModelOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.task", help="Pose model; else UDPSTREAM_MODEL's, else one that is fetched."
    ),
]

_TIMED_PICTURES = 20


def load_tracker(named: Path | None, stop: threading.Event) -> PoseTracker:
    """Return a tracker, with its model fetched behind a progress bar if need be.

    Raises:
        PoseError: MediaPipe or the model cannot be had.
    """
    from udpstream.pose import PoseTracker

    return PoseTracker(ready_model(named, stop))


def ready_model(named: Path | None, stop: threading.Event) -> Path:
    """Return the model's file, fetched behind a progress bar if need be.

    Raises:
        PoseError: it cannot be had.
    """
    from udpstream.adapters import model

    found = model.present_model(named)
    if found is not None:
        return found
    say(f"fetching the pose model, once: {model.FETCH_BYTES / 1e6:.0f} MB")
    with ProgressBar("pose model") as bar:
        return model.find_model(named, progress=bar.show, stop=stop)


def load_reference(
    path: Path,
    stop: threading.Event,
    *,
    fps: float | None = None,
    model: Path | None = None,
    preview: Path | None = None,
) -> Reference:
    """Return the reference in a CSV file or a video, with a progress bar while it is sampled.

    A video gives the very reference that `udpstream reference` writes of it.

    Args:
        path: a `.csv`, or a video.
        stop: once set, it is given up.
        fps: samples a second, 10 unless told; a CSV that has times has its own.
        model: the pose model's `.task` file, if it is not to be found or fetched.
        preview: where to write the video's samples with the poses drawn.

    Raises:
        UdpStreamError: it cannot be read, nobody is in it, or poses cannot be found here.
    """
    from udpstream.adapters.reference_video import is_csv, read_csv, sample_video

    if is_csv(path):
        return read_csv(path, fps)
    with load_tracker(model, stop) as tracker, ProgressBar(path.name) as bar:
        return sample_video(
            path,
            tracker,
            fps=fps or DEFAULT_FPS,
            preview=preview,
            progress=bar.show,
            say=say,
            stop=stop,
        )


def show_model(model: ModelOption = None) -> None:
    """Show the pose model; fetch it if need be, and try it out."""
    from udpstream.adapters.figure import draw_figure
    from udpstream.adapters.model import LICENSE
    from udpstream.pose import PoseTracker

    with StopSignals() as signals:
        path = ready_model(model, signals.event)
        with PoseTracker(path) as tracker:
            figure_bgr = draw_figure()
            tracker.find(figure_bgr)
            begun_s = time.perf_counter()
            for _ in range(_TIMED_PICTURES):
                tracker.find(figure_bgr)
            each_s = (time.perf_counter() - begun_s) / _TIMED_PICTURES
    print_lines([str(path)])
    licensed = "" if model else f"MediaPipe's pose landmarker, {LICENSE}; "
    say(f"{licensed}{path.stat().st_size / 1e6:.1f} MB; it works: {each_s * 1e3:.0f} ms a picture")


def make_reference_file(
    video: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO",
            exists=True,
            dir_okay=False,
            help="One person in full view; or a CSV of 36 columns, 18 COCO keypoints in pixels.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.csv", help="Where to write it.")
    ],
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=1000,
            metavar="FPS",
            help="Samples for each second; 10, but for a CSV with its own times.",
        ),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option(metavar="FILE.avi", help="Also write the samples with the poses drawn."),
    ] = None,
    model: ModelOption = None,
) -> None:
    """Make a reference of a video: the poses in it, as CSV."""
    from udpstream.adapters.reference_video import is_csv, write_csv

    _check_file(output, ".csv", "--output", video)
    if preview is not None:
        if is_csv(video):
            raise typer.BadParameter("a CSV has no pictures: leave out --preview")
        _check_file(preview, ".avi", "--preview", video)
    with StopSignals() as signals:
        reference = load_reference(video, signals.event, fps=fps, model=model, preview=preview)
    write_csv(reference, output)
    print_lines(_summary(reference, output, preview))


def _check_file(path: Path, suffix: str, option: str, video: Path) -> None:
    """Make sure that a file can be made, before there is something to lose."""
    if path.suffix.lower() != suffix:
        raise typer.BadParameter(f"{option} {path}: give it a name that ends in {suffix}")
    if path.exists() and video.exists() and path.samefile(video):
        raise typer.BadParameter(f"{option} {path} is the input itself: give another name")
    if path.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise typer.BadParameter(f"{option} {path} cannot be written: name another file")


def _summary(reference: Reference, output: Path, preview: Path | None) -> list[str]:
    n_seen = int(reference.seen.sum())
    samples = f"{len(reference):,} samples, {reference.fps:.4g} a second"
    lines = [f"{output}  {samples}, {reference.duration_s:.1f} s"]
    if n_seen < len(reference):
        lines.append(f"  nobody was seen in {len(reference) - n_seen:,} of them")
    if preview is not None:
        lines.append(f"  preview   {preview}")
    return lines
