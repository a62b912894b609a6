"""What is drawn of the dancer, and the source that gives it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from udpstream.adapters.dancer.picture import Painter
from udpstream.adapters.dancer.raster import draw_solids
from udpstream.adapters.dancer.solids import Floats, Solid, squash
from udpstream.adapters.sources import Source, open_source
from udpstream.adapters.sources.dancer import DancerSource, parse_dancer
from udpstream.core.dancer.camera import Camera
from udpstream.core.dancer.dance import PERIOD_S
from udpstream.core.dancer.faults import Faults
from udpstream.core.dancer.performer import Dancer
from udpstream.core.landmarks import PLACE
from udpstream.errors import SourceError

Picture = NDArray[np.uint8]

SMALL_WH = (160, 120)
FRONT = Camera((0.0, 0.0, 4.0), (0.0, 0.0, 0.0), 40.0)
PAINTS = np.array([(0.5, 0, 0), (0, 0.5, 0)], np.float32)
ORIGIN: Floats = np.zeros(3)


def ball(place: Floats, radius_m: float, paint: int = 0, bent: Floats | None = None) -> Solid:
    return Solid(place, place, radius_m, radius_m, paint, paint, squash=bent)


def drawn(*solids: Solid, fine: int = 2) -> Picture:
    """`(240, 320, 4)` BGRA, nothing where no solid is."""
    full = np.zeros((240, 320, 4), np.uint8)
    layer = draw_solids(list(solids), PAINTS, FRONT, (320, 240), fine)
    if layer is not None:
        height, width = layer.bgra.shape[:2]
        full[layer.top : layer.top + height, layer.left : layer.left + width] = layer.bgra
    return full


def extent_px(picture: Picture) -> tuple[float, float]:
    """Width and height of what is covered, parts of pixels counted."""
    cover = picture[..., 3] / 255
    return float(cover.sum(axis=1).max()), float(cover.sum(axis=0).max())


# -- solids -------------------------------------------------------------------


@pytest.mark.parametrize("fine", [1, 2])
def test_a_ball_is_as_large_as_a_pinhole_sees_it(fine: int) -> None:
    focal = FRONT.focal_px((320, 240))
    expected = 2 * focal * 0.5 / np.sqrt(4.0**2 - 0.5**2)
    assert extent_px(drawn(ball(ORIGIN, 0.5), fine=fine)) == pytest.approx(
        (expected, expected), abs=1.0
    )


def test_a_round_cone_ends_in_its_balls_whichever_way_it_points() -> None:
    a, b = np.array([-0.5, 0.3, 0.2]), np.array([0.4, -0.2, -0.3])
    cone = Solid(a, b, 0.2, 0.08, 0, 0)
    cover = drawn(cone)[..., 3] > 127
    swept = np.zeros_like(cover)
    for share in np.linspace(0, 1, 60):
        swept |= drawn(ball(a + share * (b - a), 0.2 - 0.12 * share))[..., 3] > 127
    assert np.count_nonzero(cover != swept) < 0.01 * np.count_nonzero(swept)
    # Straight at the camera, one ball hides the other.
    near = drawn(Solid(ORIGIN, np.array([0.0, 0.0, 0.05]), 0.3, 0.1, 0, 0))
    assert np.array_equal(near[..., 3], drawn(ball(ORIGIN, 0.3))[..., 3])


def test_a_squashed_ball_is_wider_one_way() -> None:
    width, height = extent_px(drawn(ball(ORIGIN, 0.3, bent=squash(np.eye(3), (1.5, 0.5, 1.0)))))
    plain, _ = extent_px(drawn(ball(ORIGIN, 0.3)))
    assert width == pytest.approx(1.5 * plain, rel=0.02)
    assert height == pytest.approx(0.5 * plain, rel=0.03)


def test_what_is_nearer_hides_what_is_behind_in_any_order() -> None:
    near = ball(np.array([0.1, 0.0, 0.5]), 0.2, 0)
    far = ball(np.array([0.0, 0.0, -0.5]), 0.4, 1)
    one, other = drawn(near, far), drawn(far, near)
    assert np.array_equal(one, other)
    blue, green, red, _ = one[120, 166].tolist()
    assert red > 2 * green
    blue, green, red, _ = one[120, 135].tolist()
    assert green > 2 * max(red, blue)


def test_a_solid_takes_its_other_colour_where_it_splits() -> None:
    cone = Solid(np.array([-0.6, 0.0, 0.0]), np.array([0.6, 0.0, 0.0]), 0.1, 0.1, 0, 1, 0.5)
    row = drawn(cone)[120]
    assert np.all(row[115:155, 2] > row[115:155, 1])
    assert np.all(row[165:205, 1] > row[165:205, 2])


def test_what_is_beside_the_picture_is_not_drawn() -> None:
    assert draw_solids([ball(np.array([9.0, 0, 0]), 0.2)], PAINTS, FRONT, (320, 240), 2) is None
    cut = drawn(ball(np.array([1.95, 0.0, 0.0]), 0.2))
    assert 0 < np.count_nonzero(cut[..., 3]) < np.count_nonzero(drawn(ball(ORIGIN, 0.2))[..., 3])


# -- the picture --------------------------------------------------------------


def paint_plainly(dancer: Dancer) -> Dancer:
    """Clothes in colours that nothing else in the picture has."""
    dancer.look = replace(
        dancer.look, skin=(30, 230, 30), shirt=(240, 20, 20), shirt_cut="long", stripe=None,
        trousers=(20, 20, 240), trousers_cut="long", wall=(128, 128, 128), floor=(128, 128, 128),
        accent=(128, 128, 128), room="panels",
    )  # fmt: skip
    return dancer


@pytest.mark.parametrize(
    "faults", [Faults(), Faults({"left forearm": 40.0}), Faults(mirrored=True, lag_s=0.3)]
)
def test_joints_are_where_their_limbs_are_drawn(faults: Faults) -> None:
    size_wh = (320, 240)
    for seed in (0, 1, 2):
        dancer = paint_plainly(Dancer(seed, faults))
        painter = Painter(dancer, size_wh)
        right: dict[str, list[bool]] = {}
        for time_s in np.arange(0, PERIOD_S, 0.8).tolist():
            picture = painter.draw(time_s).astype(int)
            landmarks = dancer.landmarks(time_s, size_wh)
            assert landmarks is not None
            for joint, channel in (("elbow", 2), ("shoulder", 2), ("knee", 0), ("index", 1)):
                for side in ("left", "right"):
                    x, y = landmarks[PLACE[f"{side}_{joint}"], :2] * size_wh
                    colour = picture[int(y), int(x)]
                    others = np.delete(colour, channel)
                    right.setdefault(joint, []).append(bool(colour[channel] > others.max() + 25))
        # A hand may be before an elbow now and then; fingers are as thin as a pixel or two.
        for joint, share in (("elbow", 0.9), ("shoulder", 0.85), ("knee", 0.95), ("index", 0.8)):
            assert np.mean(right[joint]) >= share, joint


def test_nothing_but_the_room_is_left_of_one_who_is_away() -> None:
    painter = Painter(Dancer(2, Faults(away_s=(3.0, 5.0))), SMALL_WH)
    empty = painter.draw(3.5)
    assert np.array_equal(empty, painter.draw(4.5))
    changed = np.any(painter.draw(0.0) != empty, axis=2).mean()
    assert 0.05 < changed < 0.5


@pytest.mark.parametrize("seed", range(8))
def test_every_seed_can_be_drawn_in_any_size(seed: int) -> None:
    for size_wh in ((1, 1), (16, 16), (33, 7), (7, 65), (64, 48)):
        width, height = size_wh
        picture = Painter(Dancer(seed), size_wh).draw(1.0)
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8


# -- the source ---------------------------------------------------------------


def opened(name: str, fps: float | None = 10.0) -> Source:
    return open_source(name, size_wh=SMALL_WH, fps=fps, loop=False, say=lambda _: None)


def read(source: Source) -> Picture:
    picture = source.read()
    assert picture is not None
    return picture


def test_the_same_seed_gives_the_same_pictures_and_another_others() -> None:
    one, again, other = (opened(name) for name in ("dancer:3", "dancer:3", "dancer:4"))
    for _ in range(3):
        picture = read(one)
        assert np.array_equal(picture, read(again))
        assert not np.array_equal(picture, read(other))
    assert np.array_equal(read(opened("dancer")), read(opened("dancer:0")))


def test_the_dance_is_drawn_once_and_comes_round_the_same() -> None:
    source = opened("dancer:1")
    assert isinstance(source, DancerSource)
    first = [read(source) for _ in range(96)]
    kept = source.kept_bytes
    assert 0 < kept < 96 * SMALL_WH[0] * SMALL_WH[1]  # a third of the bare pictures at most
    for number, picture in enumerate(first):
        again = read(source)
        assert np.array_equal(again, picture)
        again[:] = 0  # the source's own are not touched by what is done to a picture
        truth = source.landmarks(number)
        assert truth is not None
        assert truth == pytest.approx(source.landmarks(number + 96))
    assert source.kept_bytes == kept
    assert np.array_equal(read(source), first[0])
    assert any(not np.array_equal(a, b) for a, b in zip(first, first[48:], strict=False))


@pytest.mark.parametrize("fps", [2.0, 7.0, 60.0])
def test_a_dance_that_was_drawn_beforehand_is_the_same(fps: float) -> None:
    source, ahead = (DancerSource(Dancer(4), (32, 24), fps) for _ in range(2))
    for number in range(ahead.frames_a_round):
        ahead.draw(number)
    kept = ahead.kept_bytes
    for _ in range(ahead.frames_a_round + 3):
        assert np.array_equal(read(source), read(ahead))
    assert ahead.kept_bytes == kept == source.kept_bytes


def test_a_source_knows_the_truth_of_each_frame() -> None:
    for fps, number, time_s in ((10.0, 7, 0.7), (25.0, 250, 10.0), (60.0, 91, 1.5), (1.0, 3, 3.0)):
        source = DancerSource(Dancer(5), SMALL_WH, fps)
        truth, expected = source.landmarks(number), Dancer(5).landmarks(time_s, SMALL_WH)
        # A rate that does not divide the period is a thousandth or so off, not more.
        if fps != 1.0:
            assert truth == pytest.approx(expected, abs=1e-5), fps
    painter = Painter(Dancer(5), SMALL_WH)
    source = DancerSource(Dancer(5), SMALL_WH, 10.0)
    for number in range(3):
        apart = np.abs(read(source).astype(int) - painter.draw(number / 10).astype(int))
        assert apart.mean() < 2  # what JPEG does


def test_above_thirty_a_second_pictures_come_again() -> None:
    source = opened("dancer", fps=90.0)
    pictures = [read(source) for _ in range(6)]
    assert [np.array_equal(picture, pictures[0]) for picture in pictures] == [True] * 3 + [
        False
    ] * 3


def test_large_pictures_are_scaled_up_and_have_the_same_joints() -> None:
    source = DancerSource(Dancer(1), (1920, 1080), 1.0)
    assert read(source).shape == (1080, 1920, 3)
    truth, expected = source.landmarks(0), Dancer(1).landmarks(0.0, (1920, 1080))
    assert truth == pytest.approx(expected, abs=1e-3)


def test_a_closed_dancer_has_no_more_pictures() -> None:
    source = opened("dancer")
    assert not source.live
    assert source.fps == 10.0
    read(source)
    source.close()
    assert source.read() is None


def test_names_tell_seed_and_faults() -> None:
    dancer = parse_dancer("dancer:12,mirror,left-forearm=30")
    assert dancer is not None
    assert dancer.faults == Faults({"left forearm": 30.0}, mirrored=True)
    assert dancer.body == Dancer(12).body
    assert parse_dancer("dancer,still") is not None
    for name in ("dancers", "dancer:", "dancer:x", "./dancer", "dancer:1,", "dancer:1,,still"):
        assert parse_dancer(name) is None
        with pytest.raises(SourceError, match="'dancer'"):
            opened(name)
    with pytest.raises(SourceError, match="no fault 'tail=3'"):
        opened("dancer:1,tail=3")
