"""``udpstream send`` as its performer meets it: the preview, and the line in a terminal."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.cli_tools import Commands, wait_until
from tests.judge_tools import Judge, always
from tests.performance_tools import reference_of
from tests.pose_tools import require_model
from tests.screen_tools import MISSING_TOOLS
from tests.test_cli_window import press_close_button, wait_for_windows, windows, xdotool
from udpstream.adapters.reference_video import write_csv
from udpstream.core.dancer.dance import PERIOD_S
from udpstream.core.dancer.performer import Dancer
from udpstream.core.reference import Reference
from udpstream.protocol import VERDICTS, Result

needs_screen = pytest.mark.skipif(
    bool(MISSING_TOOLS), reason=f"needs {' and '.join(MISSING_TOOLS)}"
)
needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")

HINTED = Result(
    0, 0, score=42.0, verdict=VERDICTS[1], grade="off", limb="right upper arm", degrees=121.0,
    direction="too far forward", lag_s=0.2,
)  # fmt: skip
HOSTILE = Result(0, 0, reason="nobody \x1b[2J\x1b[31min view\r\n")


# -- the window ------------------------------------------------------------------------


def quit_by_key(screen: str, window: str) -> None:
    xdotool(screen, "windowfocus", window, "key", "q")


@needs_screen
@pytest.mark.parametrize("leave", [quit_by_key, press_close_button])
def test_the_preview_shows_and_ends_the_sending(
    run: Commands, judge: Judge, screen: str, leave: Callable[[str, str], None]
) -> None:
    judge.says = always(HINTED)
    sender = run.start(
        "send", judge.address, "--source", "dancer:5", "--size", "160x120", "--preview",
        display=screen,
    )  # fmt: skip
    wait_for_windows(sender, screen, 1)
    wait_until(lambda: len(judge.sent) >= 10, "results on their way")
    (window,) = windows(screen)

    def ended() -> bool:
        leave(screen, window)
        return sender.popen.poll() is not None

    wait_until(ended, "the end")
    assert sender.end() == 0
    assert re.match(r"sent \d+ frames", sender.stdout)
    assert "Traceback" not in sender.stderr
    wait_until(lambda: judge.receiver is not None and not judge.receiver.live_reports(), "its bye")


@needs_screen
def test_bounds_end_the_sending_with_its_preview(run: Commands, judge: Judge, screen: str) -> None:
    options = ("--source", "test", "--size", "320x240", "--preview", "--frames", "20")
    sender = run.start("send", judge.address, *options, display=screen)
    assert sender.end() == 0
    assert sender.stdout.startswith("sent 20 frames")
    wait_until(lambda: len(judge.streams) == 20, "all frames")


def test_without_a_screen_it_says_so_and_goes_on(run: Commands, judge: Judge) -> None:
    options = ("--source", "test", "--size", "160x120", "--preview", "--frames", "5")
    sender = run.start("send", judge.address, *options)
    assert sender.end() == 0
    assert "no window: no screen: DISPLAY is not set" in sender.stderr
    assert sender.stdout.startswith("sent 5 frames")


# -- the line in a terminal ------------------------------------------------------------


class Terminal:
    """A command that runs in a terminal of 80 columns, and all that it prints there."""

    def __init__(self, *arguments: str) -> None:
        import pty  # not on Windows

        self._printed = bytearray()
        near, far = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "NO_COLOR"):
            environment.pop(name, None)
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "udpstream", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=far, env=environment,
        )  # fmt: skip
        os.close(far)
        self._near = near
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def printed(self) -> str:
        return self._printed.decode(errors="replace")

    def close(self) -> None:
        self.popen.kill()
        self.popen.wait()
        self._reader.join()
        os.close(self._near)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the far end is closed
            while data := os.read(self._near, 4096):
                self._printed += data


@contextlib.contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    it = Terminal(*arguments)
    try:
        yield it
    finally:
        it.close()


def lines_in(printed: str) -> list[str]:
    """What was printed, line by line, without what moves the cursor or sets colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed).replace("\r", "\n").split("\n")


@needs_terminal
def test_the_status_line_tells_what_is_said_of_the_performer(judge: Judge) -> None:
    with terminal("send", judge.address, "--source", "test", "--size", "160x120") as sender:
        wait_until(lambda: "receiver there" in sender.printed, "a receiver")
        assert "score" not in sender.printed  # most receivers give none
        judge.says = always(HINTED)
        line = "42  NOT CORRECT STEPS  right upper arm: 120 degrees too far forward"
        wait_until(lambda: line in lines_in(sender.printed), "the score")
        judge.says = always(HOSTILE)
        wait_until(lambda: "in view" in sender.printed, "the reason")
        assert "\x1b[2J" not in sender.printed
        assert "\x1b[31m" not in sender.printed
        before = len(sender.printed)
        judge.says = lambda _: None
        wait_until(
            lambda: len(sender.printed) > before + 300 and "in view" not in sender.printed[-160:],
            "an end of what was said long ago",
        )
        assert max(map(len, lines_in(sender.printed))) <= 80


@needs_terminal
def test_a_receiver_that_scores_tells_its_performer(run: Commands) -> None:
    model = require_model()
    dancer = Dancer(3)
    times_s = np.arange(0, PERIOD_S, 0.1)
    poses = [dancer.landmarks(float(time_s), (640, 480)) for time_s in times_s]
    landmarks = np.array([np.zeros((33, 4)) if pose is None else pose for pose in poses])
    reference = Reference(times_s, landmarks.astype(np.float32), 640 / 480)
    write_csv(reference, run.folder / "dance.csv")
    scored = ("--score", "dance.csv", "--sync", "none", "--model", str(model))
    run.receive("--no-record", "--display", "off", *scored)
    with terminal("send", run.address, "--source", "dancer:5", "--size", "320x240") as sender:
        wait_until(
            lambda: re.search(r"\d+  (NOT )?CORRECT STEPS", sender.printed) is not None,
            "a score",
        )


@needs_terminal
def test_when_it_is_over_the_performer_keeps_the_result_in_view(run: Commands) -> None:
    model = require_model()
    write_csv(reference_of(2.5), run.folder / "dance.csv")
    receiver = run.receive(
        "--no-record", "--display", "off", "--score", "dance.csv", "--model", str(model)
    )
    with terminal("send", run.address, "--source", "dancer:5", "--size", "320x240") as sender:
        receiver.wait_for_line("the reference has ended")
        # Twice a second: for longer than a result that none follows is shown.
        wait_until(lambda: len(over_in(sender.printed)) > 8, "the result of the session")
        assert set(over_in(sender.printed)) == {over_in(sender.printed)[0]}


def over_in(printed: str) -> list[str]:
    """What is said of a session that is over, as often as it is said."""
    return re.findall(r"\d+  (?:NOT )?CORRECT STEPS  ended   \w+", printed)
