"""``udpstream demo`` as its user meets it, without a camera or a screen."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli_tools import Commands, pictures_in, wait_until
from tests.pose_tools import require_model
from udpstream.adapters.reference_video import read_csv
from udpstream.core.dancer.dance import PERIOD_S

_NO_SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has no pose model, nor a way to fetch one."""
    monkeypatch.setenv("UDPSTREAM_MODEL", "nowhere.task")


def told(session: Path) -> dict[str, Any]:
    content = json.loads((session / "session.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.mark.usefixtures("no_model")
def test_without_poses_the_dancer_is_streamed_and_recorded(run: Commands) -> None:
    demo = run.start("demo", "--seconds", "1")
    assert demo.end() == 0
    (complaint,) = [line for line in demo.stderr.splitlines() if line.startswith("no scores: ")]
    assert "pip install" in complaint or "nowhere.task" in complaint
    (session,) = run.sessions()
    assert pictures_in(session / "output.avi") > 10
    assert f"recorded  {session.relative_to(run.folder) / 'output.avi'}" in demo.stdout
    assert "score" not in demo.stdout
    sent = re.search(r"^sent (\d+) frames", demo.stdout)
    received = re.search(r"^  frames    (\d+) sent, (\d+) delivered", demo.stdout, re.MULTILINE)
    assert sent is not None
    assert received is not None
    assert sent[1] == received[1]  # the first frame had a receiver, and the last


@_NO_SIGNALS
@pytest.mark.usefixtures("no_model")
def test_one_ctrl_c_ends_it_in_order(run: Commands) -> None:
    demo = run.start("demo", "--seconds", "5")
    run.wait_for_recording()
    assert demo.end(signal.SIGINT) == 0
    (session,) = run.sessions()
    assert told(session)["finished"] is True
    assert demo.stdout.count("frames") == 2


@_NO_SIGNALS
def test_ctrl_c_while_the_model_is_loaded_ends_it_quietly(
    run: Commands, slow_mediapipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.folder / "any.task").touch()
    monkeypatch.setenv("UDPSTREAM_MODEL", "any.task")
    demo = run.start("demo", "--seconds", "1", "--display", "off")
    demo.wait_for_line("loading the pose model")
    wait_until(slow_mediapipe.exists, "the loading")
    assert demo.end(signal.SIGINT) == 0
    assert demo.stdout == ""
    assert "listening" not in demo.stderr


@_NO_SIGNALS
def test_the_dancer_is_scored_and_what_is_wrong_is_found(run: Commands) -> None:
    require_model()
    demo = run.start("demo", "--seconds", "100", "--source", "dancer:2,left-forearm=50")

    def scored() -> bool:
        scores = [told(session).get("score", {}) for session in run.sessions()]
        return any(score.get("scored_frames", 0) >= 20 for score in scores)

    wait_until(scored, "20 scored frames")
    assert demo.end(signal.SIGINT) == 0
    (session,) = run.sessions()
    result = json.loads((session / "result.json").read_text(encoding="utf-8"))
    assert result["verdict"] == "CORRECT STEPS"
    assert next(iter(result["limbs_deg"])) == "left forearm"
    assert re.search(r"^  score     \d+ of 100, \w+: CORRECT STEPS; ", demo.stdout, re.MULTILINE)
    for name in ("output.avi", "scores.csv", "result.json", "result.png"):
        path = session / name
        assert path.stat().st_size > 0
        assert str(path.relative_to(run.folder)) in demo.stdout
    reference = Path("recordings/demo-reference.csv")
    assert f"reference {reference}" in demo.stdout
    # One period, so that it goes on without a seam when the dance comes round.
    assert read_csv(run.folder / reference).duration_s == pytest.approx(PERIOD_S)


@pytest.mark.usefixtures("no_model")
def test_a_receiver_that_fails_is_told(run: Commands) -> None:
    demo = run.start("demo", "--seconds", "1", "--display", "on")
    assert demo.end() == 1
    assert "Use --display off" in demo.stderr
    assert "the demo's receiver ended with exit code 1" in demo.stderr
    assert "Traceback" not in demo.stderr


def test_a_folder_that_cannot_be_is_told_before_anything_is_drawn(run: Commands) -> None:
    (run.folder / "file").touch()
    demo = run.start("demo", "--record", "file")
    assert demo.end() == 1
    assert "cannot record to file" in demo.stderr
    assert "listening" not in demo.stderr
