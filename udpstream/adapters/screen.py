"""The screen: whether there is one, and OpenCV's windows on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from udpstream.errors import DisplayError

_PROBE_TIMEOUT_S = 10.0  # a cold start of Python and OpenCV takes up to 2 s
_PROBE = "import cv2, os; cv2.namedWindow('udpstream', cv2.WINDOW_GUI_NORMAL); os._exit(0)"
_BUNDLED_PLUGINS = Path(cv2.__file__).parent / "qt" / "plugins"
# GUI_NORMAL: without it Qt adds a tool bar and a status bar
_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL


def screen_problem() -> str | None:
    """Return why no window can be opened here, or None where one can.

    On Linux this takes a few tenths of a second where there is a display to try: Qt ends the
    whole process when it cannot reach its display, so a process of its own has to try.
    """
    if not cv2.currentUIFramework():
        return (
            "this OpenCV is built without windows: uninstall opencv-python-headless, "
            "then install opencv-python again"
        )
    if sys.platform in {"darwin", "win32"}:
        return None
    x11_only = _steer_bundled_qt()
    display = os.environ.get("DISPLAY")
    if not display and not os.environ.get("WAYLAND_DISPLAY"):
        return "no screen: DISPLAY is not set"
    if not display and x11_only:
        return "no screen: DISPLAY is not set, and this OpenCV needs X11 (under Wayland: XWayland)"
    return _probe(display or os.environ["WAYLAND_DISPLAY"])


class HighGui:
    """OpenCV's windows, as `window.Windows` uses them. For the main thread only.

    A window's title is its name: with Qt, OpenCV finds a window by nothing else.
    """

    def __init__(self) -> None:
        _steer_bundled_qt()
        self._framework = cv2.currentUIFramework()

    def open(self, title: str, size_wh: tuple[int, int]) -> None:
        """Open a window that can be resized and keeps the picture's proportions.

        Raises:
            DisplayError: it could not be opened.
        """
        try:
            cv2.namedWindow(title, _FLAGS)
            cv2.resizeWindow(title, *size_wh)
        except cv2.error as error:
            raise DisplayError(
                f"OpenCV could not open the window {title!r} ({error.err}): "
                "check the screen, or do without windows"
            ) from error

    def show(self, title: str, image_bgr: NDArray[np.uint8]) -> None:
        """Hand a picture to a window; it is painted by the next `poll_key`.

        Raises:
            DisplayError: the window did not take it.
        """
        try:
            cv2.imshow(title, image_bgr)
        except cv2.error as error:
            raise DisplayError(
                f"OpenCV could not draw in the window {title!r} ({error.err}): "
                "check the screen, or do without windows"
            ) from error

    def room_wh(self, title: str) -> tuple[int, int] | None:
        """Return the size of a window's picture area; None where it has none just now."""
        try:
            _, _, width, height = cv2.getWindowImageRect(title)
        except cv2.error:
            return None
        return (width, height) if width > 0 and height > 0 else None

    def visible(self, title: str) -> bool:
        """Tell whether a window is still there, that is, was not closed by its button."""
        if self._framework == "COCOA":
            return True  # no close button there, and a minimized window counts as not visible
        try:
            return self._visible(title)
        except cv2.error:
            if self._framework != "QT":
                return False
        self._rejoin(title)
        return self._visible(title)

    def _visible(self, title: str) -> bool:
        visible = cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE)
        if visible < 0:  # GTK does not know; it does know whether the window exists
            return cv2.getWindowProperty(title, cv2.WND_PROP_AUTOSIZE) >= 0
        return visible > 0

    def poll_key(self) -> int:
        """Let the windows paint and answer; return a key that was pressed, or -1."""
        key = cv2.pollKey()
        # GTK puts Num Lock and the like above bit 16; the lower 8 bits alone would turn
        # the left arrow (0xFF51) into a Q
        return key if key < 0 else key & 0xFFFF

    def close(self, title: str) -> None:
        """Close a window that the user has not closed."""
        try:
            cv2.destroyWindow(title)
        except cv2.error:
            if self._framework == "QT":
                self._rejoin(title)
                cv2.destroyWindow(title)

    def _rejoin(self, title: str) -> None:
        """Make OpenCV remember its Qt windows again.

        OpenCV 5 counts a window out when the user closes it, which only hides it, and
        once more when it is shown again and closed. At a count of zero it forgets that
        there are windows, though some still stand. Naming one of them is the cure; that
        neither opens nor shows one.
        """
        cv2.namedWindow(title, _FLAGS)


def _steer_bundled_qt() -> bool:
    """Keep the Qt in opencv-python's Linux wheels to what it has; tell if that is X11 alone.

    Without this, under Wayland it complains that it has no plugin for it, or ends the process
    where QT_QPA_PLATFORM says wayland; and since 4.13 each window complains that the wheel's
    own font folder is not there. Any folder does: our windows have no text of Qt's.
    """
    if os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH") != str(_BUNDLED_PLUGINS):
        return False
    if not Path(os.environ.get("QT_QPA_FONTDIR", "")).is_dir():
        os.environ["QT_QPA_FONTDIR"] = str(_BUNDLED_PLUGINS)
    platforms = {plugin.name for plugin in (_BUNDLED_PLUGINS / "platforms").glob("libq*.so")}
    if platforms != {"libqxcb.so"}:
        return False
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    return True


def _probe(display: str) -> str | None:
    """Open a window in a process of its own and say why it failed, if it did."""
    command = [sys.executable, "-P", "-c", _PROBE]  # -P: no cv2.py of the working folder
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no screen: display {display} did not answer within {_PROBE_TIMEOUT_S:.0f} s"
    except OSError as error:
        return f"no screen: Python could not be started to try display {display}: {error}"
    if done.returncode == 0:
        return None
    said = done.stderr.decode(errors="replace")
    if "could not connect to display" in said or "cannot open display" in said.lower():
        return f"no screen: display {display} cannot be reached"
    first = next((line.strip() for line in said.splitlines() if line.strip()), "no reason given")
    return f"no screen: OpenCV could not open a window on display {display}: {first[:200]}"
