"""Whether there is a screen, asked in ways that cannot end this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest

from udpstream.adapters import screen
from udpstream.adapters.screen import HighGui, screen_problem
from udpstream.errors import DisplayError

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="displays have names on Linux only")


@pytest.fixture(autouse=True)
def keep_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code under test writes into the environment is undone afterwards."""
    monkeypatch.setattr(os, "environ", dict(os.environ))


@pytest.fixture
def with_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "QT")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)


def probe_says(
    monkeypatch: pytest.MonkeyPatch, returncode: int, stderr: str
) -> list[dict[str, str]]:
    """Have the probe end so; returns the environments in which it was run."""
    seen: list[dict[str, str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        seen.append(dict(os.environ))
        return subprocess.CompletedProcess(command, returncode, b"", stderr.encode())

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def bundle_qt(monkeypatch: pytest.MonkeyPatch, folder: Path, *platforms: str) -> None:
    """Make it look as if OpenCV came with a Qt that has these plugins."""
    (folder / "platforms").mkdir(parents=True)
    for platform in platforms:
        (folder / "platforms" / f"libq{platform}.so").touch()
    monkeypatch.setattr(screen, "_BUNDLED_PLUGINS", folder)
    os.environ["QT_QPA_PLATFORM_PLUGIN_PATH"] = str(folder)
    os.environ["QT_QPA_FONTDIR"] = str(folder / "no such folder")
    os.environ.pop("QT_QPA_PLATFORM", None)


def test_a_headless_build_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    problem = screen_problem()
    assert problem is not None
    assert "install opencv-python" in problem


@pytest.mark.parametrize("platform", ["darwin", "win32"])
@pytest.mark.usefixtures("with_windows")
def test_macos_and_windows_are_taken_to_have_a_screen(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert screen_problem() is None


@on_linux
@pytest.mark.usefixtures("with_windows")
def test_without_a_display_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = probe_says(monkeypatch, 0, "")
    assert screen_problem() == "no screen: DISPLAY is not set"
    assert seen == []


@on_linux
@pytest.mark.usefixtures("with_windows")
def test_wayland_alone_is_not_enough_for_a_qt_with_x11_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle_qt(monkeypatch, tmp_path / "plugins", "xcb")
    os.environ["WAYLAND_DISPLAY"] = "wayland-0"
    seen = probe_says(monkeypatch, 0, "")
    problem = screen_problem()
    assert problem is not None
    assert "XWayland" in problem
    assert seen == []


@on_linux
@pytest.mark.usefixtures("with_windows")
def test_qt_is_steered_to_what_its_wheel_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle_qt(monkeypatch, tmp_path / "plugins", "xcb")
    os.environ |= {"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0", "QT_QPA_PLATFORM": "wayland"}
    seen = probe_says(monkeypatch, 0, "")
    assert screen_problem() is None
    assert [env["QT_QPA_PLATFORM"] for env in seen] == ["xcb"]
    assert Path(seen[0]["QT_QPA_FONTDIR"]).is_dir()


@on_linux
@pytest.mark.usefixtures("with_windows")
def test_a_qt_that_knows_wayland_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle_qt(monkeypatch, tmp_path / "plugins", "xcb", "wayland-generic")
    os.environ["WAYLAND_DISPLAY"] = "wayland-0"
    seen = probe_says(monkeypatch, 0, "")
    assert screen_problem() is None
    assert "QT_QPA_PLATFORM" not in seen[0]


@on_linux
@pytest.mark.usefixtures("with_windows")
@pytest.mark.parametrize(
    ("stderr", "problem"),
    [
        (
            "qt.qpa.xcb: could not connect to display :5\nqt.qpa.plugin: Could not load",
            "no screen: display :5 cannot be reached",
        ),
        (
            "\nlibEGL.so.1: missing\nAborted\n",
            "no screen: OpenCV could not open a window on display :5: libEGL.so.1: missing",
        ),
        ("", "no screen: OpenCV could not open a window on display :5: no reason given"),
    ],
)
def test_a_failed_probe_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, stderr: str, problem: str
) -> None:
    os.environ["DISPLAY"] = ":5"
    probe_says(monkeypatch, -6, stderr)
    assert screen_problem() == problem


@on_linux
@pytest.mark.usefixtures("with_windows")
@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (subprocess.TimeoutExpired("python", 10), "did not answer within 10 s"),
        (PermissionError(13, "Permission denied"), "could not be started"),
    ],
)
def test_a_probe_that_cannot_end_is_told_too(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, words: str
) -> None:
    def run(*_: object, **__: object) -> NoReturn:
        raise failure

    os.environ["DISPLAY"] = ":5"
    monkeypatch.setattr(subprocess, "run", run)
    problem = screen_problem()
    assert problem is not None
    assert words in problem


