"""GStreamer: JPEG over RTP (RFC 2435), by whichever Python here has its bindings."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.peer import Load, Received, Run, Sent, run_pair
from udpstream.bench.pictures import moving_pictures

_ROOT = Path(__file__).parent.parent
_ELEMENTS = ("appsrc", "videoconvert", "jpegenc", "rtpjpegpay", "udpsrc", "udpsink")
_PROBE = (
    "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None); "
    f"assert all(map(Gst.ElementFactory.find, {_ELEMENTS})); print(Gst.version_string())"
)


class GStreamer:
    """rtpjpegpay to rtpjpegdepay with no jitter buffer; its own JPEG codec."""

    name = "GStreamer rtpjpeg"

    def missing(self) -> str | None:
        """Packages of the system, not of Python's index."""
        if _python_and_version() is not None:
            return None
        return (
            "apt install gstreamer1.0-tools gstreamer1.0-plugins-good python3-gi "
            "gir1.2-gst-plugins-base-1.0"
        )

    def run(self, load: Load) -> Run:
        """Carry JPEG frames."""
        return run_pair(_send, _receive, load)


def version() -> str | None:
    """GStreamer's version, if it is here."""
    found = _python_and_version()
    return found and found[1]


@functools.cache
def _python_and_version() -> tuple[str, str] | None:
    # The bindings come with the system's Python, which is seldom the one that runs this.
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            probe = subprocess.run(
                [python, "-c", _PROBE], capture_output=True, text=True, timeout=30, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return python, probe.stdout.strip()
    return None


def _end(role: str, load: Load, port: int, pictures: int = 0) -> subprocess.Popen[bytes]:
    """Start one end and tell it the load."""
    found = _python_and_version()
    if found is None:
        raise RuntimeError("GStreamer went away")
    process = subprocess.Popen(
        [found[0], "-m", "benchmarks.gst_ends", role],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    width, height = load.size_wh
    told = {
        "width": width,
        "height": height,
        "fps": int(load.fps or 0),
        "seconds": load.seconds,
        "quality": load.quality,
        "port": port,
        "pictures": pictures,
    }
    if process.stdin is not None:
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()
    return process


def _send(load: Load, port: int) -> Iterator[Sent]:
    pictures = moving_pictures(load.size_wh, load.seed)
    with _end("send", load, port, len(pictures)) as process:
        output, _ = process.communicate(b"".join(picture.tobytes() for picture in pictures))
    for number, captured_s, encode_s in json.loads(output):
        yield Sent(number, captured_s, encode_s)


def _receive(load: Load, port: int, ready: Event, stop: Event) -> Iterator[Received]:
    with _end("receive", load, port) as process:
        if process.stdout is not None:
            process.stdout.readline()
        ready.set()
        stop.wait()
        output, _ = process.communicate()
    for number, decoded_s, decode_s in json.loads(output):
        yield Received(number, decoded_s, decode_s, intact=True)
