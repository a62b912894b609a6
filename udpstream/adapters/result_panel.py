"""Draws what is said of a performer on a picture, to be read from some steps away."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters import overlay
from udpstream.core import reply
from udpstream.protocol import VERDICTS, Result

_WHITE = (245, 245, 245)
_GREY = (205, 205, 205)
# Green and orange, not red: those who cannot tell red from green can tell these.
_GREEN, _ORANGE = (120, 230, 120), (70, 175, 255)
_COLOURS = {VERDICTS[0]: _GREEN, VERDICTS[1]: _ORANGE}

# Sizes of letters in shares of the canvas's side: at 640x480 the score is 62 pixels, which
# on a laptop is read from four metres.
_SCORE_SHARE = 0.13
_HEADLINE_SHARE = 0.056
_HINT_SHARE = 0.052
_ABOUT_SHARE = 0.035
_MARGIN_SHARE = 0.02
_LEAST_SIDE_PX = 200  # below, what is drawn cannot be read, or hides the picture


class _Line(NamedTuple):
    """A line of text as it is drawn."""

    words: str
    letter_px: int
    colour_bgr: tuple[int, int, int]
    bold: bool

    def ink(self) -> overlay.Ink:
        """Rendered, with what OpenCV 4 cannot draw replaced."""
        words = self.words.encode("ascii", "replace").decode()
        return overlay.text_ink(words, self.letter_px, self.colour_bgr, bold=self.bold)

    def within(self, room_px: int) -> _Line:
        """This line, smaller if need be."""
        if self.width_px <= room_px:
            return self
        return self._replace(letter_px=self.letter_px * room_px // self.width_px - 1)

    @property
    def width_px(self) -> int:
        """How much room it takes."""
        width_px: int = self.ink().keep.shape[1]
        return width_px

    @property
    def cap_px(self) -> int:
        """How tall its capitals come out."""
        return overlay.cap_px(self.letter_px, bold=self.bold)


def draw_result(canvas_bgr: NDArray[np.uint8], result: Result, foot_px: int = 0) -> None:
    """Draw score and verdict along the upper edge, and the hint along the lower one.

    On a canvas that is too small for it nothing is drawn.

    Args:
        canvas_bgr: `(h, w, 3)` uint8 BGR, C-contiguous, drawn on in place.
        result: what to draw.
        foot_px: height at the lower edge that is to stay free.
    """
    height, width = canvas_bgr.shape[:2]
    side = min(height, width * 3 // 4)
    if side < _LEAST_SIDE_PX:
        return
    _draw_head(canvas_bgr, result, side)
    hint = reply.hint(result)
    if hint:
        _draw_hint(canvas_bgr, hint, side, foot_px)


def _draw_head(canvas_bgr: NDArray[np.uint8], result: Result, side: int) -> None:
    colour = _COLOURS.get(result.verdict or "", _WHITE)
    headline = reply.headline(result)
    lines = [_Line(headline, _px(side, _HEADLINE_SHARE), colour, True)]
    about = [result.grade or "", reply.timing(result.lag_s), "mirrored" if result.mirrored else ""]
    if result.score is not None and any(about):
        words = overlay.FIELD_GAP.join(each for each in about if each)
        lines.append(_Line(words, _px(side, _ABOUT_SHARE), _GREY, False))
    margin_px, score_px = _px(side, _MARGIN_SHARE), _px(side, _SCORE_SHARE)
    panel_wh = canvas_bgr.shape[1] - 2 * margin_px, score_px * 3 // 2
    overlay.lay(canvas_bgr, overlay.panel_ink(*panel_wh, margin_px), (margin_px, margin_px))
    left_px = 3 * margin_px
    if result.score is not None:
        score = _Line(reply.points(result.score), score_px, colour, True)
        score_y_px = margin_px + (panel_wh[1] - score.cap_px) // 2
        overlay.lay(canvas_bgr, score.ink(), (left_px, score_y_px))
        # The verdict stays where it is, however many digits the score has.
        left_px += score._replace(words="100").width_px + 2 * margin_px
    lines = [line.within(panel_wh[0] - left_px) for line in lines]
    _draw_lines(canvas_bgr, lines, left_px, margin_px + panel_wh[1] // 2)


def _draw_hint(canvas_bgr: NDArray[np.uint8], hint: str, side: int, foot_px: int) -> None:
    """Draw a hint in a corner: the performer's legs are to be seen, too."""
    limb, _, error = hint.partition(": ")
    letter_px, margin_px = _px(side, _HINT_SHARE), _px(side, _MARGIN_SHARE)
    room_px = canvas_bgr.shape[1] - 6 * margin_px
    lines = [
        _Line(words, letter_px, colour, True).within(room_px)
        for words, colour in ((limb, _ORANGE), (error, _WHITE))
    ]
    width_px = max(line.width_px for line in lines) + 4 * margin_px
    height_px = round(3.6 * letter_px)
    top_px = canvas_bgr.shape[0] - foot_px - margin_px - height_px
    overlay.lay(canvas_bgr, overlay.panel_ink(width_px, height_px, margin_px), (margin_px, top_px))
    _draw_lines(canvas_bgr, lines, 3 * margin_px, top_px + height_px // 2)


def _draw_lines(
    canvas_bgr: NDArray[np.uint8], lines: list[_Line], left_px: int, middle_px: int
) -> None:
    """Draw lines one below the other, their capitals around a middle."""
    gap_px = round(0.8 * lines[0].cap_px)
    text_px = sum(line.cap_px for line in lines) + gap_px * (len(lines) - 1)
    y_px = middle_px - text_px // 2
    for line in lines:
        overlay.lay(canvas_bgr, line.ink(), (left_px, y_px))
        y_px += line.cap_px + gap_px


def _px(side: int, share: float) -> int:
    return round(side * share)
