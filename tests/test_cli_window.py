"""The receiver's windows as its user meets them, on a screen of the tests' own."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.cli_tools import Command, Commands, wait_until
from tests.screen_tools import MISSING_TOOLS

pytestmark = pytest.mark.skipif(bool(MISSING_TOOLS), reason=f"needs {' and '.join(MISSING_TOOLS)}")


def xdotool(screen: str, *arguments: str) -> str:
    done = subprocess.run(
        ["xdotool", *arguments],
        env={**os.environ, "DISPLAY": screen},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return done.stdout


# Xlib's own would end the process where the window has gone meanwhile.
_IGNORE_ERRORS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: 0)


class ClientMessage(ctypes.Structure):
    """Xlib's XClientMessageEvent, in the room of an XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 24),
    )


def press_close_button(screen: str, window: str) -> None:
    """Tell a window what a window manager tells it when its close button is pressed."""
    x11 = ctypes.CDLL("libX11.so.6")  # xdotool has brought it
    x11.XSetErrorHandler(_IGNORE_ERRORS)
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(screen.encode()))
    message = ClientMessage(type=33, window=int(window), format=32)
    message.message_type = x11.XInternAtom(display, b"WM_PROTOCOLS", 0)
    message.data[0] = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    x11.XSendEvent(display, ctypes.c_ulong(int(window)), 0, ctypes.c_long(0), ctypes.byref(message))
    x11.XCloseDisplay(display)


def windows(screen: str) -> list[str]:
    return xdotool(screen, "search", "--onlyvisible", "--name", "^udpstream - ").split()


def wait_for_windows(receiver: Command, screen: str, count: int) -> None:
    """Wait until a receiver that runs shows so many windows."""

    def shown() -> bool:
        assert receiver.popen.poll() is None, receiver.stderr
        return len(windows(screen)) == count

    wait_until(shown, f"{count} windows")


def finished(run: Commands) -> list[bool]:
    return [json.loads((path / "session.json").read_text())["finished"] for path in run.sessions()]


def test_q_ends_the_receiver_in_order(run: Commands, screen: str) -> None:
    receiver = run.receive(display=screen)
    run.send()
    wait_for_windows(receiver, screen, 1)
    (window,) = windows(screen)
    _until_ended(receiver, lambda: xdotool(screen, "windowfocus", window, "key", "q"))
    assert receiver.end() == 0
    assert "recorded" in receiver.stdout
    assert finished(run) == [True]


def test_the_last_window_closed_ends_the_receiver_in_order(run: Commands, screen: str) -> None:
    receiver = run.receive(display=screen)
    run.send()
    run.start("send", run.address, "--source", "noise", "--size", "64x64", "--fps", "5")
    wait_for_windows(receiver, screen, 2)
    first, second = windows(screen)
    press_close_button(screen, first)
    wait_until(lambda: windows(screen) == [second], "one window")
    assert receiver.popen.poll() is None
    _until_ended(receiver, lambda: press_close_button(screen, second))
    assert receiver.end() == 0
    assert finished(run) == [True, True]


def test_a_restarted_camera_has_its_window_back(run: Commands, screen: str) -> None:
    receiver = run.receive("--stats", "stats.json", display=screen)
    sender = run.send()
    wait_for_windows(receiver, screen, 1)
    run.wait_for_recording()
    window = windows(screen)
    sender.popen.kill()
    sender.end()
    time.sleep(0.4)  # a camera that is silent for less may still be alive
    run.send()
    run.wait_for_recording(2)
    assert windows(screen) == window
    assert receiver.end(signal.SIGTERM) == 0
    streams = json.loads((run.folder / "stats.json").read_text())["streams"]
    assert [stream["camera"] for stream in streams] == ["127.0.0.1"] * 2
    assert all(stream["display"]["shown"] > 0 for stream in streams)
    assert all(stream["display"]["latency_ms"]["p50"] > 0 for stream in streams)


def _until_ended(command: Command, act: Callable[[], object]) -> None:
    """Act until it has an effect: a window may be there before it listens."""

    def ended() -> bool:
        act()
        return command.popen.poll() is not None

    wait_until(ended, "the end")
