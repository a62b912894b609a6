from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.performance_tools import Scores, TrueTracker, joints, numbered_picture, reference_of
from tests.recording_tools import make_frame, make_report, make_stream
from tests.score_tools import scored_of
from udpstream.adapters.recorder import Recorder
from udpstream.adapters.reference_video import read_csv
from udpstream.adapters.score_files import HEADER, ScoreFiles, ScoreFolders
from udpstream.core.pose.tally import Summary
from udpstream.errors import RecordingError
from udpstream.performance import Performance, ScoringOptions, perform
from udpstream.scored import Scored
from udpstream.scoring import CORRECT, LIMBS, NOBODY

STREAM = make_stream()
RATE = 15.0


@pytest.fixture(scope="module")
def session() -> tuple[list[Scored], Summary]:
    """Three seconds of a dancer, whom nobody sees in the last half second."""
    truth = joints(3, "left-forearm=60")
    reference = reference_of()
    scores = Scores()
    performance = Performance(STREAM, reference, ScoringOptions().scorer(reference))
    tracker = TrueTracker(lambda time_s: truth(time_s) if time_s < 2.5 else None)
    pictures = ((number / RATE, numbered_picture(number)) for number in range(45))
    return scores.all, perform(performance, tracker, pictures, [scores])


@pytest.fixture
def said() -> list[str]:
    return []


