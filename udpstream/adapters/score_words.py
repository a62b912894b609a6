"""What is said of a performance, written at the upper left of a picture.

The score and the verdict in one panel, the hint in another below it; or why there is no
score. What does not fit is left out, the least first: the hint, the verdict, the score.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters import overlay
from udpstream.adapters.overlay import Ink
from udpstream.core.pose.scale import grade_of, verdict_of
from udpstream.scored import Scored
from udpstream.scoring import CORRECT, ENDED, NOT_CORRECT, Result

_GOOD = (150, 225, 90)  # blue, green, red
_BAD = (95, 120, 255)
_PLAIN = (235, 235, 235)
_AFAR_SIZE = 2.0  # digits of 75 pixels at 640x480: read from four metres on a laptop


class Words(NamedTuple):
    """What is said of a performance, as it stands on a picture; "" is left out.

    Attributes:
        score: "87".
        verdict: "CORRECT STEPS".
        detail: "great   0.3 s behind   mirrored".
        hint: "left forearm: 40 degrees too low".
        reason: in place of all: "no score: nobody in view".
    """

    score: str = ""
    verdict: str = ""
    detail: str = ""
    hint: str = ""
    reason: str = ""


def words_of(result: Result) -> Words:
    """Return a result in words."""
    if result.ended:
        return Words(reason=ENDED)
    if result.score is None:
        return Words(reason=f"no score: {result.reason}")
    lag = "" if result.lag_s is None else lag_words(result.lag_s)
    details = result.grade or "", lag, "mirrored" if result.mirrored else ""
    return Words(
        score=f"{int(result.score)}",  # rounded down: what is not correct never shows 50
        verdict=result.verdict or "",
        detail=overlay.FIELD_GAP.join(filter(None, details)),
        hint="" if result.hint is None else str(result.hint),
    )


def words_of_scored(scored: Scored) -> Words:
    """Return what is said of a frame in words; with the last one, what it all came to."""
    if scored.final is None or scored.final.mean_score is None:
        return words_of(scored.result)
    mean = scored.final.mean_score
    return final_words(mean, verdict_of(mean), grade_of(mean))


def final_words(score: float, verdict: str | None, grade: str | None) -> Words:
    """Return in words what a session came to whose reference has ended."""
    details = "ended", grade or ""
    return Words(
        score=f"{int(score)}",
        verdict=verdict or "",
        detail=overlay.FIELD_GAP.join(filter(None, details)),
    )


def draw_words(
    canvas_bgr: NDArray[np.uint8], words: Words, *, afar: bool = False
) -> tuple[int, int]:
    """Write at the upper left what is said of a performance.

    Args:
        canvas_bgr: `(h, w, 3)` uint8 BGR, C-contiguous, drawn on in place; of any size.
        words: what to write, in printable ASCII.
        afar: for who stands some steps away: twice as large, and the hint at the lower
            left, where it does not hide the face.

    Returns:
        How far to the right and down it reaches, in pixels.
    """
    height, width = canvas_bgr.shape[:2]
    pieces, reach_xy = _layout(words, width, height, afar=afar)
    for ink, place in pieces:
        overlay.lay(canvas_bgr, ink, place)
    return reach_xy


def margin_px(letter: int) -> int:
    """Return how far panels are from the canvas's edges, for letters of a size."""
    return round(0.7 * letter)


def lag_words(lag_s: float) -> str:
    """Return in words how far behind the reference somebody is."""
    if abs(lag_s) < 0.05:
        return "in time"
    return f"{abs(lag_s):.1f} s {'behind' if lag_s > 0 else 'ahead'}"


