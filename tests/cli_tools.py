"""The command line as processes, for its tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av

GENEROUS_S = 30.0  # for what takes a second; a machine may be busy


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll until something is so; only an hour-glass that is far too large ends it."""
    end_s = time.monotonic() + GENEROUS_S
    while not condition():
        assert time.monotonic() < end_s, f"waited {GENEROUS_S:.0f} s in vain: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Command:
    """One `python -m udpstream ...`, started; what it prints goes to files."""

    def __init__(self, folder: Path, *arguments: str, display: str | None = None) -> None:
        number = len(list(folder.glob("*.stdout")))
        self._stdout = folder / f"{number}-{arguments[0]}.stdout"
        self._stderr = self._stdout.with_suffix(".stderr")
        environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
        environment.pop("WAYLAND_DISPLAY", None)
        if display is not None:
            environment["DISPLAY"] = display
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "udpstream", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                cwd=folder,
            )

    @property
    def stdout(self) -> str:
        return self._stdout.read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(encoding="utf-8")

    def wait_for_line(self, text: str) -> None:
        """Wait until it has said something."""

        def said() -> bool:
            assert self.popen.poll() is None or text in self.stderr, self.stderr
            return text in self.stderr

        wait_until(said, f"{text!r} from {self._stderr.stem}")

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is given, and return the exit code."""
        if number is not None:
            self.popen.send_signal(number)
        return self.popen.wait(GENEROUS_S)


class Commands:
    """Starts commands, and leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._started: list[Command] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def recordings(self) -> Path:
        return self.folder / "recordings"

    def start(self, *arguments: str, display: str | None = None) -> Command:
        command = Command(self.folder, *arguments, display=display)
        self._started.append(command)
        return command

    def receive(self, *options: str, display: str | None = None) -> Command:
        """Start a receiver, and wait until it listens."""
        command = self.start("receive", self.address, *options, display=display)
        command.wait_for_line("listening on")
        return command

    def send(self, *options: str) -> Command:
        return self.start("send", self.address, "--source", "test", "--size", "160x120", *options)

    def sessions(self) -> list[Path]:
        """The recordings' folders, oldest first."""
        return sorted(path.parent for path in self.recordings.glob("*/session.json"))

    def wait_for_recording(self, count: int = 1, size: int = 20_000) -> None:
        """Wait until so many streams have put something on disk."""

        def there() -> bool:
            files = [path / "output.avi" for path in self.sessions()]
            return len(files) >= count and all(
                path.exists() and path.stat().st_size > size for path in files
            )

        wait_until(there, f"{count} recordings of {size} bytes")

    def clean_up(self) -> None:
        for command in self._started:
            command.popen.kill()
            command.popen.wait()


@contextmanager
def commands_in(folder: Path) -> Iterator[Commands]:
    """Commands that run in a folder, and end with the block."""
    commands = Commands(folder)
    try:
        yield commands
    finally:
        commands.clean_up()


def pictures_in(path: Path) -> int:
    """How many frames of a file can be decoded."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))
