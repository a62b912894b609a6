"""The test card: a picture that shows at a glance what a link does to pictures.

The resting part is drawn once for a size: bars and a ramp for colour and grey steps,
gratings and stars for sharpness, a circle and a grid for shape. The moving part is drawn on a
copy: a hand that goes round once a second, the frame's number and a clock.

Along the lower edge the number is written once more for machines: 40 blocks of equal
width, white for 1, black for 0, most significant bit first. 32 bits are the number
modulo 2^32, 8 its check: the low byte of the CRC-32 of its four big-endian bytes,
inverted. Block i begins at i/40 of the width; the strip is 1/24 of the height. So it
survives JPEG, and scaling of the whole picture; `read_number` reads it back.
"""

from __future__ import annotations

import itertools
import math
import zlib
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Indices = NDArray[np.intp]

_NUMBER_BITS = 32
_BLOCKS = _NUMBER_BITS + 8
_STRIP_SHARE = 24  # of the height
_MIN_STRIP_WH = (160, 96)  # 4x4 pixels a block: below that JPEG blurs them
_DARK, _LIGHT = 96, 160  # a block between the two is not one: this is no test card

_BACKGROUND = (54, 46, 40)
_GRID = (92, 82, 74)
_INSIDE = (24, 20, 18)
_WHITE = (235, 235, 235)
_FAINT = (150, 142, 136)
_HAND = (40, 140, 255)  # orange, BGR like all of them
# Colour bars at 75 %, in the broadcast order of falling brightness.
_BARS = tuple(
    (191 * blue, 191 * green, 191 * red)
    for green in (1, 0) for red in (1, 0) for blue in (1, 0)
)[:-1]  # fmt: skip
_RAMP_STEPS = 11
_GRATING_PERIODS_PX = (16, 8, 6, 4, 2)

_STAR_SPOKES = 18
_BIG_DIGITS = 7  # more of them do not fit the circle: they are set smaller

_FONT = cv2.FONT_HERSHEY_DUPLEX
_DIGIT_ASPECT = 0.75  # width by height, the space between two included
_LINE = cv2.LINE_AA
_SUBPIXEL_BITS = 4


