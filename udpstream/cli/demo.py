"""``udpstream demo``: the whole link on one machine, in one command."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal

from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import print_lines, say
from udpstream.errors import UdpStreamError
from udpstream.sender import Sender

_POLL_S = 0.1
_LINGER_S = 10.0  # for a receiver to finish its recording on a slow disk

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


def demo(*, seconds: float, record: Path, display: Literal["auto", "on", "off"]) -> None:
    """Run a sender and a receiver as processes of their own, and wait for both.

    Raises:
        UdpStreamError: one of them failed; what it said has been printed.
    """
    port = _free_port()
    address = f"127.0.0.1:{port}"
    running: dict[str, subprocess.Popen[str]] = {}
    with StopSignals() as signals:
        try:
            receiver = running["receiver"] = _start(
                "receive", address, "--record", str(record), "--display", display
            )
            _wait_for_receiver(receiver, port, signals.event)
            if receiver.poll() is None and not signals.event.is_set():
                sender = running["sender"] = _start(
                    "send", address, "--source", "test", "--seconds", str(seconds), quiet=True
                )
                while sender.poll() is None and receiver.poll() is None:
                    if signals.event.wait(_POLL_S):
                        break
            # The sender first, so that its last frame is counted.
            results = [_end(running[name]) for name in ("sender", "receiver") if name in running]
        finally:
            for process in running.values():
                process.kill()  # none is left but where a second Ctrl+C cut the wait short
    for result in results:
        print_lines(result.splitlines())
    for name, process in running.items():
        if process.returncode:
            raise UdpStreamError(f"the demo's {name} ended with exit code {process.returncode}")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_receiver(receiver: subprocess.Popen[str], port: int, stop: threading.Event) -> None:
    """Wait until it answers, so that the demo's first frame is not sent to nobody."""
    with Sender("127.0.0.1", port) as probe:
        while not probe.receiver_is_there and receiver.poll() is None:
            if stop.wait(_POLL_S):
                return


def _start(*arguments: str, quiet: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "udpstream", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
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
        result, complaint = process.communicate(timeout=_LINGER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        result, complaint = process.communicate()
    if process.returncode and complaint:
        say(complaint.rstrip())
    return result
