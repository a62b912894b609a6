"""Drawing on a picture before it is shown.

`canvas` makes a copy that may be drawn on, at the size at which it will be seen, so that
text and lines stay crisp however large the picture is. All else draws on a canvas in place,
in units of the canvas, and knows nothing of what was drawn before it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

FIELD_GAP = "   "  # between the fields of a line; a field holds no such gap

_FONT = cv2.FONT_HERSHEY_SIMPLEX  # OpenCV 5 draws its own sans serif for this name
_LETTER_SHARE = 0.023  # of the canvas's side: 11 pixels at 640x480
_LETTER_FLOOR_PX = 10  # smaller ones cannot be read
_BAR_LETTERS = 2.25  # the height of a line's bar
_TEXT_GREY = 240
_WHITE = (255, 255, 255)
_BAR_KEEPS = 0.35  # of the picture's light: over white the text still has a contrast of 6:1
_DIM_KEEPS = 0.4


class Ink(NamedTuple):
    """What is laid on a picture, rendered: `picture * keep / 255 + light`.

    Attributes:
        keep: `(h, w, 3)` uint8: how much is left of the picture's light.
        light: `(h, w, 3)` uint8: what is added to it.
    """

    keep: NDArray[np.uint8]
    light: NDArray[np.uint8]


def canvas(image_bgr: NDArray[np.uint8], fit_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a copy to draw on, shrunk where it is larger than it will be seen.

    Args:
        image_bgr: `(H, W, 3)` uint8 BGR, may be read-only; not changed, not retained.
        fit_wh: the room there is, in pixels. A smaller picture is not enlarged.

    Returns:
        `(h, w, 3)` uint8 BGR, writable, of the picture's proportions.
    """
    height, width = image_bgr.shape[:2]
    scale = min(fit_wh[0] / width, fit_wh[1] / height)
    if scale >= 1:
        return image_bgr.copy()
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    # INTER_AREA averages; a window system that shrinks by dropping pixels makes jagged lines
    shrunk = cv2.resize(image_bgr, size_wh, interpolation=cv2.INTER_AREA)
    return cast(NDArray[np.uint8], shrunk)


def dim(canvas_bgr: NDArray[np.uint8]) -> None:
    """Darken a canvas, to tell a picture that stands still from one that is live."""
    cv2.convertScaleAbs(canvas_bgr, canvas_bgr, alpha=_DIM_KEEPS)


def letter_px(width: int, height: int) -> int:
    """Return the size of letters on a canvas of a size."""
    return max(_LETTER_FLOOR_PX, round(_LETTER_SHARE * min(height, width * 3 / 4)))


def line_px(width: int, height: int) -> int:
    """Return how much of the lower edge `draw_line` may take, 0 where it draws nothing."""
    bar_px = round(_BAR_LETTERS * letter_px(width, height))
    return bar_px if bar_px <= height // 2 else 0


def draw_line(canvas_bgr: NDArray[np.uint8], text: str) -> None:
    """Write one line of text on a dark translucent bar along the lower edge.

    Where the canvas is too narrow, fields are left out from the left; fields are set
    apart by `FIELD_GAP`. Where not even the last one fits, nothing is drawn.

    Args:
        canvas_bgr: `(h, w, 3)` uint8 BGR, C-contiguous, drawn on in place.
        text: printable ASCII, which is all that OpenCV 4 can draw.
    """
    height, width = canvas_bgr.shape[:2]
    bar = _line_ink(text, width, height)
    if bar is not None:
        lay(canvas_bgr, bar, (0, height - bar.keep.shape[0]))


def lay(canvas_bgr: NDArray[np.uint8], ink: Ink, xy: tuple[int, int]) -> None:
    """Lay ink on a canvas, its upper left corner at `xy`; all of it must be on the canvas."""
    height, width = ink.keep.shape[:2]
    patch = canvas_bgr[xy[1] : xy[1] + height, xy[0] : xy[0] + width]
    cv2.multiply(patch, ink.keep, patch, scale=1 / 255)
    cv2.add(patch, ink.light, patch)


