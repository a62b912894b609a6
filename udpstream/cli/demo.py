"""``udpstream demo``: a dancer, the link and the score on one machine, in one command."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

from udpstream.adapters.model import require_mediapipe
from udpstream.adapters.recorder import ready_folder
from udpstream.adapters.reference_video import write_csv
from udpstream.adapters.sources.dancer import DancerSource
from udpstream.capture import Capture
from udpstream.cli.posing import ready_model
from udpstream.cli.sending import draw_dance, sent_summary
from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import print_lines, say
from udpstream.core.dancer.dance import PERIOD_S
from udpstream.core.dancer.performer import Dancer
from udpstream.core.reference import DEFAULT_FPS, make_reference
from udpstream.errors import PoseError, UdpStreamError
from udpstream.sender import Sender
from udpstream.transmission import Transmission

# What two cores draw, find poses in, show and record, with time to spare.
_SIZE_WH = 640, 480
_FPS = 20.0
# Another body before another camera. That it is not the seed of who dances is the point.
_REFERENCE_SEED = 5
_REFERENCE = "demo-reference.csv"

_POLL_S = 0.1
_LINGER_S = 60.0  # for a receiver to finish its recording, and to draw its result

# Windows has no SIGTERM that a process can catch, and sends Ctrl+Break to groups only.
# Elsewhere Ctrl+C goes to all of a terminal's processes: with one from us it would be the
# second, which ends a receiver before its recording is finished.
if sys.platform == "win32":
    _STOP = signal.CTRL_BREAK_EVENT
    _GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
    _NEW_SESSION = False
else:
    _STOP = signal.SIGTERM
    _GROUP = 0
    _NEW_SESSION = True


def demo(
    *, dancer: Dancer, seconds: float, record: Path, display: Literal["auto", "on", "off"]
) -> None:
    """Send a dancer to a receiver, which is a process of its own, and wait for both.

    Without MediaPipe or its model there is no score; that is said, and the rest goes on.

    Raises:
        UdpStreamError: the folder cannot be written to, or the receiver failed; what that
            said has been printed.
    """
    ready_folder(record)
    with StopSignals() as signals:
        options = ["--record", str(record), "--display", display]
        reference = _write_reference(record) if _poses_can_be_found(signals.event) else None
        if reference is not None:
            options += ["--score", str(reference), "--loop-reference"]
        source = DancerSource(dancer, _SIZE_WH, _FPS)
        draw_dance(source, seconds * _FPS, signals.event)
        if signals.event.is_set():
            return
        address = f"127.0.0.1:{_free_port()}"
        receiver = _start("receive", address, *options)
        try:
            sent = _send(source, address, seconds, receiver, signals.event)
            received = _end(receiver)
        finally:
            receiver.kill()  # it runs no more but where a second Ctrl+C cut the wait short
    if signals.event.is_set() and not sent:
        return  # stopped while the receiver was still starting, which then has nothing to say
    lines = [*sent, *received.splitlines()]
    if reference is not None:
        lines.append(f"  reference {reference}")
    print_lines(lines)
    if receiver.returncode:
        raise UdpStreamError(f"the demo's receiver ended with exit code {receiver.returncode}")


def _poses_can_be_found(stop: threading.Event) -> bool:
    """Make sure of it, with the model fetched if need be, before there is a stream to score."""
    try:
        require_mediapipe()
        ready_model(None, stop)
    except PoseError as error:
        if not stop.is_set():
            say(f"no scores: {error}")
        return False
    return True


def _write_reference(folder: Path) -> Path:
    """Write the dance as another body does it: one period, of which the truth is known.

    Raises:
        RecordingError: it cannot be written.
    """
    dancer = Dancer(_REFERENCE_SEED)
    times_s = [number / DEFAULT_FPS for number in range(round(PERIOD_S * DEFAULT_FPS))]
    poses = (dancer.landmarks(time_s, _SIZE_WH) for time_s in times_s)
    path = folder / _REFERENCE
    write_csv(make_reference(times_s, poses, _SIZE_WH[0] / _SIZE_WH[1], path.name), path)
    return path


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _send(
    source: DancerSource,
    address: str,
    seconds: float,
    receiver: subprocess.Popen[str],
    stop: threading.Event,
) -> list[str]:
    """Send for so long, or until the receiver ends; return what to say of it, if it began."""
    host, port = address.split(":")
    capture = Capture(source)
    with Sender(host, int(port), fps=_FPS) as sender:
        # So that the first frame is not sent to nobody.
        while not sender.receiver_is_there and receiver.poll() is None:
            if stop.wait(_POLL_S):
                return []
        with Transmission(capture, sender) as transmission, capture:
            begun_s = time.monotonic()
            while receiver.poll() is None and not transmission.ended:
                left_s = begun_s + seconds - time.monotonic()
                if left_s <= 0 or stop.wait(min(_POLL_S, left_s)):
                    break
    if transmission.error is not None:
        raise transmission.error
    return sent_summary(sender, capture, time.monotonic() - begun_s)


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "udpstream", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        creationflags=_GROUP,
        start_new_session=_NEW_SESSION,
    )


def _end(process: subprocess.Popen[str]) -> str:
    """Ask a process to end if it has not, wait, and return what it printed as its result."""
    if process.poll() is None:
        process.send_signal(_STOP)
    try:
        result, _ = process.communicate(timeout=_LINGER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        result, _ = process.communicate()
    return result