@on_linux
@pytest.mark.skipif(not cv2.currentUIFramework(), reason="this OpenCV has no windows")
def test_a_display_that_leads_nowhere_does_not_end_the_process() -> None:
    code = "from udpstream.adapters.screen import screen_problem\nprint(screen_problem())\n"
    env = {key: value for key, value in os.environ.items() if key != "WAYLAND_DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env | {"DISPLAY": ":6543"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no screen: display :6543 cannot be reached\n"


class ForgetfulQt:
    """OpenCV 5 on Qt: after a close button it may forget that windows stand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, visible: float) -> None:
        self.visible = visible
        self.knows = False
        self.destroyed: list[str] = []
        monkeypatch.setattr(cv2, "currentUIFramework", lambda: "QT")
        monkeypatch.setattr(cv2, "namedWindow", self.named_window)
        monkeypatch.setattr(cv2, "getWindowProperty", self.get_window_property)
        monkeypatch.setattr(cv2, "destroyWindow", self.destroy_window)

    def named_window(self, title: str, flags: int) -> None:
        self.knows = True

    def get_window_property(self, title: str, number: int) -> float:
        if not self.knows:
            raise cv2.error("NULL guiReceiver (please create a window)")
        return self.visible

    def destroy_window(self, title: str) -> None:
        if not self.knows:
            raise cv2.error("NULL guiReceiver (please create a window)")
        self.destroyed.append(title)


@pytest.mark.parametrize("visible", [True, False])
def test_a_forgotten_window_is_found_again(monkeypatch: pytest.MonkeyPatch, visible: bool) -> None:
    ForgetfulQt(monkeypatch, visible=float(visible))
    assert HighGui().visible("one") is visible


def test_a_forgotten_window_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    qt = ForgetfulQt(monkeypatch, visible=1.0)
    HighGui().close("one")
    assert qt.destroyed == ["one"]


@pytest.mark.parametrize(("autosize", "visible"), [(0.0, True), (-1.0, False)])
def test_gtk_is_asked_whether_the_window_exists(
    monkeypatch: pytest.MonkeyPatch, autosize: float, visible: bool
) -> None:
    answers = {cv2.WND_PROP_VISIBLE: -1.0, cv2.WND_PROP_AUTOSIZE: autosize}
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "GTK3")
    monkeypatch.setattr(cv2, "getWindowProperty", lambda _, number: answers[number])
    assert HighGui().visible("one") is visible


def test_a_minimized_window_on_macos_is_not_taken_for_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "COCOA")
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 0.0)
    assert HighGui().visible("one")


@pytest.mark.parametrize(
    ("raw", "key"),
    [(-1, -1), (ord("q"), ord("q")), (0x100000 | ord("q"), ord("q")), (0xFF51, 0xFF51)],
)
def test_keys_lose_their_modifiers_and_keep_apart(
    monkeypatch: pytest.MonkeyPatch, raw: int, key: int
) -> None:
    monkeypatch.setattr(cv2, "pollKey", lambda: raw)
    assert HighGui().poll_key() == key


def test_a_window_system_that_refuses_is_a_display_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise cv2.error("no")

    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "GTK3")
    for name in ("namedWindow", "imshow", "getWindowImageRect", "destroyWindow"):
        monkeypatch.setattr(cv2, name, refuse)
    gui = HighGui()
    with pytest.raises(DisplayError, match="could not open the window 'one'"):
        gui.open("one", (4, 3))
    with pytest.raises(DisplayError, match="could not draw in the window 'one'"):
        gui.show("one", np.zeros((3, 4, 3), np.uint8))
    assert gui.room_wh("one") is None
    gui.close("one")