class Card:
    """Draws the test card in one size."""

    def __init__(self, size_wh: tuple[int, int]) -> None:
        """Draw the part that rests; `size_wh` is in pixels, from 1x1 up."""
        self._width, self._height = size_wh
        self._strip_height = _strip_height(size_wh)
        self._above = self._height - self._strip_height
        self._centre = (self._width / 2, self._above / 2)
        self._radius = 0.47 * min(self._width, self._above)
        self._line_px = max(1, round(self._radius / 110))
        self._resting = self._draw_resting()
        self._number_glyphs = _Glyphs(0.26 * self._radius)
        self._clock_glyphs = _Glyphs(0.15 * self._radius)

    def draw(self, number: int, elapsed_s: float) -> Picture:
        """Return the card, `(H, W, 3)` uint8 BGR: a fresh array.

        Args:
            number: of the frame, from 0; shown in full and, for machines, modulo 2^32.
            elapsed_s: what the clock shows, in seconds.
        """
        card = self._resting.copy()
        x, y = self._centre
        text = str(number)
        glyphs = self._number_glyphs if len(text) <= _BIG_DIGITS else self._clock_glyphs
        glyphs.write(card, text, (x, y - 0.06 * self._radius))
        self._clock_glyphs.write(card, _clock(elapsed_s), (x, y + 0.20 * self._radius))
        self._draw_hand(card, elapsed_s)
        if self._strip_height:
            card[self._above :] = _strip(number, self._width)[None, :, None]
        return card

    def _draw_hand(self, card: Picture, elapsed_s: float) -> None:
        self._draw_spoke(card, 2 * math.pi * (elapsed_s % 1.0), (0.86, 0.99), _HAND, 4)

    def _draw_spoke(
        self,
        card: Picture,
        turn: float,
        shares: tuple[float, float],
        colour: tuple[int, int, int],
        thick: int,
    ) -> None:
        """A line outwards, `turn` radians clockwise from the top, between two radii."""
        x, y = self._centre
        begin, end = (
            _fixed(
                x + share * self._radius * math.sin(turn),
                y - share * self._radius * math.cos(turn),
            )
            for share in shares
        )
        cv2.line(card, begin, end, colour, thick * self._line_px, _LINE, _SUBPIXEL_BITS)

    def _circle(self, share: float) -> NDArray[np.int32]:
        # cv2.circle draws a polygon of so few corners that they show.
        turns = np.linspace(0, 2 * math.pi, 360, endpoint=False)
        directions = np.stack([np.cos(turns), np.sin(turns)], axis=1)
        points = np.array(self._centre) + share * self._radius * directions
        return cast(NDArray[np.int32], np.rint(points * 2**_SUBPIXEL_BITS).astype(np.int32))

    # -- the resting part -----------------------------------------------------

    def _draw_resting(self) -> Picture:
        card = np.empty((self._height, self._width, 3), np.uint8)
        card[:] = _BACKGROUND
        self._draw_grid(card)
        inside = np.empty_like(card)
        self._draw_inside(inside)
        self._draw_discs(card, inside)
        self._draw_marks(card)
        self._draw_stars(card)
        self._draw_words(card)
        return card

    def _draw_grid(self, card: Picture) -> None:
        """Squares about the centre, and a border of blocks that shows a cropped edge."""
        pitch = max(4.0, self._above / 12)
        for along, middle in ((card.swapaxes(0, 1), self._centre[0]), (card, self._centre[1])):
            for at in np.arange(middle % pitch, len(along), pitch):
                along[round(at) : round(at) + self._line_px] = _GRID
        thick = max(1, round(pitch / 4))
        across, down = np.arange(self._width), np.arange(self._above)
        row = np.where((across - self._centre[0]) // pitch % 2, 16, 235)[:, None]
        column = np.where((down - self._centre[1]) // pitch % 2, 16, 235)[:, None, None]
        card[: self._above, :thick] = card[: self._above, -thick:] = column
        card[:thick] = card[max(0, self._above - thick) : self._above] = row

    def _draw_inside(self, picture: Picture) -> None:
        """The bands of the disc, somewhat too wide: the disc cuts their corners off."""
        picture[:] = _INSIDE

        rows, columns, across = self._band(-0.56, -0.27, 0.76)
        bars = np.array(_BARS, np.uint8)[_share_out(across, len(_BARS))]
        picture[rows, columns] = bars

        rows, columns, across = self._band(0.36, 0.52, 0.73)
        ramp = _share_out(across, _RAMP_STEPS) * (255 / (_RAMP_STEPS - 1))
        picture[rows, columns] = ramp.astype(np.uint8)[:, None]

        rows, columns, across = self._band(0.52, 0.66, 0.62)
        periods = np.array(_GRATING_PERIODS_PX)[_share_out(across, len(_GRATING_PERIODS_PX))]
        gratings = np.where(across % periods < periods // 2, 235, 16)
        picture[rows, columns] = gratings[:, None]

    def _band(self, top: float, bottom: float, side: float) -> tuple[slice, slice, Indices]:
        """Rows and columns of a band, its edges in radii from the centre; 0, 1, 2 ... across."""
        x, y = self._centre
        first, last, left, right = (
            max(0, round(at))
            for at in (
                y + top * self._radius,
                y + bottom * self._radius,
                x - side * self._radius,
                x + side * self._radius,
            )
        )
        return slice(first, last), slice(left, right), np.arange(right - left)

    def _draw_discs(self, card: Picture, inside: Picture) -> None:
        """The bands, cut round, within two white circles."""
        half = self._line_px / 2 / self._radius
        plain, white = (
            np.broadcast_to(np.array(colour, np.uint8), card.shape) for colour in (_INSIDE, _WHITE)
        )
        for share, source in (
            (1.0 + half, white),
            (1.0 - half, plain),
            (0.84 + half, white),
            (0.84 - half, inside),
        ):
            mask = np.zeros(card.shape[:2], np.uint8)
            cv2.fillPoly(mask, [self._circle(share)], 255, _LINE, _SUBPIXEL_BITS)
            # By rows, for a whole 4K picture in float would take 200 MB.
            for y in np.flatnonzero(mask.any(axis=1)):
                weight = mask[y, :, None] / 255
                card[y] = np.rint(card[y] * (1 - weight) + source[y] * weight)

    def _draw_marks(self, card: Picture) -> None:
        """Marks for the hand, a sixtieth of a second apart."""
        for mark in range(60):
            turn = 2 * math.pi * mark / 60
            begin, colour, thick = (0.925, _FAINT, 1) if mark % 5 else (0.875, _WHITE, 2)
            self._draw_spoke(card, turn, (begin, 0.965), colour, thick)

    def _draw_stars(self, card: Picture) -> None:
        """A star in each corner that has room: its spokes melt where sharpness ends."""
        radius = round(0.19 * self._radius)
        inset = 0.31 * self._radius
        dx, dy = (at - inset for at in self._centre)
        if radius < 8 or math.hypot(dx, dy) < 1.05 * self._radius + radius:
            return
        down, across = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        distance = np.hypot(across, down)
        spokes = np.sin(_STAR_SPOKES * np.arctan2(down, across))
        # Edges one pixel wide, whatever the distance from the middle.
        light = 0.5 + 0.5 * np.clip(spokes * 2 * distance / _STAR_SPOKES, -1, 1)
        star = np.array(_INSIDE) + light[:, :, None] * (np.array(_WHITE) - _INSIDE)
        share = np.clip(radius + 0.5 - distance, 0, 1)[:, :, None]
        for x, y in itertools.product(
            *((c - d, c + d) for c, d in zip(self._centre, (dx, dy), strict=True))
        ):
            left, top = round(x) - radius, round(y) - radius
            place = card[top : top + 2 * radius + 1, left : left + 2 * radius + 1]
            place[:] = np.rint(place * (1 - share) + star * share)

    def _draw_words(self, card: Picture) -> None:
        x, y = self._centre
        for text, down, tall in (
            ("udpstream", -0.655, 0.085),
            (f"{self._width} x {self._height}", 0.735, 0.075),
        ):
            _Glyphs(tall * self._radius, text).write(card, text, (x, y + down * self._radius))


class _Glyphs:
    """Characters drawn once, since drawing text takes longer than all the rest of a card."""

    def __init__(self, height_px: float, characters: str = "0123456789:.") -> None:
        self._glyphs: dict[str, Picture] = {}
        if height_px < 4:  # nobody could read it
            return
        # OpenCV 4 and 5 have different letters by this name; the wider are set smaller.
        (digit_width, digit_height), _ = cv2.getTextSize("0", _FONT, 10.0, 1)
        scale = 10 * height_px * min(1 / digit_height, _DIGIT_ASPECT / digit_width)
        thick = max(1, round(height_px / 9))
        margin = thick + 1
        rows = round(height_px * 1.4) + 2 * margin
        for character in set(characters):
            width = cv2.getTextSize(character, _FONT, scale, thick)[0][0] + 2
            glyph = np.empty((rows, width, 3), np.uint8)
            glyph[:] = _INSIDE
            baseline = (1, round(height_px) + margin)
            cv2.putText(glyph, character, baseline, _FONT, scale, _WHITE, thick, _LINE)
            self._glyphs[character] = glyph
        self._middle = margin + height_px / 2
        digits = [glyph.shape[1] for name, glyph in self._glyphs.items() if name.isdigit()]
        self._digit_width = max(digits, default=0)

    def write(self, card: Picture, text: str, centre: tuple[float, float]) -> None:
        """Write text about a point; what does not fit on the card is left out."""
        if not self._glyphs:
            return
        glyphs = [self._glyphs[character] for character in text]
        # Digits are set to one width, so that a running number does not tremble.
        cells = [
            self._digit_width if character.isdigit() else glyph.shape[1]
            for character, glyph in zip(text, glyphs, strict=True)
        ]
        x, top = round(centre[0] - sum(cells) / 2), round(centre[1] - self._middle)
        for glyph, cell in zip(glyphs, cells, strict=True):
            left = x + (cell - glyph.shape[1]) // 2
            if left >= 0 and top >= 0:
                place = card[top : top + glyph.shape[0], left : left + glyph.shape[1]]
                np.maximum(place, glyph[: place.shape[0], : place.shape[1]], out=place)
            x += cell


def read_number(frame_bgr: Picture) -> int | None:
    """Return the number that a test card bears, modulo 2^32.

    None if the picture, `(H, W, 3)` uint8 BGR, is no test card, is smaller than 160x96,
    or its number was damaged.
    """
    height, width = frame_bgr.shape[:2]
    strip_height = _strip_height((width, height))
    if not strip_height:
        return None
    # The middle half of each block, up and down as well as across: JPEG rings at edges.
    top = height - strip_height
    rows = frame_bgr[top + strip_height // 4 : height - strip_height // 4]
    columns = rows.mean(axis=(0, 2))
    edges = _edges(width)
    quarter = width // _BLOCKS // 4
    means = np.array(
        [
            columns[left + quarter : right - quarter].mean()
            for left, right in itertools.pairwise(edges)
        ]
    )
    if np.any((means > _DARK) & (means < _LIGHT)):
        return None
    word = int.from_bytes(np.packbits(means > _LIGHT).tobytes(), "big")
    number = word >> (_BLOCKS - _NUMBER_BITS)
    return number if word == _with_check(number) else None


def _strip(number: int, width: int) -> Picture:
    """One row of the machine-readable strip: `(width,)` uint8."""
    word = _with_check(number % 2**_NUMBER_BITS).to_bytes(_BLOCKS // 8, "big")
    bits = np.unpackbits(np.frombuffer(word, np.uint8))
    return cast(Picture, np.repeat(bits * np.uint8(255), np.diff(_edges(width))))


def _with_check(number: int) -> int:
    # Inverted, so that neither an all-black nor an all-white strip is a number.
    check = zlib.crc32(number.to_bytes(_NUMBER_BITS // 8, "big")) & 0xFF ^ 0xFF
    return number << 8 | check


def _share_out(across: Indices, parts: int) -> Indices:
    """Number each place by which of so many equal parts it is in."""
    return across * parts // max(1, across.size)


def _edges(width: int) -> Indices:
    return np.arange(_BLOCKS + 1) * width // _BLOCKS


def _strip_height(size_wh: tuple[int, int]) -> int:
    fits = all(side >= least for side, least in zip(size_wh, _MIN_STRIP_WH, strict=True))
    return size_wh[1] // _STRIP_SHARE if fits else 0


def _clock(elapsed_s: float) -> str:
    milliseconds = int(elapsed_s * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _fixed(x: float, y: float) -> tuple[int, int]:
    """A point in OpenCV's fixed-point pixels."""
    return round(x * 2**_SUBPIXEL_BITS), round(y * 2**_SUBPIXEL_BITS)
