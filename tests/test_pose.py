from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.pose_tools import WALL, Image, require_model, scene
from udpstream.adapters.figure import draw_figure
from udpstream.core.landmarks import PLACE
from udpstream.errors import FrameError, PoseError
from udpstream.pose import Landmarks, PoseTracker, _mediapipe_errors, _native_remarks_held_back

SIZE_WH = (640, 360)

# Where the figure's joints are, in shares of its side; left and right are its own.
JOINTS = {
    "nose": (128, 47),
    "left_shoulder": (152, 75), "right_shoulder": (104, 75),
    "left_elbow": (168, 108), "right_elbow": (88, 108),
    "left_wrist": (172, 138), "right_wrist": (84, 138),
    "left_hip": (140, 140), "right_hip": (116, 140),
    "left_knee": (143, 182), "right_knee": (113, 182),
    "left_ankle": (144, 222), "right_ankle": (112, 222),
}  # fmt: skip
TORSO = 65 / 256


@pytest.fixture
def tracker() -> Iterator[PoseTracker]:
    with PoseTracker(require_model()) as tracker:
        yield tracker


def error_torsos(pose: Landmarks, size_wh: tuple[int, int], person: tuple[int, int, int]) -> float:
    """How far the joints are from where they were drawn, on the whole, in torso lengths."""
    side, x, y = person
    apart = [
        np.hypot(
            *(pose[PLACE[name], :2] * size_wh - (x + side * to_x / 256, y + side * to_y / 256))
        )
        for name, (to_x, to_y) in JOINTS.items()
    ]
    return float(np.mean(apart)) / (TORSO * side)


def middle_x(pose: Landmarks | None) -> float:
    assert pose is not None
    return float(pose[[PLACE["left_hip"], PLACE["right_hip"]], 0].mean())


@pytest.mark.parametrize("person", [(300, 20, 40), (220, 400, 10), (160, 240, 190)])
def test_joints_are_found_where_they_were_drawn(
    tracker: PoseTracker, person: tuple[int, int, int]
) -> None:
    for _ in range(3):
        pose = tracker.find(scene(SIZE_WH, person))
        assert pose is not None
        assert pose.shape == (33, 4)
        assert pose.dtype == np.float32
        # Left and right change places at 0.2 and more.
        assert error_torsos(pose, SIZE_WH, person) < 0.12
        assert pose[[PLACE[name] for name in JOINTS], 3].min() > 0.5


def test_left_and_right_are_the_persons_own(tracker: PoseTracker) -> None:
    pose = tracker.find(draw_figure())
    assert pose is not None
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert pose[PLACE[f"left_{joint}"], 0] > pose[PLACE[f"right_{joint}"], 0]


def test_the_same_pictures_give_the_same_poses_whatever_came_before() -> None:
    model = require_model()
    pictures = [scene(SIZE_WH, (200 + number, 100 + 3 * number, 50)) for number in range(60)]
    runs = []
    for _ in range(2):
        with PoseTracker(model) as tracker:
            runs.append([tracker.find(picture) for picture in pictures])
    for one, other in zip(*runs, strict=True):
        assert one is not None
        assert other is not None
        assert np.array_equal(one, other)


def test_a_person_who_moves_is_not_found_behind_themselves(tracker: PoseTracker) -> None:
    """MediaPipe's smoothing would find them 0.9 pixels behind, and 0.2 is left without it."""
    places = range(20, 320, 6)
    found_px: list[dict[int, float]] = []
    for walk in (places, reversed(places)):
        tracker.find(scene(SIZE_WH))
        poses = {x: tracker.find(scene(SIZE_WH, (300, x, 40))) for x in walk}
        found_px.append({x: middle_x(pose) * SIZE_WH[0] for x, pose in poses.items()})
    to_the_right, to_the_left = found_px
    behind_px = [(to_the_left[x] - to_the_right[x]) / 2 for x in places[8:-8]]
    assert abs(float(np.mean(behind_px))) < 0.5


@pytest.mark.parametrize(
    "image_bgr",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.full((480, 640, 3), 255, np.uint8),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((3, 3000, 3), np.uint8),
        np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8),
    ],
    ids=["black", "white", "16x16", "1x1", "3000x3", "noise"],
)
def test_nobody_is_there(tracker: PoseTracker, image_bgr: Image) -> None:
    assert [tracker.find(image_bgr) for _ in range(3)] == [None] * 3


def test_a_person_who_leaves_and_returns(tracker: PoseTracker) -> None:
    here, there = (250, 40, 50), (250, 380, 60)
    seen = [
        tracker.find(scene(SIZE_WH, *people)) for people in [[here]] * 3 + [[]] * 4 + [[there]] * 3
    ]
    assert [pose is not None for pose in seen] == [True] * 3 + [False] * 4 + [True] * 3
    assert seen[-1] is not None
    assert error_torsos(seen[-1], SIZE_WH, there) < 0.12