def rows_in(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_frame(
    tmp_path: Path, session: tuple[list[Scored], Summary], said: list[str]
) -> None:
    scores, summary = session
    files = ScoreFiles(lambda _: tmp_path, {}, said.append)
    for each in scores:
        files.scored(each)
    files.ended(STREAM, summary)
    rows = rows_in(tmp_path)
    assert tuple(rows[0]) == HEADER
    assert [int(row["frame"]) for row in rows] == list(range(45))
    for row, each in zip(rows, scores, strict=True):
        result = each.result
        assert float(row["time_s"]) == each.time_s
        assert row["score"] == ("" if result.score is None else str(round(result.score, 2)))
        assert row["verdict"] == (result.verdict or "")
        assert row["reason"] == (result.reason or "")
        assert row["hint"] == ("" if result.hint is None else str(result.hint))
    row, each = rows[36], scores[36]
    assert row["verdict"] == CORRECT
    assert float(row["reference_s"]) == pytest.approx(36 / RATE, abs=0.3)
    assert float(row["lag_s"]) == pytest.approx(0.0, abs=0.1)
    for limb in LIMBS:
        degrees = each.result.limbs_deg[limb]
        assert degrees is not None
        assert float(row[f"{limb.replace(' ', '_')}_deg"]) == pytest.approx(degrees, abs=0.06)
    assert each.landmarks is not None
    assert np.float32(row["left_wrist_x"]) == each.landmarks[15, 0]
    assert rows[-1]["reason"] == NOBODY
    assert (rows[-1]["seen"], rows[-1]["nose_x"], rows[-1]["score"]) == ("0", "", "")


def test_rows_are_on_disk_before_the_end(
    tmp_path: Path, session: tuple[list[Scored], Summary], said: list[str]
) -> None:
    files = ScoreFiles(lambda _: tmp_path, {}, said.append)
    for count, each in enumerate(session[0], start=1):
        files.scored(each)
        assert len(rows_in(tmp_path)) == count
    files.ended(STREAM, session[1])


def test_a_performance_can_be_a_reference(
    tmp_path: Path, session: tuple[list[Scored], Summary], said: list[str]
) -> None:
    files = ScoreFiles(lambda _: tmp_path, {}, said.append)
    for each in session[0]:
        files.scored(each)
    files.ended(STREAM, session[1])
    reference = read_csv(tmp_path / "scores.csv")
    assert len(reference) == 45
    assert reference.seen.tolist() == [each.landmarks is not None for each in session[0]]
    np.testing.assert_array_equal(reference.landmarks[20], session[0][20].landmarks)


def test_the_result(tmp_path: Path, session: tuple[list[Scored], Summary], said: list[str]) -> None:
    pytest.importorskip("matplotlib")
    scores, summary = session
    files = ScoreFiles(
        lambda _: tmp_path, {"reference": "dance.csv", "metric": "motion"}, said.append,
        details=lambda stream: {"poses": {"found": stream.id}},
    )  # fmt: skip
    for each in scores:
        files.scored(each)
    assert files.written(STREAM) == []
    files.ended(STREAM, summary)
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    known = [each.result.score for each in scores if each.result.score is not None]
    assert (result["frames"], result["scored_frames"]) == (45, len(known))
    assert result["mean_score"] == pytest.approx(np.mean(known), abs=0.06)
    assert (result["verdict"], result["correct_share"]) == (CORRECT, 1.0)
    assert result["unscored"][NOBODY] == 7
    assert next(iter(result["limbs_deg"])) == "left forearm"
    assert {moment["score"] for moment in result["worst"]} == {round(min(known), 1)} | {
        moment["score"] for moment in result["worst"][1:]
    }
    assert result["scoring"] == {"reference": "dance.csv", "metric": "motion"}
    assert result["poses"] == {"found": 1}
    assert (result["camera"], result["mirrored"]) == (STREAM.camera, False)
    names = [path.name for path in files.written(STREAM)]
    assert names == ["scores.csv", "result.json", "result.png"]
    assert (tmp_path / "result.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert said == []


def test_two_cameras_have_files_of_their_own(tmp_path: Path, said: list[str]) -> None:
    streams = make_stream(1, "192.0.2.7"), make_stream(2, "192.0.2.8")
    files = ScoreFiles(ScoreFolders(tmp_path, None), {}, said.append)
    for number in range(6):
        files.scored(scored_of(number, stream=streams[number % 2]))
    for stream in streams:
        files.ended(stream, Summary(3, 3, 87.0, 1.0, {}, {}, (), None, mirrored=False))
    folders = sorted(tmp_path.iterdir())
    assert [folder.name.partition("-")[2] for folder in folders] == ["192.0.2.7", "192.0.2.8"]
    assert [[row["frame"] for row in rows_in(folder)] for folder in folders] == [
        ["0", "2", "4"], ["1", "3", "5"],
    ]  # fmt: skip


def test_the_folder_is_that_of_the_recording(tmp_path: Path, said: list[str]) -> None:
    recorder = Recorder(tmp_path, say=said.append)
    recorder.deliver(make_frame(STREAM, 0))
    again = make_stream(2)
    recorder.deliver(make_frame(again, 0))  # within the same second: its folder ends in -2
    folder_of = ScoreFolders(tmp_path / "other", recorder)
    folders = [folder_of(STREAM), folder_of(again)]
    recorder.ended(STREAM, make_report(STREAM, 1))
    recorder.close()
    assert folders == [each.path for each in recorder.recordings()]
    assert folders[0] != folders[1]
    with pytest.raises(RecordingError, match="no folder"):
        folder_of(make_stream(3))
    assert not (tmp_path / "other").exists()


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").write_text("")
    files = ScoreFiles(ScoreFolders(tmp_path / "file", None), {}, said.append)
    for number in range(3):
        files.scored(scored_of(number, stream=STREAM))
    files.ended(STREAM, Summary(3, 3, 87.0, 1.0, {}, {}, (), None, mirrored=False))
    assert len(said) == 1
    assert "cannot write the scores of 192.0.2.7: cannot create" in said[0]
    assert files.written(STREAM) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_disk_is_said_once_and_the_rest_is_tried(
    tmp_path: Path, session: tuple[list[Scored], Summary], said: list[str]
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "scores.csv").symlink_to("/dev/full")
    files = ScoreFiles(lambda _: tmp_path, {}, said.append)
    for each in session[0]:
        files.scored(each)
    files.ended(STREAM, session[1])
    assert said == [
        "cannot write the scores of 192.0.2.7: No space left on device; scoring goes on"
    ]
    assert (tmp_path / "result.json").exists()
    assert (tmp_path / "result.png").exists()
