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
_TEXT_GREY = 240
_BAR_KEEPS = 0.35  # of the picture's light: over white the text still has a contrast of 6:1
_DIM_KEEPS = 0.4


class _Bar(NamedTuple):
    """A line of text, rendered: `picture * keep / 255 + light`."""

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


def draw_line(canvas_bgr: NDArray[np.uint8], text: str) -> None:
    """Write one line of text on a dark translucent bar along the lower edge.

    Where the canvas is too narrow, fields are left out from the left; fields are set
    apart by `FIELD_GAP`. Where not even the last one fits, nothing is drawn.

    Args:
        canvas_bgr: `(h, w, 3)` uint8 BGR, C-contiguous, drawn on in place.
        text: printable ASCII, which is all that OpenCV 4 can draw.
    """
    height, width = canvas_bgr.shape[:2]
    bar = _render(text, width, height)
    if bar is None:
        return
    strip = canvas_bgr[height - bar.keep.shape[0] :]
    cv2.multiply(strip, bar.keep, strip, scale=1 / 255)
    cv2.add(strip, bar.light, strip)


@lru_cache(maxsize=16)  # a line changes about twice a second, frames come far more often
def _render(text: str, width: int, height: int) -> _Bar | None:
    """Return a line rendered for a canvas of a size, or None where it does not fit."""
    letter_px = max(_LETTER_FLOOR_PX, round(_LETTER_SHARE * min(height, width * 3 / 4)))
    thickness = max(1, round(letter_px / 16))
    scale = cv2.getFontScaleFromHeight(_FONT, letter_px, thickness)
    margin_px, gap_px, bar_px = letter_px, round(1.6 * letter_px), round(2.25 * letter_px)
    fields = [
        (field, cv2.getTextSize(field, _FONT, scale, thickness)[0][0])
        for field in text.split(FIELD_GAP)
    ]
    while fields and _length_px(fields, gap_px) + 2 * margin_px > width:
        del fields[0]
    if not fields or bar_px > height // 2:
        return None
    ink = np.zeros((bar_px, width, 3), np.uint8)
    x, baseline = margin_px, (bar_px + letter_px) // 2
    for field, field_px in fields:
        cv2.putText(
            ink, field, (x, baseline), _FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA
        )
        x += field_px + gap_px
    share = ink.astype(np.float32) / 255
    return _Bar(
        keep=np.rint((1 - share) * (_BAR_KEEPS * 255)).astype(np.uint8),
        light=np.rint(share * _TEXT_GREY).astype(np.uint8),
    )


def _length_px(fields: list[tuple[str, int]], gap_px: int) -> int:
    """Return the length of a line of fields, each given with its own length."""
    return sum(field_px for _, field_px in fields) + gap_px * (len(fields) - 1)