@lru_cache(maxsize=64)
def _layout(
    words: Words, width: int, height: int, *, afar: bool
) -> tuple[tuple[tuple[Ink, tuple[int, int]], ...], tuple[int, int]]:
    """Return what to lay where on a canvas of a size, and how far it reaches."""
    size = _AFAR_SIZE if afar else 1.0
    letter = overlay.letter_px(round(size * width), round(size * height))
    margin = margin_px(letter)
    room_wh = width - 2 * margin, height - overlay.line_px(width, height) - 2 * margin
    if words.reason:
        panels = _first_fit(_line_panels(words.reason, letter), room_wh)
    else:
        panels = _first_fit(_score_panels(words, letter), room_wh)
        hint_room = room_wh[0], room_wh[1] - (panels[0].size_wh[1] + margin // 2 if panels else 0)
        if words.hint and panels:
            # Afar the narrower first: the legs are to be seen, too.
            choice = _line_panels(words.hint, letter)[:: -1 if afar else 1]
            panels += _first_fit(choice, hint_room)
    pieces: list[tuple[Ink, tuple[int, int]]] = []
    y, right = margin, 0
    for panel in panels:
        if afar and panel is not panels[0]:
            y = margin + room_wh[1] - panel.size_wh[1]
        pieces.append((overlay.panel_ink(*panel.size_wh, letter // 2), (margin, y)))
        pieces += [(ink, (margin + at[0], y + at[1])) for ink, at in panel.pieces]
        right = max(right, margin + panel.size_wh[0])
        y += panel.size_wh[1] + margin // 2
    return tuple(pieces), (right + margin, y + margin) if panels else (0, 0)


class _Panel(NamedTuple):
    size_wh: tuple[int, int]
    pieces: list[tuple[Ink, tuple[int, int]]]


def _first_fit(panels: list[_Panel], room_wh: tuple[int, int]) -> list[_Panel]:
    """Return the first panel that fits, or none."""
    return [
        panel
        for panel in panels
        if panel.size_wh[0] <= room_wh[0] and panel.size_wh[1] <= room_wh[1]
    ][:1]


def _score_panels(words: Words, letter: int) -> list[_Panel]:
    colour = _GOOD if words.verdict == CORRECT else _BAD
    pad, gap = letter, round(0.9 * letter)
    large, small = round(3.4 * letter), round(1.2 * letter)
    digits = overlay.text_ink(words.score, large, colour, bold=True)
    tall = overlay.cap_px(large, bold=True)
    # As wide as the widest of two digits, so that nothing moves from frame to frame.
    column = max(_width(digits), _width(overlay.text_ink("88", large, colour, bold=True)))
    alone = _Panel((2 * pad + column, 2 * pad + tall), [(digits, (pad, pad))])
    verdict = overlay.text_ink(words.verdict, small, colour, bold=True)
    widest = overlay.text_ink(NOT_CORRECT, small, colour, bold=True)
    detail = overlay.text_ink(words.detail, letter, _PLAIN, bold=False)
    x = pad + column + gap
    inner = max(_width(verdict), _width(widest), _width(detail))
    detail_y = pad + tall - overlay.cap_px(letter, bold=False)
    whole = _Panel(
        (x + inner + pad, 2 * pad + tall),
        [(digits, (pad, pad)), (verdict, (x, pad)), (detail, (x, detail_y))],
    )
    return [whole, alone]


def _line_panels(text: str, letter: int) -> list[_Panel]:
    """Return a panel of one line, and one of two where the text has a colon."""
    head, _, tail = text.partition(": ")
    return [_text_panel(lines, letter) for lines in ([text], [f"{head}:", tail]) if lines[-1]]


def _text_panel(lines: list[str], letter: int) -> _Panel:
    size = round(1.15 * letter)
    pad, step = round(0.8 * letter), round(1.55 * size)
    inks = [overlay.text_ink(line, size, _PLAIN, bold=False) for line in lines]
    width = max(map(_width, inks)) + 2 * pad
    height = 2 * pad + overlay.cap_px(size, bold=False) + step * (len(lines) - 1)
    return _Panel((width, height), [(ink, (pad, pad + step * n)) for n, ink in enumerate(inks)])


def _width(ink: Ink) -> int:
    return int(ink.keep.shape[1])
