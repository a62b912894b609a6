"""Drawing on pictures: legible, in place, at every size."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from udpstream.adapters.overlay import FIELD_GAP, canvas, dim, draw_line

LINE = FIELD_GAP.join(
    ("192.0.2.7", "640x480 jpeg", "30.0 fps", "loss 0.00 %", "latency 1.4 ms"),
)


def plain(width: int, height: int, level: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), level, np.uint8)


def changed_rows(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.flatnonzero((before != after).any(axis=(1, 2)))


def ink_right_px(picture_bgr: NDArray[np.uint8]) -> int:
    """Where the text ends: the last column with light ink, 0 where there is none."""
    columns = np.flatnonzero((picture_bgr > 200).any(axis=(0, 2)))
    return int(columns[-1]) if columns.size else 0


def test_a_canvas_is_a_writable_copy_of_a_read_only_picture() -> None:
    image = plain(64, 48, 100)
    image.flags.writeable = False
    copy = canvas(image, (1280, 720))
    copy[:] = 0
    assert copy.shape == (48, 64, 3)
    assert (image == 100).all()


@pytest.mark.parametrize(
    ("size_wh", "fit_wh", "expected_wh"),
    [
        ((1920, 1080), (1280, 720), (1280, 720)),
        ((1080, 1920), (1280, 720), (405, 720)),
        ((640, 480), (1280, 720), (640, 480)),  # not enlarged
        ((640, 480), (640, 480), (640, 480)),
        ((65535, 1), (100, 100), (100, 1)),  # no side falls to nothing
    ],
)
def test_a_canvas_is_shrunk_to_the_room_and_keeps_its_proportions(
    size_wh: tuple[int, int], fit_wh: tuple[int, int], expected_wh: tuple[int, int]
) -> None:
    drawn = canvas(plain(*size_wh, 80), fit_wh)
    assert (drawn.shape[1], drawn.shape[0]) == expected_wh
    assert drawn.flags.writeable
    assert (drawn == 80).all()


@pytest.mark.parametrize("size_wh", [(320, 240), (640, 480), (1280, 720), (1920, 1080), (480, 640)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_the_line_is_light_on_a_dark_bar_at_the_lower_edge(
    size_wh: tuple[int, int], level: int
) -> None:
    before = plain(*size_wh, level)
    after = before.copy()
    draw_line(after, LINE)
    bar = after[changed_rows(before, after)[0] :]
    assert bar.shape[0] <= size_wh[1] // 8
    assert (after[: -bar.shape[0]] == level).all()
    assert bar.max() > 200  # ink
    assert np.median(bar) <= 0.4 * level  # ground, translucent
    assert np.median(bar) >= 0.3 * level


def test_the_bar_takes_the_same_share_of_large_pictures() -> None:
    shares = []
    for width, height in ((640, 480), (1280, 960), (2560, 1920)):
        before = plain(width, height, 255)
        after = before.copy()
        draw_line(after, LINE)
        shares.append(len(changed_rows(before, after)) / height)
    assert max(shares) - min(shares) < 0.005


def test_a_narrow_picture_keeps_the_last_fields() -> None:
    whole, last = plain(160, 120, 0), plain(160, 120, 0)
    draw_line(whole, FIELD_GAP.join(("x" * 40, "y" * 40, "latency 1 ms")))
    draw_line(last, "latency 1 ms")
    assert ink_right_px(last) > 0
    assert (whole == last).all()


@pytest.mark.parametrize("size_wh", [(1, 1), (16, 16), (16, 480), (640, 8), (40, 30)])
def test_a_picture_too_small_for_a_line_is_left_alone(size_wh: tuple[int, int]) -> None:
    picture = plain(*size_wh, 90)
    draw_line(picture, LINE)
    assert (picture == 90).all()


def test_two_lines_in_turn_do_not_mix() -> None:
    first, second, again = (plain(640, 480, 50) for _ in range(3))
    draw_line(first, "30.0 fps")
    draw_line(second, "12.5 fps")
    draw_line(again, "30.0 fps")
    assert (first == again).all()
    assert (first != second).any()


def test_a_dimmed_picture_is_darker_all_over() -> None:
    picture = plain(8, 6, 200)
    dim(picture)
    assert (picture == 80).all()
