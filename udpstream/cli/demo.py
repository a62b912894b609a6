"""``udpstream demo``: the whole link on one machine, in one command."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Literal

from udpstream.cli.signals import StopSignals
from udpstream.cli.terminal import print_lines, say
from udpstream.errors import UdpStreamError

_POLL_S = 0.1
_LINGER_S = 10.0  # for a receiver to finish its recording on a slow disk

# Windows has no SIGTERM that a process can catch, and sends Ctrl+Break to groups only.
if sys.platform == "win32":
    _STOP = signal.CTRL_BREAK_EVENT
    _GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _STOP = signal.SIGTERM
    _GROUP = 0


def demo(*, seconds: float, record: Path, display: Literal["auto", "on", "off"]) -> None:
    """Run a sender and a receiver as processes of their own, and wait for both.

    Raises:
        UdpStreamError: one of them failed; what it said has been printed.
    """
    address = f"127.0.0.1:{_free_port()}"
    with StopSignals() as signals:
        receiver = _start("receive", address, "--record", str(record), "--display", display)
        sender = _start("send", address, "--source", "test", "--seconds", str(seconds), quiet=True)
        try:
            while sender.poll() is None and receiver.poll() is None:
                if signals.event.wait(_POLL_S):
                    break
        finally:
            print_lines(_end(sender).splitlines())
            _end(receiver)
    for name, process in (("sender", sender), ("receiver", receiver)):
        if process.returncode:
            raise UdpStreamError(f"the demo's {name} ended with exit code {process.returncode}")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(*arguments: str, quiet: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "udpstream", *arguments]
    pipe = subprocess.PIPE if quiet else None
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, creationflags=_GROUP)


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
    return result or ""