def test_what_is_out_of_the_picture_is_not_visible(tracker: PoseTracker) -> None:
    upper_half = scene((512, 512), (512, 0, 0))[:250]
    pose = tracker.find(upper_half)
    assert pose is not None
    legs = [PLACE[f"{side}_{joint}"] for side in ("left", "right") for joint in ("knee", "ankle")]
    assert (pose[legs, 3] == 0).all()
    assert pose[PLACE["left_shoulder"], 3] > 0.5
    outside = ((pose[:, :2] < 0) | (pose[:, :2] > 1)).any(axis=1)
    assert (pose[outside, 3] == 0).all()


@pytest.mark.parametrize("places", [(30, 420), (420, 30)], ids=["left", "right"])
def test_of_two_people_the_larger_is_found_and_followed(
    tracker: PoseTracker, places: tuple[int, int]
) -> None:
    for number in range(6):
        large, small = (300, places[0] // 2 + number, 40), (180, places[1] + 5, 100)
        pose = tracker.find(scene(SIZE_WH, large, small))
        assert pose is not None
        assert error_torsos(pose, SIZE_WH, large) < 0.12


def test_somebody_larger_who_comes_later_is_followed_soon(tracker: PoseTracker) -> None:
    small, large = (180, 20, 100), (320, 280, 20)
    for _ in range(5):
        assert middle_x(tracker.find(scene(SIZE_WH, small))) < 0.3
    xs = [middle_x(tracker.find(scene(SIZE_WH, small, large))) for _ in range(75)]
    assert xs[0] < 0.3
    assert all(x > 0.5 for x in xs[65:])


def test_somebody_as_large_who_comes_later_is_not(tracker: PoseTracker) -> None:
    first, other = (240, 20, 60), (250, 340, 60)
    for _ in range(3):
        tracker.find(scene(SIZE_WH, first))
    xs = [middle_x(tracker.find(scene(SIZE_WH, first, other))) for _ in range(75)]
    assert max(xs) < 0.4


def test_pictures_may_change_their_size_and_be_views(tracker: PoseTracker) -> None:
    picture = scene(SIZE_WH, (300, 100, 40))
    picture.setflags(write=False)
    for view in (picture, picture[:, 40:501], picture[::2, ::2], picture[:351, :639]):
        pose = tracker.find(view)
        assert pose is not None or tracker.find(view) is not None


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)],
)
def test_arrays_that_are_no_picture(tracker: PoseTracker, array: Image) -> None:
    with pytest.raises(FrameError):
        tracker.find(array)
    assert tracker.find(draw_figure()) is not None


def test_closing_again_does_no_harm() -> None:
    tracker = PoseTracker(require_model())
    tracker.close()
    tracker.close()


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_model(content: bytes, tmp_path: Path) -> None:
    require_model()
    path = tmp_path / "other.task"
    path.write_bytes(content)
    with pytest.raises(PoseError, match=r"other\.task cannot be used as a pose model: \w+"):
        PoseTracker(path)


def test_without_mediapipe_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(PoseError, match=r"pip install 'udpstream\[pose\]'"):
        PoseTracker(tmp_path / "pose.task")


def test_without_a_system_library_it_says_which_and_how_to_install_it() -> None:
    said = "libEGL.so.1: cannot open shared object file: No such file or directory"
    with (
        pytest.raises(PoseError, match=r"libEGL\.so\.1: .* sudo apt install libegl1 libgles2"),
        _mediapipe_errors("pose.task cannot be used"),
    ):
        raise OSError(said)


def test_importing_loads_no_mediapipe() -> None:
    script = "import sys, udpstream.pose; print('mediapipe' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


def test_mediapipes_remarks_stay_off_the_terminal() -> None:
    script = (
        "import sys; from pathlib import Path; from udpstream.pose import PoseTracker\n"
        "from udpstream.adapters.figure import draw_figure\n"
        "with PoseTracker(Path(sys.argv[1])) as tracker:\n"
        "    print([tracker.find(draw_figure()) is not None for _ in range(2)])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(require_model())],
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.strip() == "[True, True]"
    assert answer.stderr == ""


def test_what_others_write_meanwhile_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with _native_remarks_held_back():
        os.write(2, b"W0000 00:00:17.2 77 calculator.cc:81] Using\nsomebody's words\nINFO: it is\n")
        os.write(2, b"a status lineINFO: it is\n")
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "somebody's words\na status line"


def test_the_figure_stands_before_a_plain_wall() -> None:
    figure_bgr = draw_figure()
    assert (figure_bgr[0] == WALL).all()
    assert np.array_equal(figure_bgr, draw_figure())