@lru_cache(maxsize=256)  # a score has 101 faces, and each of them comes again
def text_ink(text: str, letter_px: int, colour_bgr: tuple[int, int, int], *, bold: bool) -> Ink:
    """Return a text as ink, from the top of its capitals to below its descenders.

    Args:
        text: printable ASCII.
        letter_px: the size of the letters; `cap_px` tells how tall a capital comes out.
        colour_bgr: of the letters; around them the picture stays as it is.
        bold: in a heavier face.
    """
    scale, thickness = _face(letter_px, bold=bold)
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    mask = np.zeros((round(1.35 * letter_px) + 2, max(1, width + thickness), 3), np.uint8)
    cv2.putText(mask, text, (0, letter_px + 1), _FONT, scale, _WHITE, thickness, cv2.LINE_AA)
    mask = mask[letter_px + 1 - cap_px(letter_px, bold=bold) :]
    share = mask.astype(np.float32) / 255
    return Ink(255 - mask, np.rint(share * colour_bgr).astype(np.uint8))


@lru_cache(maxsize=64)
def cap_px(letter_px: int, *, bold: bool) -> int:
    """Return how tall capitals and digits of a size come out: OpenCV's fonts differ in it."""
    scale, thickness = _face(letter_px, bold=bold)
    mask = np.zeros((2 * letter_px + 2, 2 * letter_px + 2), np.uint8)
    cv2.putText(mask, "H", (0, letter_px + 1), _FONT, scale, 255, thickness, cv2.LINE_AA)
    rows = np.flatnonzero(mask.max(axis=1) > 127)
    return min(letter_px, letter_px + 1 - int(rows[0])) if rows.size else letter_px


@lru_cache(maxsize=64)
def panel_ink(width: int, height: int, corner_px: int, keeps: float = _BAR_KEEPS) -> Ink:
    """Return a dark translucent ground with round corners, which keeps a share of the light."""
    mask = np.zeros((height, width, 3), np.uint8)
    corner = min(corner_px, (min(width, height) - 1) // 2)
    right, lower = width - 1 - corner, height - 1 - corner
    cv2.rectangle(mask, (corner, 0), (right, height - 1), _WHITE, -1)
    cv2.rectangle(mask, (0, corner), (width - 1, lower), _WHITE, -1)
    for centre in ((corner, corner), (right, corner), (corner, lower), (right, lower)):
        cv2.circle(mask, centre, corner, _WHITE, -1, cv2.LINE_AA)
    share = mask.astype(np.float32) / 255
    return Ink(np.rint(255 - share * (255 * (1 - keeps))).astype(np.uint8), mask * 0)


def _face(letter_px: int, *, bold: bool) -> tuple[float, int]:
    """Return OpenCV's scale and thickness for letters; its own font has two weights."""
    thickness = max(2, round(letter_px / 9)) if bold else max(1, round(letter_px / 16))
    return cv2.getFontScaleFromHeight(_FONT, letter_px, thickness), thickness


@lru_cache(maxsize=16)  # a line changes about twice a second, frames come far more often
def _line_ink(text: str, width: int, height: int) -> Ink | None:
    """Return a line rendered for a canvas of a size, or None where it does not fit."""
    letter, bar_px = letter_px(width, height), line_px(width, height)
    scale, thickness = _face(letter, bold=False)
    margin_px, gap_px = letter, round(1.6 * letter)
    fields = [
        (field, cv2.getTextSize(field, _FONT, scale, thickness)[0][0])
        for field in text.split(FIELD_GAP)
    ]
    while fields and _length_px(fields, gap_px) + 2 * margin_px > width:
        del fields[0]
    if not fields or not bar_px:
        return None
    ink = np.zeros((bar_px, width, 3), np.uint8)
    x, baseline = margin_px, (bar_px + letter) // 2
    for field, field_px in fields:
        cv2.putText(ink, field, (x, baseline), _FONT, scale, _WHITE, thickness, cv2.LINE_AA)
        x += field_px + gap_px
    share = ink.astype(np.float32) / 255
    return Ink(
        keep=np.rint((1 - share) * (_BAR_KEEPS * 255)).astype(np.uint8),
        light=np.rint(share * _TEXT_GREY).astype(np.uint8),
    )


def _length_px(fields: list[tuple[str, int]], gap_px: int) -> int:
    """Return the length of a line of fields, each given with its own length."""
    return sum(field_px for _, field_px in fields) + gap_px * (len(fields) - 1)
