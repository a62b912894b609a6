"""The dancer's body, dance, camera and faults: numbers only."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from udpstream.core.dancer.camera import Camera, frame_dancer
from udpstream.core.dancer.dance import PERIOD_S, pose_at
from udpstream.core.dancer.faults import LIMBS, Faults, parse_faults
from udpstream.core.dancer.performer import Dancer
from udpstream.core.landmarks import LANDMARK_NAMES, PLACE

Floats = NDArray[np.float64]

SIZE_WH = (640, 480)
TIMES_S = np.arange(0, PERIOD_S, 0.1)
ENDS = {"upper arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"),
        "thigh": ("hip", "knee"), "shin": ("knee", "ankle")}  # fmt: skip
OTHER_SIDE = [
    PLACE["_".join({"left": "right", "right": "left"}.get(w, w) for w in name.split("_"))]
    for name in LANDMARK_NAMES
]
MOVING = [
    PLACE[f"{side}_{joint}"]
    for side in ("left", "right")
    for joint in ("elbow", "wrist", "knee", "ankle")
]


def points(dancer: Dancer, times_s: Floats = TIMES_S) -> Floats:
    """`(times, 33, 3)` in metres."""
    return np.stack([dancer.skeleton(time_s, SIZE_WH).points_m for time_s in times_s.tolist()])


def from_the_hips(points_m: Floats) -> Floats:
    hips = [PLACE["left_hip"], PLACE["right_hip"]]
    return np.asarray(points_m - points_m[:, hips].mean(axis=1, keepdims=True))


def bone(points_m: Floats, limb: str) -> Floats:
    side, _, name = limb.partition(" ")
    begin, end = (PLACE[f"{side}_{joint}"] for joint in ENDS[name])
    return np.asarray(points_m[:, end] - points_m[:, begin])


# -- the dance ----------------------------------------------------------------


def test_the_dance_comes_round_and_no_sooner() -> None:
    for time_s in TIMES_S.tolist():
        assert pose_at(time_s + PERIOD_S).trunk == pytest.approx(pose_at(time_s).trunk, abs=1e-6)
    danced = from_the_hips(points(Dancer()))[:, MOVING, :2]
    for shift in range(6, len(TIMES_S) - 5):
        apart_m = np.linalg.norm(danced - np.roll(danced, shift, axis=0), axis=2).mean()
        assert apart_m > 0.15, f"the dance is like itself after {shift / 10} s"


def test_the_dance_is_not_its_own_mirror_at_any_lag() -> None:
    danced = from_the_hips(points(Dancer()))
    mirrored = (danced[:, OTHER_SIDE] * (-1, 1, 1))[:, MOVING, :2]
    for shift in range(len(TIMES_S)):
        apart_m = np.linalg.norm(mirrored - np.roll(danced, shift, axis=0)[:, MOVING, :2], axis=2)
        assert apart_m.mean() > 0.15


def test_arms_and_legs_move_and_nothing_jumps() -> None:
    fine_s = np.arange(0, PERIOD_S, 1 / 60)
    danced = points(Dancer(), fine_s)
    spread_m = np.ptp(danced, axis=0).max(axis=1)
    assert np.all(spread_m[MOVING] > 0.25)
    closed = np.concatenate([danced, danced[:1]])  # over the seam as well
    speed = np.linalg.norm(np.diff(closed, axis=0), axis=2) * 60
    assert speed.max() < 7.0
    # From one sixtieth to the next, a speed changes by what a body can do, no more.
    assert np.abs(np.diff(closed, 2, axis=0)).max() * 60 < 1.5


@pytest.mark.parametrize("seed", range(6))
def test_bones_keep_their_lengths_and_feet_stay_on_the_floor(seed: int) -> None:
    dancer = Dancer(seed)
    danced = points(dancer)
    body = dancer.body
    for limb in LIMBS:
        length_m = np.linalg.norm(bone(danced, limb), axis=1)
        expected_m = {"upper arm": body.upper_arm, "forearm": body.forearm,
                      "thigh": body.thigh, "shin": body.shin}[limb.partition(" ")[2]]  # fmt: skip
        assert length_m == pytest.approx(expected_m, abs=1e-6)
    soles_m = danced[:, [PLACE["left_foot_index"], PLACE["right_foot_index"]], 1]
    assert soles_m.min() > 0
    assert soles_m.min(axis=1).max() < 0.1  # no leaps: one foot or the other is down
    crown_m = danced[:, PLACE["nose"], 1]
    assert crown_m.max() < body.height


def test_a_body_a_look_and_a_camera_come_from_the_seed() -> None:
    one, again, other = Dancer(4), Dancer(4), Dancer(5)
    assert (one.body, one.look, one.camera(SIZE_WH)) == (
        again.body, again.look, again.camera(SIZE_WH))  # fmt: skip
    assert np.array_equal(points(one), points(again))
    assert one.body != other.body
    assert one.camera(SIZE_WH) != other.camera(SIZE_WH)
    assert len({repr(Dancer(seed).look) for seed in range(20)}) > 15
    moved = Dancer(4, camera_seed=5)
    assert moved.body == one.body
    assert moved.camera(SIZE_WH).view_deg == other.camera(SIZE_WH).view_deg


# -- the camera ---------------------------------------------------------------


def test_the_camera_sees_its_target_where_it_is_told_to() -> None:
    for offset in ((0.0, 0.0), (0.25, -0.1)):
        camera = frame_dancer(1.7, 4 / 3, yaw_deg=17, height_share=0.8, view_deg=40, fill=0.9,
                              offset=offset)  # fmt: skip
        seen = camera.project(np.array(camera.target_m), SIZE_WH)
        assert seen == pytest.approx((640 * (0.5 + offset[0]), 480 * (0.5 + offset[1])))
    # A person's left is on the right of a picture from the front; up is up.
    front = Camera((0.0, 1.0, 4.0), (0.0, 1.0, 0.0), 45.0)
    x, y = front.project(np.array([0.5, 1.5, 0.0]), SIZE_WH)
    assert x > 320
    assert y < 240
    # A metre at four metres: the picture is 2 * 4 m * tan(22.5 deg) tall.
    x2, _ = front.project(np.array([-0.5, 1.5, 0.0]), SIZE_WH)
    assert x - x2 == pytest.approx(480 / (2 * 4 * np.tan(np.radians(22.5))))


@pytest.mark.parametrize("size_wh", [(640, 480), (1280, 720), (480, 640), (300, 300)])
def test_the_whole_dance_is_in_the_picture(size_wh: tuple[int, int]) -> None:
    for seed in range(12):
        dancer = Dancer(seed)
        for time_s in TIMES_S[::3].tolist():
            landmarks = dancer.landmarks(time_s, size_wh)
            assert landmarks is not None
            assert landmarks[:, :2].min() > 0.01
            assert landmarks[:, :2].max() < 0.99
            assert np.all(landmarks[:, 3] == 1)


def test_landmarks_are_shares_of_the_picture_and_depth_behind_the_hips() -> None:
    dancer = Dancer(3)
    landmarks = dancer.landmarks(1.0, SIZE_WH)
    assert landmarks is not None
    assert landmarks.shape == (33, 4)
    assert landmarks.dtype == np.float32
    skeleton = dancer.skeleton(1.0, SIZE_WH)
    seen_px = dancer.camera(SIZE_WH).project(skeleton.points_m, SIZE_WH)
    assert landmarks[:, :2] * SIZE_WH == pytest.approx(seen_px, abs=1e-3)
    assert landmarks[PLACE["nose"], 2] < landmarks[PLACE["left_ear"], 2] < 0.2
    assert landmarks[[PLACE["left_hip"], PLACE["right_hip"]], 2].mean() == pytest.approx(
        0, abs=1e-6
    )


# -- faults -------------------------------------------------------------------


@pytest.mark.parametrize("limb", LIMBS)
@pytest.mark.parametrize("degrees", [30.0, -30.0, 12.5])
def test_a_limb_is_off_by_as_many_degrees_and_no_other_is(limb: str, degrees: float) -> None:
    right = points(Dancer(2))
    wrong = points(Dancer(2, Faults({limb: degrees})))
    for each in LIMBS:
        before, after = bone(right, each), bone(wrong, each)
        turn = np.degrees(
            np.arctan2(after[:, 1], after[:, 0]) - np.arctan2(before[:, 1], before[:, 0])
        )
        # Outwards and up is against the clock on the picture's right, where the left is.
        turn = (turn * (1 if each.startswith("left") else -1) + 180) % 360 - 180
        assert turn == pytest.approx(degrees if each == limb else 0.0, abs=1e-6)
        assert after[:, 2] == pytest.approx(before[:, 2])


def test_a_positive_fault_raises_an_arm_that_hangs() -> None:
    still, raised = (
        points(Dancer(0, Faults(faults, still=True)))
        for faults in ({}, {"left forearm": 40.0, "right forearm": 40.0})
    )
    for side, outwards in (("left", 1), ("right", -1)):
        gain_m = (raised - still)[:, PLACE[f"{side}_wrist"]]
        assert np.all(gain_m[:, 0] * outwards > 0.05)
        assert np.all(gain_m[:, 1] > 0.02)


def test_a_fault_is_seen_in_the_picture_as_large_as_it_is() -> None:
    limb = "left forearm"
    begin, end = PLACE["left_elbow"], PLACE["left_wrist"]
    turns: list[float] = []
    for time_s in TIMES_S.tolist():
        seen = []
        for faults in ({}, {limb: 30.0}):
            landmarks = Dancer(1, Faults(faults)).landmarks(time_s, SIZE_WH)
            assert landmarks is not None
            x, y = (landmarks[end] - landmarks[begin])[:2] * SIZE_WH
            seen.append(np.degrees(np.arctan2(-y, x)))
        turns.append((seen[1] - seen[0] + 180) % 360 - 180)
    assert np.median(turns) == pytest.approx(30, abs=3)


@pytest.mark.parametrize("lag_s", [0.2, 1.0, -0.4, PERIOD_S])
def test_a_lag_shows_what_was_to_be_seen_before(lag_s: float) -> None:
    late = points(Dancer(1, Faults(lag_s=lag_s)))
    assert late == pytest.approx(points(Dancer(1), TIMES_S - lag_s))


def test_a_mirrored_dancer_does_with_the_left_what_is_for_the_right() -> None:
    mirrored = points(Dancer(1, Faults(mirrored=True)))
    assert mirrored[:, OTHER_SIDE] * (-1, 1, 1) == pytest.approx(points(Dancer(1)))


def test_one_who_stands_still_breathes_and_no_more() -> None:
    spread_m = np.ptp(points(Dancer(1, Faults(still=True))), axis=0).max()
    assert 0.001 < spread_m < 0.03


@pytest.mark.parametrize("away_s", [(3.0, 5.0), (9.0, 9.6), (0.0, 1.5)])
def test_one_who_leaves_is_gone_for_so_long_and_returns(away_s: tuple[float, float]) -> None:
    dancer = Dancer(6, Faults(away_s=away_s))
    begin, end = away_s
    for time_s in np.linspace(begin, end, 9).tolist():
        assert dancer.landmarks(time_s, SIZE_WH) is None
        assert dancer.landmarks(time_s + PERIOD_S, SIZE_WH) is None
    for time_s in np.arange(end + 1.01, begin - 1.01 + PERIOD_S, 0.2).tolist():
        there = dancer.landmarks(time_s, SIZE_WH)
        assert there is not None
        assert there == pytest.approx(Dancer(6).landmarks(time_s, SIZE_WH))
    path = points(dancer, np.arange(0, 2 * PERIOD_S, 1 / 30))
    assert np.linalg.norm(np.diff(path, axis=0), axis=2).max() < 0.45  # walks, does not vanish


def test_half_a_dancer_is_out_of_view() -> None:
    for offset, gone in (((0.5, 0.0), "left_shoulder"), ((0.0, 0.6), "left_ankle")):
        landmarks = Dancer(0, Faults(still=True, offset=offset)).landmarks(1.0, SIZE_WH)
        assert landmarks is not None
        assert landmarks[PLACE[gone], 3] == 0
        inside = np.all((landmarks[:, :2] >= 0) & (landmarks[:, :2] < 1), axis=1)
        assert np.array_equal(landmarks[:, 3], inside)
        assert 8 < inside.sum() < 25


def test_faults_are_read_from_words() -> None:
    assert parse_faults([]) == Faults()
    words = ["mirror", "lag=0.4", "left-upper-arm=-30", "right-shin=15", "away=3:5.5"]
    assert parse_faults(words) == Faults(
        {"left upper arm": -30.0, "right shin": 15.0}, lag_s=0.4, mirrored=True, away_s=(3.0, 5.5)
    )
    assert parse_faults(["still", "offset=0.5:-0.25"]) == Faults(still=True, offset=(0.5, -0.25))


@pytest.mark.parametrize(
    ("word", "complaint"),
    [("tail=3", "no fault 'tail=3'"), ("lag", "lacks a number"), ("lag=", "lacks a number"),
     ("lag=nan", "not within"), ("left-shin=999", "not within"), ("away=5", "lacks a number"),
     ("away=5:3", "not within"), ("offset=0:9", "not within"), ("mirror=1", "no fault"),
     ("", "no fault")],
)  # fmt: skip
def test_words_that_are_no_faults_are_told(word: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_faults([word])


def test_a_limb_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="no limb 'tail'"):
        Faults({"tail": 3.0})
