"""A Python process of our own that answers requests over pipes, one after the other.

What would take the interpreter or a core from the link is done there. Each message is its
length in four bytes, and its bytes; what they mean is between the two ends. A terminal's
Ctrl+C does not reach the process: it ends when its pipe does, or when it is killed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

_HEAD_BYTES = 4
_DYING_S = 1.0  # from the end of its pipes to its own
# With this one's own path, so that both are of one installation.
_START = "import sys; sys.path[:] = {path!r}; from {module} import main; main(sys.argv[1:])"


class ChildGoneError(Exception):
    """The process has ended, or was killed; the text says how."""


class Child:
    """A process that runs a module's `main`, which takes its messages from `Requests`.

    Calls must come one after the other, but for `kill`, which may come on any thread.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        """Start it; whatever it has to load, it does not keep its starter waiting.

        Raises:
            ChildGoneError: it cannot be started.
        """
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path, module=module), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=_error_output(),
                # Out of reach of a terminal's signals. But not in a session of its own: Linux
                # gives each session the same share of the cores, whatever its ranks.
                process_group=None if sys.platform == "win32" else 0,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise ChildGoneError(f"Python could not be started: {error.strerror}") from error

    @property
    def id(self) -> int:
        """The process's number."""
        return self._popen.pid

    def write(self, *parts: bytes | bytearray | memoryview) -> None:
        """Send a message, given in parts.

        Raises:
            ChildGoneError: there is nobody to take it.
        """
        assert self._popen.stdin is not None
        try:
            _write(self._popen.stdin, *parts)
        except (OSError, ValueError) as error:
            raise ChildGoneError(self._end()) from error

    def read(self) -> bytes:
        """Wait for the next message.

        Raises:
            ChildGoneError: none will come.
        """
        assert self._popen.stdout is not None
        try:
            message = _read(self._popen.stdout)
        except (OSError, ValueError):
            message = None
        if message is None:
            raise ChildGoneError(self._end())
        return message

    def kill(self) -> None:
        """End it at once: who reads or writes meanwhile is told; may be called again."""
        self._popen.kill()

    def close(self) -> None:
        """End it and wait until it has; may be called again."""
        self.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not sent yet has nobody to take it
                pipe.close()
        self._popen.wait()

    def _end(self) -> str:
        try:
            code = self._popen.wait(_DYING_S)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._popen.wait()
        return f"its process ended with exit code {code}"


class Requests:
    """The messages that come to a process from its starter, and the way back."""

    def __init__(self, *, nicer: int) -> None:
        """Take the pipes over, and step back behind who has less time.

        Args:
            nicer: how far to step back, where there are such ranks.
        """
        self._input = os.fdopen(os.dup(0), "rb")
        self._output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what a library prints is no message
        if hasattr(os, "nice"):
            os.nice(nicer)

    def __iter__(self) -> Iterator[bytes]:
        """Give each message, until the starter has ended or closed the pipe."""
        while (message := _read(self._input)) is not None:
            yield message

    def answer(self, *parts: bytes | bytearray | memoryview) -> None:
        """Send a message back."""
        _write(self._output, *parts)


def _error_output() -> int | None:
    """Return where the process's error output is to go: where ours goes, if that is open."""
    try:
        os.fstat(2)
    except OSError:  # one of the process's pipes would take its place
        return subprocess.DEVNULL
    return None


def _write(pipe: IO[bytes], *parts: bytes | bytearray | memoryview) -> None:
    size = sum(len(part) for part in parts)
    pipe.write(size.to_bytes(_HEAD_BYTES, "little"))
    for part in parts:
        pipe.write(part)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    """Return the next message; None where the pipe has ended."""
    head = pipe.read(_HEAD_BYTES)
    size = int.from_bytes(head, "little")
    message = pipe.read(size) if len(head) == _HEAD_BYTES else b""
    return message if len(head) == _HEAD_BYTES and len(message) == size else None
