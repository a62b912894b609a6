"""Where frames come from: a camera, a video file, pictures, or what is drawn here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from udpstream.adapters.sources.base import DEFAULT_FPS, Source, quiet_opencv
from udpstream.adapters.sources.camera import Camera
from udpstream.adapters.sources.dancer import DancerSource, parse_dancer
from udpstream.adapters.sources.files import IMAGE_SUFFIXES, ImageFiles, VideoFile, image_paths
from udpstream.adapters.sources.synthetic import DEFAULT_SIZE_WH, CardSource, NoiseSource
from udpstream.errors import SourceError

__all__ = ["DEFAULT_FPS", "Source", "open_source"]

_CHOICES = (
    "give a camera index such as 0, a device path such as /dev/video0, a video file, "
    "a folder of images, 'test', 'noise' or 'dancer'"
)


def open_source(
    name: str,
    *,
    size_wh: tuple[int, int] | None,
    fps: float | None,
    loop: bool,
    say: Callable[[str], None],
) -> Source:
    """Open a source by its name on the command line.

    Args:
        name: ``test`` (a moving test card), ``noise`` (random pixels), ``dancer`` (a drawn
            person, see `parse_dancer`), a camera index, a device path below ``/dev``, a
            video file, an image or a folder of images, which come in natural order. A
            file that has one of the former names is given as ``./test`` or ``./0``.
        size_wh: width and height in pixels. A camera is asked for that mode, a synthetic
            source draws in it (640x480 for None), and what else comes is scaled to it.
        fps: pictures a second. A camera is asked for it; a video file plays at its own
            speed and gives that many. None is the file's own rate, and 30 for images
            and the synthetic sources.
        loop: start files again at their end.
        say: is given one line, for the user, when something happens that is no error.

    Raises:
        SourceError: the name is none of these, a dancer cannot have that fault, or the
            file cannot be read.
    """
    quiet_opencv()
    drawn = _open_drawn(name, size_wh or DEFAULT_SIZE_WH, fps or DEFAULT_FPS)
    if drawn is not None:
        return drawn
    if (name.isascii() and name.isdecimal()) or name.startswith("/dev/"):
        return Camera(name, size_wh=size_wh, fps=fps, say=say)
    path = Path(name)
    try:
        images = image_paths(path) if path.is_dir() else None
        is_file = path.is_file()
    except OSError as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror}") from error
    if images is not None:
        if not images:
            raise SourceError(
                f"no images in the folder {path}: looked for {', '.join(sorted(IMAGE_SUFFIXES))}"
            )
        return ImageFiles(images, size_wh=size_wh, fps=fps, loop=loop, say=say)
    if not is_file:
        raise SourceError(f"no file or folder {name!r}, and no camera of that name: {_CHOICES}")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFiles([path], size_wh=size_wh, fps=fps, loop=loop, say=say)
    return VideoFile(path, size_wh=size_wh, fps=fps, loop=loop, say=say)


def _open_drawn(name: str, size_wh: tuple[int, int], fps: float) -> Source | None:
    """Open a source that is drawn here; None where the name is of none."""
    if name == "test":
        return CardSource(size_wh, fps)
    if name == "noise":
        return NoiseSource(size_wh, fps)
    dancer = parse_dancer(name)
    return None if dancer is None else DancerSource(dancer, size_wh, fps)
