"""Poses and scores on pictures: the right colours, in the right places, at every size."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.score_tools import Landmarks, body, result_of, scored_of
from udpstream.adapters import overlay
from udpstream.adapters.pose_overlay import PoseOverlay, draw_limbs, draw_reference, limb_stroke
from udpstream.adapters.score_words import Words, draw_words, words_of, words_of_scored
from udpstream.core.landmarks import PLACE
from udpstream.core.pose.tally import Summary
from udpstream.scoring import ENDED, LIMBS, NOBODY, Hint

Image = NDArray[np.uint8]
GREY = 90
SQUARE = (400, 400)
SIZES_WH = [
    (16, 16), (17, 300), (300, 17), (64, 48), (120, 160), (160, 120), (240, 160), (260, 150),
    (300, 90), (300, 100), (320, 240), (333, 111), (480, 640), (640, 480), (1000, 80), (1280, 720),
]  # fmt: skip
ENDS = {"upper arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"),
        "thigh": ("hip", "knee"), "shin": ("knee", "ankle")}  # fmt: skip
ALL_WORDS = [
    Words("100", "NOT CORRECT STEPS", "perfect   1.2 s behind",
          "right upper arm: 165 degrees too far forward"),
    Words("7", "CORRECT STEPS"),
    Words(reason="no score: too few frames in the window"),
]  # fmt: skip


def plain(size_wh: tuple[int, int] = SQUARE, level: int = GREY) -> Image:
    return np.full((size_wh[1], size_wh[0], 3), level, np.uint8)


def drawn(landmarks: Landmarks, **limbs_deg: float | None) -> Image:
    """A square picture of a pose; limbs that are not given are in order."""
    canvas = plain()
    known: dict[str, float | None] = dict.fromkeys(LIMBS, 0.0)
    given = {limb.replace("_", " "): degrees for limb, degrees in limbs_deg.items()}
    draw_limbs(canvas, landmarks, known | given)
    return canvas


def ends_of(limb: str) -> tuple[int, int]:
    side, _, part = limb.partition(" ")
    start, end = ENDS[part]
    return PLACE[f"{side}_{start}"], PLACE[f"{side}_{end}"]


def along(canvas: Image, landmarks: Landmarks, limb: str) -> Image:
    """The pixels on the middle half of a limb."""
    start, end = landmarks[list(ends_of(limb)), :2] * (canvas.shape[1], canvas.shape[0])
    xy = start + np.linspace(0.25, 0.75, 40)[:, None] * (end - start)
    x, y = np.rint(xy).astype(int).T
    return np.asarray(canvas[y, x])


def changed(before: Image, after: Image) -> NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=2))


def centre_x(mask: NDArray[np.bool_]) -> float:
    return float(np.flatnonzero(mask.any(axis=0)).mean())


@pytest.mark.parametrize("limb", LIMBS[1:])
def test_a_limb_has_the_colour_of_its_own_error(limb: str) -> None:
    pose = body()
    image = drawn(pose, **{limb: 20.0})
    for each in LIMBS[1:]:
        expected = limb_stroke(20.0 if each == limb else 0.0)
        assert (along(image, pose, each) == expected.colour).all(axis=1).all(), each


def test_the_trunk_has_the_colour_of_the_torso() -> None:
    pose = body()
    image = drawn(pose, torso=25.0)
    middle = pose[[PLACE["left_shoulder"], PLACE["right_shoulder"]], :2].mean(axis=0) * SQUARE
    x, y = np.rint(middle).astype(int)
    assert tuple(image[y, x]) == limb_stroke(25.0).colour


def test_the_further_off_the_redder_and_the_wider() -> None:
    strokes = [limb_stroke(degrees) for degrees in (0, 10, 15, 20, 25, 30, 35, 40, 90)]
    redness = [int(stroke.colour[2]) - int(stroke.colour[1]) for stroke in strokes]
    assert redness == sorted(redness)
    assert redness[0] < -150
    assert redness[-1] > 150
    widths = [stroke.width for stroke in strokes]
    assert widths == sorted(widths)
    assert widths[-1] > 1.5 * widths[0]


def test_green_and_red_differ_for_those_who_see_neither() -> None:
    # Without red and green there is blue, and there are light, width and dashes.
    good, bad = limb_stroke(0.0), limb_stroke(60.0)
    assert good.colour[0] - bad.colour[0] > 80
    assert bad.dashed
    assert not good.dashed


def test_a_limb_that_is_far_off_is_dashed() -> None:
    pose = body()
    line = along(drawn(pose, left_thigh=50.0), pose, "left thigh")
    inked = (line == limb_stroke(50.0).colour).all(axis=1)
    assert 0.2 < inked.mean() < 0.9
    assert np.count_nonzero(np.diff(inked.astype(int))) >= 2


@pytest.mark.parametrize("degrees", [None, float("nan")])
def test_a_limb_of_unknown_error_is_neither_green_nor_red(degrees: float | None) -> None:
    blue, green, red = limb_stroke(degrees).colour
    assert blue == green == red


@pytest.mark.parametrize("joint", ["left_wrist", "right_knee"])
def test_what_hangs_on_a_hidden_joint_is_not_drawn(joint: str) -> None:
    pose = body()
    pose[PLACE[joint], 3] = 0.2
    image = drawn(pose)
    for limb in LIMBS[1:]:
        is_hidden = PLACE[joint] in ends_of(limb)
        untouched = bool((along(image, pose, limb) == GREY).all())
        assert untouched == is_hidden, limb
    assert (image[:30, :30] == GREY).all()  # nor is anything drawn to where there is no body


def test_a_hand_without_its_forearm_is_not_drawn() -> None:
    pose = body()
    pose[PLACE["left_elbow"], 3] = 0.0
    right_of_the_elbow = drawn(pose)[:, int(0.75 * SQUARE[0]) :]
    assert (right_of_the_elbow == GREY).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_lines_stand_out_from_any_ground(level: int) -> None:
    pose = body()
    canvas = plain(level=level)
    draw_limbs(canvas, pose, dict.fromkeys(LIMBS, 0.0))
    row = canvas[round(0.61 * SQUARE[1])].astype(int)  # through both thighs
    inked = row[(row != level).any(axis=1)]
    assert np.ptp(inked.sum(axis=1)) > 200  # light and dark are both in it


@pytest.mark.parametrize("size_wh", SIZES_WH)
@pytest.mark.parametrize("words", ALL_WORDS)
def test_words_and_reference_keep_clear_of_each_other_and_of_the_line(
    size_wh: tuple[int, int], words: Words
) -> None:
    ground = plain(size_wh)
    said, inset = ground.copy(), ground.copy()
    reach_xy = draw_words(said, words)
    for at_left in (False, True):
        draw_reference(inset, body(), 1.0, mirrored=False, at_left=at_left, beside=reach_xy)
    assert not (changed(ground, said) & changed(ground, inset)).any()
    line_px = overlay.line_px(*size_wh)
    for each in (said, inset):
        assert not changed(ground, each)[size_wh[1] - line_px :].any()


@pytest.mark.parametrize("size_wh", [(320, 240), (640, 480), (480, 640), (1280, 720), (1920, 1080)])
def test_usual_pictures_have_room_for_everything(size_wh: tuple[int, int]) -> None:
    words = ALL_WORDS[0]
    canvases = [plain(size_wh) for _ in range(4)]
    reach_xy = draw_words(canvases[0], words)
    draw_words(canvases[1], words._replace(hint=""))
    draw_words(canvases[2], words._replace(hint="", detail=""))
    assert (canvases[0] != canvases[1]).any()
    assert (canvases[1] != canvases[2]).any()
    draw_reference(canvases[3], body(), 1.0, mirrored=False, beside=reach_xy)
    taken = changed(plain(size_wh), canvases[3]).mean()
    assert 0.02 < taken < 0.1


def strange_poses() -> list[Landmarks | None]:
    rng = np.random.default_rng(4)
    wild = rng.normal(0.5, 3.0, (33, 4)).astype(np.float32)
    wild[:, 3] = 1.0
    far, nothing, one, zeros = (body() for _ in range(4))
    far[::2, :2] *= 1e30
    nothing[:] = np.nan
    one[:, 3] = 0.0
    one[PLACE["left_hip"], 3] = 1.0
    zeros[:] = 0.0
    zeros[:, 3] = 1.0
    infinite = body()
    infinite[5:20, :2] = np.inf
    return [body(), wild, far, nothing, one, zeros, infinite, None]


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_nothing_raises(size_wh: tuple[int, int]) -> None:
    hint = Hint("left forearm", 40.0, "too low")
    results = [
        result_of(hint=hint, lag_s=0.3, mirrored=True, limbs_deg=dict.fromkeys(LIMBS, 50.0)),
        result_of(score=None, reason=NOBODY),
        result_of(limbs_deg=dict.fromkeys(LIMBS, float("nan"))),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pose in strange_poses():
            for result in results:
                canvas = plain(size_wh)
                scored = scored_of(
                    size_wh=size_wh, landmarks=pose, reference=pose, result=result
                )  # fmt: skip
                PoseOverlay().draw(canvas, scored)
                assert canvas.shape == (size_wh[1], size_wh[0], 3)


def test_the_reference_is_drawn_as_in_a_mirror() -> None:
    reference = body()
    reference[PLACE["left_wrist"], :2] = 0.6, 0.1  # one arm up
    flipped = reference.copy()
    flipped[:, 0] = 1 - flipped[:, 0]
    as_it_is, mirrored, already = (plain(SQUARE) for _ in range(3))
    draw_reference(as_it_is, reference, 1.0, mirrored=False)
    draw_reference(mirrored, reference, 1.0, mirrored=True)
    draw_reference(already, flipped, 1.0, mirrored=False)
    figure = slice(0, 340)  # above the label, which says it
    assert (as_it_is[figure] != mirrored[figure]).any()
    assert (mirrored[figure] == already[figure]).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_limb_of_the_hint_stands_out_on_the_performers_side(mirrored: bool) -> None:
    inset, marked = plain(), plain()
    draw_reference(inset, body(), 1.0, mirrored=mirrored)
    draw_reference(marked, body(), 1.0, mirrored=mirrored, marked="left forearm")
    middle = centre_x(changed(plain(), inset))
    # Who faces the camera has the left to the right in the picture, mirrored or not.
    assert centre_x(changed(inset, marked)) > middle + 5


def test_the_reference_has_its_true_aspect_and_always_the_same_size() -> None:
    square, wide, near = plain(), plain(), plain()
    draw_reference(square, body(), 1.0, mirrored=False)
    draw_reference(wide, body(aspect=16 / 9), 16 / 9, mirrored=False)
    small = body()
    small[:, :2] = 0.3 + 0.4 * small[:, :2]
    draw_reference(near, small, 1.0, mirrored=False)
    for other in (wide, near):
        assert np.abs(square.astype(int) - other).mean() < 0.5


def test_the_reference_is_where_the_performer_is_not() -> None:
    drawing = PoseOverlay()
    sides = []
    for x_shift in (0.0, 0.3, -0.05, -0.3, 0.05):
        canvas = plain((640, 480))
        scored = scored_of(size_wh=(640, 480), landmarks=body(x_shift), reference=body())
        drawing.draw(canvas, scored, pose=False)
        lower = changed(plain((640, 480)), canvas)[300:]
        sides.append("left" if centre_x(lower) < 320 else "right")
    assert sides == ["right", "left", "left", "right", "right"]


def test_words_say_it_all() -> None:
    hint = Hint("left forearm", 41.0, "too low")
    assert words_of(result_of(score=86.6, hint=hint, lag_s=0.31)) == Words(
        "86", "CORRECT STEPS", "great   0.3 s behind", "left forearm: 40 degrees too low"
    )


@pytest.mark.parametrize(
    ("lag_s", "said"),
    [(None, "great"), (0.0, "great   in time"), (-0.04, "great   in time"),
     (-0.2, "great   0.2 s ahead"), (1.0, "great   1.0 s behind")],
)  # fmt: skip
def test_the_lag_in_words(lag_s: float | None, said: str) -> None:
    assert words_of(result_of(lag_s=lag_s)).detail == said


def test_who_does_it_mirrored_is_told() -> None:
    assert words_of(result_of(lag_s=0.0, mirrored=True)).detail == "great   in time   mirrored"


def test_without_a_score_the_reason_is_said() -> None:
    assert words_of(result_of(score=None, reason=NOBODY)) == Words(
        reason="no score: nobody in view"
    )
    assert words_of(result_of(score=None, reason=ENDED)) == Words(reason="the reference has ended")


def test_words_stay_for_a_moment_and_colours_follow_each_frame() -> None:
    drawing = PoseOverlay()

    def draw(number: int, score: float | None, degrees: float) -> tuple[Image, Image]:
        """The corner with the words, and the rest of the picture."""
        reason = None if score is not None else NOBODY
        result = result_of(
            number / 30, score, reason=reason, limbs_deg=dict.fromkeys(LIMBS, degrees)
        )
        canvas = plain((640, 480))
        drawing.draw(canvas, scored_of(number, size_wh=(640, 480), landmarks=body(0.2),
                                       result=result))  # fmt: skip
        return canvas[:70, :230].copy(), canvas[70:, 230:].copy()

    words, pose = draw(0, 80.0, 5.0)
    later_words, later_pose = draw(3, 60.0, 35.0)
    assert (words == later_words).all()
    assert (pose != later_pose).any()
    assert (draw(30, 60.0, 35.0)[0] != words).any()
    assert (draw(31, None, 35.0)[0] != draw(30, 60.0, 35.0)[0]).any()  # at once


def test_what_it_all_came_to_is_said_at_once() -> None:
    drawing, fresh = PoseOverlay(), PoseOverlay()
    canvas, later, alone = (plain((640, 480)) for _ in range(3))
    drawing.draw(canvas, scored_of(0, size_wh=(640, 480), result=result_of(score=80.0)))
    summary = Summary(300, 280, 49.96, 0.4, {}, {}, (), None, mirrored=False)
    ended = result_of(score=None, reason=ENDED)
    last = scored_of(1, size_wh=(640, 480), result=ended, final=summary)
    assert words_of_scored(last) == Words("49", "NOT CORRECT STEPS", "ended   off")
    drawing.draw(later, last)
    fresh.draw(alone, last)
    assert (later == alone).all()
    assert (later != canvas).any()


def test_a_pose_that_is_too_old_is_left_out() -> None:
    with_pose, without, nobody = (plain((640, 480)) for _ in range(3))
    scored = scored_of(size_wh=(640, 480), landmarks=body())
    PoseOverlay().draw(with_pose, scored)
    PoseOverlay().draw(without, scored, pose=False)
    PoseOverlay().draw(nobody, scored_of(size_wh=(640, 480)))
    assert (with_pose != without).any()
    assert (without == nobody).all()
