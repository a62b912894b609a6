from __future__ import annotations

import json
from pathlib import Path

import pytest

from udpstream.cli.rescoring import find_recording
from udpstream.errors import SourceError


def session_of(folder: Path, *files: tuple[str, str], made: tuple[str, ...]) -> Path:
    listed = [{"name": name, "started_at": f"2026-11-21T{at}+00:00"} for name, at in files]
    (folder / "session.json").write_text(json.dumps({"files": listed}))
    for name in made:
        (folder / name).write_bytes(b"RIFF")
    return folder


def test_a_video_is_its_own_recording(tmp_path: Path) -> None:
    video = tmp_path / "me.mp4"
    video.write_bytes(b"")
    recording = find_recording(video)
    assert (recording.name, recording.videos) == ("me", ((video, 0.0),))


def test_the_files_of_a_session_begin_when_they_were_received(tmp_path: Path) -> None:
    folder = session_of(
        tmp_path, ("output.avi", "12:04:55.500"), ("output-2.avi", "12:05:01.750"),
        ("output-3.avi", "12:05:02.000"), made=("output.avi", "output-3.avi"),
    )  # fmt: skip
    recording = find_recording(folder)
    assert recording.name == tmp_path.name
    assert recording.videos == ((folder / "output.avi", 0.0), (folder / "output-3.avi", 6.5))


@pytest.mark.parametrize("text", ["", "{}", '{"files": [{"name": 3}]}', '{"files": 1}', "[]"])
def test_a_session_json_that_is_broken(text: str, tmp_path: Path) -> None:
    session_of(tmp_path, made=("output.avi",))
    (tmp_path / "session.json").write_text(text)
    assert find_recording(tmp_path).videos == ((tmp_path / "output.avi", 0.0),)


def test_a_session_json_names_no_files_elsewhere(tmp_path: Path) -> None:
    inside = tmp_path / "session"
    inside.mkdir()
    (tmp_path / "secret.avi").write_bytes(b"")
    session_of(inside, ("../secret.avi", "12:04:55.500"), made=())
    with pytest.raises(SourceError, match=r"no output\.avi in it"):
        find_recording(inside)
