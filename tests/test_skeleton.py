from __future__ import annotations

import numpy as np
import pytest

from tests.pose_tools import Image, pose_at
from udpstream.adapters.skeleton import draw_skeleton
from udpstream.core.landmarks import BONES, PLACE, SKELETON
from udpstream.pose import Landmarks


def arms_out() -> Landmarks:
    """Both arms straight out, at a third of the height; all else is not visible."""
    pose = pose_at(0.5, visibility=0.0)
    for side, sign in (("left", 1), ("right", -1)):
        for joint, away in (("shoulder", 0.1), ("elbow", 0.25), ("wrist", 0.4)):
            pose[PLACE[f"{side}_{joint}"]] = (0.5 + sign * away, 1 / 3, 0, 1)
    return pose


def drawn(pose: Landmarks, size_wh: tuple[int, int] = (320, 240)) -> Image:
    image_bgr = np.full((size_wh[1], size_wh[0], 3), 128, np.uint8)
    draw_skeleton(image_bgr, pose)
    return image_bgr


def test_left_and_right_have_colours_of_their_own() -> None:
    row = drawn(arms_out())[80].astype(int)
    redness = row[:, 2] - row[:, 0]
    assert (redness[248:280] > 60).all()  # the person's left is at the picture's right
    assert (redness[40:72] < -60).all()
    assert (abs(redness[135:185]) < 20).all()  # between the shoulders


def test_only_what_is_visible_is_drawn() -> None:
    whole = drawn(arms_out())
    assert (whole[100:] == 128).all()
    hidden = arms_out()
    hidden[PLACE["left_wrist"], 3] = 0.4
    assert (drawn(hidden)[:, 250:] == 128).all()
    assert (drawn(pose_at(0.5, visibility=0.0)) == 128).all()


@pytest.mark.parametrize("size_wh", [(1, 1), (16, 16), (4000, 3)])
def test_any_picture_and_any_place(size_wh: tuple[int, int]) -> None:
    drawn(arms_out(), size_wh)
    for far in (-1000.0, 1000.0):
        pose = pose_at(far)
        pose[:16, 0] = 0.5
        drawn(pose, size_wh)


def test_the_skeleton_joins_what_belongs_together() -> None:
    assert set(BONES) < set(SKELETON)
    assert len(BONES) == 12
    for start, end in SKELETON:
        assert start != end
        assert 0 <= min(start, end) <= max(start, end) < 33
