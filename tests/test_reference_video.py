from __future__ import annotations

import threading
from pathlib import Path

import av
import numpy as np
import pytest

from tests.pose_tools import GreyTracker, Image, require_model, scene, write_video
from udpstream.adapters.reference_video import is_csv, read_csv, sample_video, write_csv
from udpstream.core.landmarks import PLACE
from udpstream.core.reference import Reference
from udpstream.errors import BadReferenceError, PoseError, RecordingError, SourceError
from udpstream.pose import Landmarks, PoseTracker

NOBODY = 0


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """2.1 s at 30 fps that get brighter; nobody in the third half second."""
    path = tmp_path / "dance.mkv"
    greys = [NOBODY if 30 <= number < 45 else 60 + 3 * number for number in range(63)]
    write_video(path, np.arange(63) / 30, greys=greys)
    return path


def test_samples_hold_the_pose_of_their_time(video: Path) -> None:
    reference = sample_video(video, GreyTracker(), fps=10)
    assert len(reference) == 21
    assert reference.times_s == pytest.approx(np.arange(21) / 10, abs=1e-3)
    assert np.flatnonzero(~reference.seen).tolist() == [10, 11, 12, 13, 14]
    expected = (60 + 9 * np.arange(21)) / 256
    x = reference.landmarks[:, 0, 0]
    assert x[reference.seen] == pytest.approx(expected[reference.seen], abs=4.4 / 256)
    assert reference.aspect == pytest.approx(64 / 48)


def test_without_a_rate_each_picture_is_a_sample(video: Path) -> None:
    tracker = GreyTracker()
    assert len(sample_video(video, tracker)) == 63
    assert tracker.calls == 63


def test_a_picture_that_stays_on_show_is_looked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "slow.mkv"
    write_video(path, [0, 1, 2])
    tracker = GreyTracker()
    reference = sample_video(path, tracker, fps=10)
    assert len(reference) > 20
    assert tracker.calls == 3


def test_progress_is_told_in_seconds_of_the_video(video: Path) -> None:
    told: list[tuple[float, float | None]] = []
    sample_video(video, GreyTracker(), fps=10, progress=lambda *done: told.append(done))
    assert [round(done, 1) for done, _ in told] == [number / 10 for number in range(21)]
    assert [total for _, total in told] == pytest.approx([2.1] * 21, abs=0.05)


def test_the_preview_has_each_sample_with_its_pose(video: Path, tmp_path: Path) -> None:
    preview = tmp_path / "preview.avi"
    reference = sample_video(video, GreyTracker(), fps=10, preview=preview)
    with av.open(str(preview)) as container:
        assert container.streams.video[0].average_rate == 10
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(frames) == len(reference)
    assert frames[0].shape == (48, 64, 3)
    assert not list(tmp_path.glob("*.part"))


class OnePose:
    """Finds the same pose in every picture."""

    def __init__(self) -> None:
        self.pose = np.zeros((33, 4), np.float32)
        for name, at in (("left_hip", (0.7, 0.2)), ("left_knee", (0.7, 0.7))):
            self.pose[PLACE[name]] = (*at, 0, 1)

    def find(self, image_bgr: Image) -> Landmarks | None:
        return self.pose


def test_the_preview_draws_bones_where_they_are(tmp_path: Path) -> None:
    path, preview = tmp_path / "grey.mkv", tmp_path / "preview.avi"
    write_video(path, np.arange(10) / 10, size_wh=(320, 240))
    sample_video(path, OnePose(), fps=10, preview=preview)
    with av.open(str(preview)) as container:
        image_bgr = next(container.decode(video=0)).to_ndarray(format="bgr24").astype(int)
    colourful = np.abs(image_bgr[..., 2] - image_bgr[..., 0]) > 60
    y, x = np.nonzero(colourful)
    assert x.mean() == pytest.approx(0.7 * 320, abs=3)
    assert y.min() == pytest.approx(0.2 * 240, abs=6)
    assert y.max() == pytest.approx(0.7 * 240, abs=6)


def test_nobody_in_the_video_leaves_a_preview_that_shows_it(tmp_path: Path) -> None:
    path, preview = tmp_path / "black.mkv", tmp_path / "preview.avi"
    write_video(path, np.arange(30) / 10, greys=[NOBODY] * 30)
    with pytest.raises(BadReferenceError, match="nobody was seen in any of the 30 samples"):
        sample_video(path, GreyTracker(), fps=10, preview=preview)
    assert preview.stat().st_size > 1000


def test_a_video_that_was_cut_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    noise = np.random.default_rng(1).integers(60, 255, (48, 64, 3), np.uint8)
    write_video(path, np.arange(150) / 30, image=noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said: list[str] = []
    reference = sample_video(path, GreyTracker(), fps=10, say=said.append)
    assert 5 < len(reference) < 45
    assert len(said) == 1
    assert "is damaged: only" in said[0]


def test_stopping_leaves_nothing_behind(video: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(PoseError, match="was stopped"):
        sample_video(video, GreyTracker(), preview=tmp_path / "preview.avi", stop=stop)
    assert list(tmp_path.iterdir()) == [video]


def test_a_preview_that_cannot_be_written(video: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"no-folder.preview\.avi"):
        sample_video(video, GreyTracker(), preview=tmp_path / "no-folder" / "preview.avi")


def test_a_video_that_cannot_be_read_is_no_matter_of_the_preview(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.mp4"):
        sample_video(tmp_path / "missing.mp4", GreyTracker(), preview=tmp_path / "preview.avi")


# CSV files


def reference_of(video: Path) -> Reference:
    return sample_video(video, GreyTracker(), fps=10)


def test_a_csv_file_gives_the_reference_back(video: Path, tmp_path: Path) -> None:
    reference = reference_of(video)
    write_csv(reference, tmp_path / "dance.csv")
    again = read_csv(tmp_path / "dance.csv")
    assert np.array_equal(again.landmarks, reference.landmarks)
    assert again.times_s == pytest.approx(reference.times_s, abs=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dance.csv", "dance.mkv"]


def test_a_csv_file_that_a_spreadsheet_has_saved(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "dance.csv"
    write_csv(reference_of(video), path)
    text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
    path.write_text(text, encoding="utf-8-sig", newline="")
    assert len(read_csv(path)) == 21


def test_csv_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "film.csv"
    binary.write_bytes(bytes(range(256)) * 40)
    for path in (binary, tmp_path / "missing.csv", tmp_path):
        with pytest.raises(BadReferenceError, match=path.name):
            read_csv(path)


def test_a_csv_file_that_cannot_be_written(video: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot write .*dance\.csv"):
        write_csv(reference_of(video), tmp_path / "no-folder" / "dance.csv")


def test_files_are_told_apart_by_their_names() -> None:
    assert is_csv(Path("dance.csv"))
    assert is_csv(Path("DANCE.CSV"))
    assert not is_csv(Path("dance.mp4"))


# With MediaPipe


def test_a_person_in_a_video_is_found_where_they_are(tmp_path: Path) -> None:
    picture = scene((400, 300), (280, 100, 10))
    path = tmp_path / "figure.mkv"
    write_video(path, np.arange(5) / 10, size_wh=(400, 300), image=picture)
    with PoseTracker(require_model()) as tracker:
        reference = sample_video(path, tracker, fps=10)
    assert reference.seen.all()
    nose = reference.landmarks[-1, PLACE["nose"], :2] * (400, 300)
    assert nose == pytest.approx([240, 10 + 280 * 47 / 256], abs=8)
