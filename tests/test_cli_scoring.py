"""``receive --score`` and ``udpstream score`` as their user meets them."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli_tools import Commands, wait_until
from tests.performance_tools import reference_of
from tests.pose_tools import require_model, scene, write_video
from tests.score_tools import result_of, scored_of
from udpstream.adapters.reference_video import write_csv
from udpstream.cli.scoring import score_status, summary_lines
from udpstream.core.pose.tally import Summary
from udpstream.scoring import NOBODY, TOO_FEW, Hint

HEADER_ONLY = "time_s,aspect,seen\n"


@pytest.fixture
def run(run: Commands) -> Commands:
    write_csv(reference_of(), run.folder / "dance.csv")
    return run


def content(path: Path) -> dict[str, Any]:
    loaded = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def frames_in(path: Path) -> list[int]:
    with path.open(encoding="utf-8", newline="") as file:
        return [int(row["frame"]) for row in csv.DictReader(file)]


def ends_badly(run: Commands, *arguments: str) -> tuple[int, str]:
    """Run a command that fails; return its exit code and what it said, on one line."""
    command = run.start(*arguments)
    code = command.end()
    assert code != 0
    assert "Traceback" not in command.stderr
    return code, " ".join(command.stderr.split())


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("empty.csv", "", "is empty"),
        ("header.csv", HEADER_ONLY, "has no column"),
        ("wide.csv", "1,2,3\n4,5,6\n", "is no reference"),
        ("text.csv", "Dear Ada,\nhere is my dance.\n", "is no reference"),
        ("nobody.csv", (",".join("0" * 36) + "\n") * 9, "nobody was seen"),
        ("text.mp4", "here is my dance", "is not a video"),
    ],
)
@pytest.mark.parametrize("command", ["receive", "score"])
def test_a_reference_that_is_none(
    command: str, name: str, text: str, words: str, run: Commands
) -> None:
    if name.endswith(".mp4"):
        require_model()
    (run.folder / name).write_text(text)
    write_video(run.folder / "me.mkv", np.arange(9) / 10)
    arguments = {
        "receive": ("receive", run.address, "--score", name),
        "score": ("score", "me.mkv", "--reference", name),
    }
    code, said = ends_badly(run, *arguments[command])
    assert (code, words in said, name in said) == (1, True, True), said
    assert not list(run.folder.glob("me-scored"))


def test_a_reference_that_was_cut(run: Commands) -> None:
    whole = (run.folder / "dance.csv").read_text()
    (run.folder / "cut.csv").write_text(whole[: 2 * len(whole) // 3])
    code, said = ends_badly(run, "receive", run.address, "--score", "cut.csv")
    assert code == 1
    assert "the file was cut off or changed" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--overlay",), "give a reference with --score"),
        (("--sync", "none"), "give a reference with --score"),
        (("--score", "missing.csv"), "'missing.csv' does not exist"),
        (("--score", "dance.csv", "--countdown", "3"), "add --sync start"),
        (("--score", "dance.csv", "--window", "60"), "'--window'"),
        (("--score", "dance.csv", "--metric", "magic"), "'magic' is not one of"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], words: str, run: Commands) -> None:
    code, said = ends_badly(run, "receive", run.address, *arguments)
    assert (code, words in said) == (2, True), said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_without_a_model_the_stream_goes_on_without_scores(run: Commands) -> None:
    receiver = run.receive("--score", "dance.csv", "--model", "none.task", "--stats", "stats.json")
    assert run.send("--frames", "20").end() == 0
    run.wait_for_recording(size=5_000)
    assert receiver.end(signal.SIGTERM) == 0
    assert "Traceback" not in receiver.stderr
    assert receiver.stderr.count("no poses from here on: ") == 1
    assert "20 delivered" in receiver.stdout
    assert "score     none: " in receiver.stdout
    [stream] = content(run.folder / "stats.json")["streams"]
    assert stream["score"]["poses"]["skipped"] == 20
    assert stream["score"]["failure"]
    assert not list(run.recordings.glob("*/scores.csv"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_video_for_a_reference_and_no_model(run: Commands) -> None:
    write_video(run.folder / "dance.mkv", np.arange(30) / 10)
    receiver = run.receive("--score", "dance.mkv", "--model", "none.task", "--no-record")
    assert "no scores: " in receiver.stderr
    assert run.send("--frames", "5").end() == 0
    assert receiver.end(signal.SIGTERM) == 0
    assert "5 delivered" in receiver.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ctrl_c_ends_it_while_the_model_is_loaded(run: Commands, slow_mediapipe: Path) -> None:
    (run.folder / "any.task").touch()
    options = ("--score", "dance.csv", "--model", "any.task", "--display", "off")
    receiver = run.start("receive", run.address, *options)
    receiver.wait_for_line("loading the pose model")
    wait_until(slow_mediapipe.exists, "the loading")
    assert receiver.end(signal.SIGINT) == 0
    assert receiver.stderr == "loading the pose model\n"
    assert receiver.stdout == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(slow_mediapipe.read_text()), 0)


def test_a_frames_score_in_one_line() -> None:
    hint = Hint("left forearm", 38.0, "too low")
    result = result_of(1.0, 87.6, hint=hint, lag_s=0.32)
    assert score_status(scored_of(result=result)) == (
        "  score  87  CORRECT STEPS  left forearm: 40 degrees too low  great   0.3 s behind"
    )
    nobody = result_of(1.0, None, reason=NOBODY)
    assert score_status(scored_of(result=nobody)) == "  no score: nobody in view"


def test_a_summary_in_a_few_lines() -> None:
    summary = Summary(
        100, 80, 49.96, 0.4567, {NOBODY: 15, TOO_FEW: 5}, {"left shin": 31.6, "torso": 4.0}, (),
        -0.25, mirrored=True,
    )  # fmt: skip
    assert summary_lines(summary) == [
        "  score     49 of 100, off: NOT CORRECT STEPS; 45.7% of 80 frames correct",
        "            without a score: nobody in view 15, too few frames in the window 5",
        "  limbs     degrees off, on the mean: left shin 32, torso 4",
        "  lag       0.2 s ahead, mirrored",
    ]


def test_a_recording_cannot_be_scored_without_a_model(run: Commands) -> None:
    write_video(run.folder / "me.mkv", np.arange(9) / 10)
    code, said = ends_badly(
        run, "score", "me.mkv", "--reference", "dance.csv", "--model", "none.task"
    )
    assert code == 1
    assert "--model names none.task" in said
    assert not list(run.folder.glob("me-scored"))


def test_a_folder_without_a_recording(run: Commands) -> None:
    (run.folder / "photos").mkdir()
    code, said = ends_badly(run, "score", "photos", "--reference", "dance.csv")
    assert code == 1
    assert "photos is no recording: there is no output.avi in it" in said


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_dancer_is_scored_live_and_from_the_recording(run: Commands) -> None:
    require_model()
    receiver = run.receive("--score", "dance.csv", "--stats", "stats.json", "--overlay")
    sender = run.start("send", run.address, "--source", "dancer:3", "--fps", "10",
                       "--size", "320x240", "--seconds", "5")  # fmt: skip
    wait_until(lambda: bool(list(run.recordings.glob("*/scores.csv"))), "scores")
    assert sender.end() == 0
    assert receiver.end(signal.SIGTERM) == 0
    assert "Traceback" not in receiver.stderr
    [session] = run.sessions()
    result = content(session / "result.json")
    assert result["scored_frames"] > 0
    assert result["scoring"]["reference"] == "dance.csv"
    assert (session / "result.png").stat().st_size > 10_000
    frames = frames_in(session / "scores.csv")
    assert len(frames) == result["frames"]
    assert frames[0] == 0  # the model was loaded before there was anything to listen for
    assert (session / "annotated.avi").stat().st_size > 10_000
    noted = content(session / "session.json")["score"]
    assert noted["mean_score"] == result["mean_score"]
    assert noted["poses"]["found"] == result["frames"]
    [stream] = content(run.folder / "stats.json")["streams"]
    assert stream["score"]["mean_score"] == result["mean_score"]
    assert stream["score"]["poses"]["times_ms"]["result"]["p50"] > 0
    assert "of 100, " in receiver.stdout
    assert "result.png" in receiver.stdout

    again = run.start("score", str(session), "--reference", "dance.csv", "-o", "again")
    assert again.end() == 0, again.stderr
    assert again.stderr == ""
    recorded = content(run.folder / "again" / "result.json")
    assert recorded["frames"] >= result["frames"]
    assert recorded["mean_score"] == pytest.approx(result["mean_score"], abs=10)
    assert sorted(path.name for path in (run.folder / "again").iterdir()) == [
        "result.json", "result.png", "scores.csv",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("size", ["16x16", "160x120"])
def test_pictures_without_anybody_have_no_score(size: str, run: Commands) -> None:
    require_model()
    receiver = run.receive("--score", "dance.csv", "--no-record")
    sender = run.start("send", run.address, "--source", "noise", "--fps", "10", "--size", size,
                       "--seconds", "4")  # fmt: skip
    wait_until(lambda: bool(list(run.recordings.glob("*/scores.csv"))), "scores")
    assert sender.end() == 0
    assert receiver.end(signal.SIGTERM) == 0
    assert "Traceback" not in receiver.stderr
    assert "score     none in " in receiver.stdout
    assert "nobody in view" in receiver.stdout
    [result] = run.recordings.glob("*/result.json")
    assert content(result)["mean_score"] is None
    assert not list(run.recordings.glob("*/output.avi"))


def test_a_video_of_somebody_who_stands_still(run: Commands) -> None:
    require_model()
    picture = scene((320, 240), (220, 50, 10))
    write_video(run.folder / "me.mp4", np.arange(30) / 10, size_wh=(320, 240), image=picture)
    for folder in ("me-scored", "me-scored-2"):
        command = run.start("score", "me.mp4", "--reference", "dance.csv")
        assert command.end() == 0, command.stderr
        result = content(run.folder / folder / "result.json")
        assert result["frames"] == 30
        assert result["verdict"] == "NOT CORRECT STEPS"
        assert frames_in(run.folder / folder / "scores.csv") == list(range(30))
        assert f"{folder}/scores.csv" in command.stdout
