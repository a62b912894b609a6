"""``udpstream model`` and ``udpstream reference`` as their user meets them."""

from __future__ import annotations

import csv
import signal
import sys
import threading

import numpy as np
import pytest

from tests.cli_tools import Commands, pictures_in
from tests.pose_tools import require_model, scene, write_video
from udpstream.adapters.reference_video import read_csv
from udpstream.cli.posing import load_reference

KEYPOINTS = ",".join(str(value) for value in range(1, 37)) + "\n"


def ends_badly(run: Commands, *arguments: str) -> tuple[int, str]:
    """Run a command that fails; return its exit code and what it said, on one line."""
    command = run.start(*arguments)
    code = command.end()
    assert code != 0
    assert "Traceback" not in command.stderr
    assert command.stdout == ""
    return code, " ".join(command.stderr.split())


def test_the_model_is_shown_and_tried_out(run: Commands) -> None:
    path = require_model()
    command = run.start("model", "--model", str(path))
    assert command.end() == 0
    assert command.stdout == f"{path}\n"
    assert "it works: " in command.stderr


def test_a_file_that_is_no_model(run: Commands) -> None:
    require_model()
    (run.folder / "other.task").write_bytes(b"not a model")
    code, said = ends_badly(run, "model", "--model", "other.task")
    assert (code, "other.task cannot be used as a pose model" in said) == (1, True)


def test_a_video_becomes_a_reference_and_a_preview(run: Commands) -> None:
    model = str(require_model())
    picture = scene((320, 240), (220, 50, 10))
    write_video(run.folder / "dance.mp4", np.arange(63) / 30, size_wh=(320, 240), image=picture)
    command = run.start(
        "reference", "dance.mp4", "-o", "dance.csv", "--preview", "seen.avi", "--model", model
    )
    assert command.end() == 0, command.stderr
    assert command.stderr == ""
    assert "dance.csv  21 samples, 10 a second, 2.1 s" in command.stdout
    reference = read_csv(run.folder / "dance.csv")
    assert len(reference) == 21
    assert reference.seen.all()
    assert reference.aspect == pytest.approx(4 / 3, abs=1e-6)
    assert pictures_in(run.folder / "seen.avi") == 21


def test_a_video_without_anybody(run: Commands) -> None:
    model = str(require_model())
    write_video(run.folder / "empty.mkv", np.arange(30) / 10)
    code, said = ends_badly(run, "reference", "empty.mkv", "-o", "empty.csv", "--model", model)
    assert code == 1
    assert "nobody was seen in any of the 30 samples of empty.mkv" in said
    assert not (run.folder / "empty.csv").exists()


def test_a_csv_file_holds_the_very_reference_of_its_video(run: Commands) -> None:
    model = require_model()
    path = run.folder / "dance.mkv"
    picture = scene((320, 240), (220, 50, 10))
    write_video(path, np.cumsum(np.full(40, 1 / 23.976)), size_wh=(320, 240), image=picture)
    assert run.start("reference", str(path), "-o", "dance.csv", "--model", str(model)).end() == 0
    direct = load_reference(path, threading.Event(), model=model)
    written = load_reference(run.folder / "dance.csv", threading.Event())
    assert np.array_equal(direct.times_s, written.times_s)
    assert np.array_equal(direct.landmarks, written.landmarks)
    assert direct.aspect == written.aspect


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_an_interrupted_reference_leaves_nothing(run: Commands) -> None:
    model = str(require_model())
    picture = scene((320, 240), (220, 50, 10))
    write_video(run.folder / "long.mkv", np.arange(3000) / 30, size_wh=(320, 240), image=picture)
    command = run.start("reference", "long.mkv", "-o", "x.csv", "--fps", "30", "--preview",
                        "x.avi", "--model", model)  # fmt: skip
    while not list(run.folder.glob("x.avi.*.part")):
        assert command.popen.poll() is None, command.stderr
    assert command.end(signal.SIGINT) == 1
    assert "reading long.mkv was stopped" in command.stderr
    assert not list(run.folder.glob("x.*"))


def test_keypoints_of_another_program_become_a_reference(run: Commands) -> None:
    (run.folder / "old.csv").write_text(KEYPOINTS * 20)
    command = run.start("reference", "old.csv", "-o", "new.csv", "--fps", "20")
    assert command.end() == 0, command.stderr
    assert "new.csv  20 samples, 20 a second, 1.0 s" in command.stdout
    with (run.folder / "new.csv").open(newline="") as file:
        times_s = [row["time_s"] for row in csv.DictReader(file)]
    assert times_s[:3] == ["0.0", "0.05", "0.1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.mp4", "-o", "x.csv"), "'missing.mp4' does not exist"),
        (("old.csv", "-o", "x.txt"), "give it a name that ends in .csv"),
        (("old.csv", "-o", "old.csv"), "is the input itself"),
        (("old.csv", "-o", "none/x.csv"), "cannot be written"),
        (("film.mkv", "-o", "x.csv", "--preview", "x.mp4"), "give it a name that ends in .avi"),
        (("old.csv", "-o", "x.csv", "--preview", "x.avi"), "leave out --preview"),
        (("old.csv", "-o", "x.csv", "--fps", "0"), "--fps"),
        (("old.csv",), "--output"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_done(
    arguments: tuple[str, ...], words: str, run: Commands
) -> None:
    (run.folder / "old.csv").write_text(KEYPOINTS * 20)
    (run.folder / "film.mkv").touch()
    code, said = ends_badly(run, "reference", *arguments)
    assert code == 2
    assert words in said
    assert [path.name for path in run.folder.glob("x.*")] == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.csv", KEYPOINTS * 3 + KEYPOINTS[:50], "line 4: "),
        ("empty.csv", "", "is empty"),
        ("wide.csv", "1,2,3\n4,5,6\n", "is no reference"),
        ("text.csv", "Dear Ada,\nhere is my dance.\n", "is no reference"),
        ("nobody.csv", ",".join("0" * 36) + "\n" + ",".join("0" * 36) + "\n", "nobody was seen"),
    ],
)
def test_a_csv_file_that_is_no_reference(
    name: str, content: str, words: str, run: Commands
) -> None:
    (run.folder / name).write_text(content)
    code, said = ends_badly(run, "reference", name, "-o", "x.csv")
    assert code == 1
    assert words in said
    assert name in said
