from __future__ import annotations

import cv2
import numpy as np
import pytest

from udpstream.adapters.testcard import Card, read_number

SIZES = [(640, 480), (1920, 1080), (160, 96), (163, 121), (641, 97), (720, 1280)]
TINY = [(1, 1), (2, 1), (16, 16), (33, 7), (97, 641), (159, 200)]


@pytest.mark.parametrize("size_wh", SIZES)
def test_the_number_survives_jpeg(size_wh: tuple[int, int]) -> None:
    card = Card(size_wh)
    for number in (0, 1, 29, 0x5555_5555, 2**32 - 1):
        picture = card.draw(number, 1.5)
        assert picture.shape == (size_wh[1], size_wh[0], 3)
        assert picture.dtype == np.uint8
        assert picture.flags.c_contiguous
        _, jpeg = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, 50))
        decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        assert read_number(np.asarray(decoded, np.uint8)) == number


@pytest.mark.parametrize("size_wh", TINY)
def test_small_cards_are_drawn_and_bear_no_number(size_wh: tuple[int, int]) -> None:
    picture = Card(size_wh).draw(12_345_678_901, 1e6)
    assert picture.shape == (size_wh[1], size_wh[0], 3)
    assert read_number(picture) is None


def test_a_4k_card() -> None:
    picture = Card((3840, 2160)).draw(7, 0.0)
    assert picture.shape == (2160, 3840, 3)
    assert read_number(picture) == 7


def test_the_number_survives_scaling() -> None:
    picture = Card((1280, 720)).draw(123_456, 0.0)
    for size_wh in ((640, 360), (1920, 1080), (333, 222)):
        scaled = cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA)
        assert read_number(np.asarray(scaled, np.uint8)) == 123_456


def test_the_number_is_cut_to_32_bits() -> None:
    assert read_number(Card((160, 120)).draw(2**32 + 5, 0.0)) == 5


def test_pictures_that_are_no_card_bear_no_number() -> None:
    rng = np.random.default_rng(1)
    for picture in (
        np.zeros((480, 640, 3), np.uint8),
        np.full((480, 640, 3), 255, np.uint8),
        rng.integers(0, 256, (480, 640, 3), dtype=np.uint8),
    ):
        assert read_number(picture) is None


@pytest.mark.parametrize("block", range(40))
def test_a_flipped_block_is_noticed(block: int) -> None:
    picture = Card((640, 480)).draw(1000, 0.0)
    strip = picture[460:, block * 16 : (block + 1) * 16]
    strip[:] = 255 - strip
    assert read_number(picture) is None


def test_the_blocks_are_as_documented() -> None:
    # 1 is 31 zeros and a one; the check of it is the inverted low byte of CRC-32 5643EF8A.
    row = Card((640, 480)).draw(1, 0.0)[470, 8::16, 0]
    assert (row > 127).tolist() == [bit == "1" for bit in f"{1:032b}{0x8A ^ 0xFF:08b}"]


def test_what_moves_moves_and_the_rest_rests() -> None:
    card = Card((640, 480))
    first, later = card.draw(1, 0.0), card.draw(1, 0.25)
    # The hand points up, then right; the rim is free of it where it was.
    up, right = (slice(15, 35), slice(312, 328)), (slice(222, 238), slice(505, 525))
    assert not np.array_equal(first[up], later[up])
    assert not np.array_equal(first[right], later[right])
    np.testing.assert_array_equal(first[:, :100], later[:, :100])
    # The same number and time give the same picture, in an array of its own.
    again = card.draw(1, 0.0)
    np.testing.assert_array_equal(first, again)
    assert not np.shares_memory(first, again)


def test_the_clock_and_the_number_are_shown() -> None:
    card = Card((640, 480))
    reference = card.draw(11, 5.0)
    number, clock = slice(190, 255), slice(258, 298)
    other_number, other_hour = card.draw(12, 5.0), card.draw(11, 3605.0)
    assert not np.array_equal(reference[number, 150:490], other_number[number, 150:490])
    np.testing.assert_array_equal(reference[clock, 150:490], other_number[clock, 150:490])
    assert not np.array_equal(reference[clock, 150:490], other_hour[clock, 150:490])
    np.testing.assert_array_equal(reference[number, 150:490], other_hour[number, 150:490])


def test_the_bars_have_their_colours() -> None:
    row = Card((640, 480)).draw(0, 0.5)[140, 179:470:47]
    grey, yellow, cyan, green, magenta, red, blue = row.tolist()
    assert grey == [191, 191, 191]
    assert (yellow, cyan) == ([0, 191, 191], [191, 191, 0])
    assert (green, magenta) == ([0, 191, 0], [191, 0, 191])
    assert (red, blue) == ([0, 0, 191], [191, 0, 0])
