"""Drawing a score, the pose that it is of, and the reference's pose on a picture.

The words stand at the upper left. The reference's pose is in a lower corner, where the
performer is not, above the status line that `overlay` draws, or is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters import overlay
from udpstream.adapters.score_words import Words, draw_words, margin_px, words_of_scored
from udpstream.adapters.skeleton import (
    Colour,
    Points,
    Stroke,
    draw_bones,
    draw_dot,
    points_in,
    usual_width_px,
)
from udpstream.core.landmarks import BONES, LANDMARK_NAMES, PLACE, SKELETON
from udpstream.scored import Scored
from udpstream.scoring import LIMBS

Image = NDArray[np.uint8]

# From green over yellow to red, blue, green, red each. The green has much blue in it and
# the red little, which is what red-green blindness leaves to tell them by.
_STEPS_DEG = (10.0, 25.0, 40.0)
_STEPS_BGR = ((130, 200, 20), (50, 215, 250), (25, 45, 235))
_DASHED_DEG = 32.0  # the colour is more red than yellow
_WIDTHS = (1.0, 1.9)  # of a line, from the first step to the last

_NEUTRAL: Colour = (235, 235, 235)
_MARKED: Colour = (255, 205, 90)  # in the reference: where the limb of the hint belongs
_SOFT: Colour = (205, 205, 205)

_FACE = [PLACE[name] for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
_SHOULDERS = [PLACE["left_shoulder"], PLACE["right_shoulder"]]
_HIPS = [PLACE["left_hip"], PLACE["right_hip"]]
_TRUNK = _SHOULDERS + _HIPS
_ENDS = {
    "upper arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
    "thigh": ("hip", "knee"),
    "shin": ("knee", "ankle"),
}


def _bones_by_limb() -> dict[tuple[int, int], str]:
    limbs = dict.fromkeys(BONES, LIMBS[0])  # the four that are of no limb are the torso
    for limb in LIMBS[1:]:
        side, _, part = limb.partition(" ")
        start, end = _ENDS[part]
        limbs[PLACE[f"{side}_{start}"], PLACE[f"{side}_{end}"]] = limb
    return limbs


_LIMB_OF = _bones_by_limb()
# Hands and feet, each with the landmark that it hangs on: none is drawn on its own.
_EXTREMITIES = [
    (bone, PLACE[f"{side}_{'elbow' if part == 'wrist' else 'knee'}"])
    for bone in SKELETON
    if bone not in _LIMB_OF
    for side, _, part in [LANDMARK_NAMES[bone[0]].partition("_")]
    if part
]

_INSET_SHARE = 0.34  # of the canvas's smaller side
_INSET_WH = 0.8  # its width by its height
_INSET_KEEPS = 0.2  # of the picture's light: thin lines need a calmer ground than text
_BESIDE_SHARE = 0.12  # of the canvas's width from its middle, and the other corner is free
_INSET_FLOOR_PX = 48  # a smaller pose cannot be made out
# A body of this torso is so high and so wide with its arms up and out; the hips' middle is
# so far down.
_ROOM_TORSOS = 4.0
_HIPS_DOWN = 0.54
_LEGS_TORSOS = 0.85  # a thigh, or a shin
_WORDS_S = 0.4


def limb_stroke(degrees: float | None) -> Stroke:
    """Return how to draw a limb that is off by so many degrees; None: it is not known.

    The worse, the redder and the wider; far off, it is dashed too, so that it needs no
    colour to be told.
    """
    if degrees is None or not np.isfinite(degrees):
        return Stroke(_NEUTRAL)
    blue, green, red = (
        round(float(np.interp(degrees, _STEPS_DEG, [step[each] for step in _STEPS_BGR])))
        for each in range(3)
    )
    width = float(np.interp(degrees, (_STEPS_DEG[0], _STEPS_DEG[-1]), _WIDTHS))
    return Stroke((blue, green, red), width, dashed=degrees >= _DASHED_DEG)


def draw_limbs(
    canvas_bgr: Image, landmarks: NDArray[np.float32], limbs_deg: Mapping[str, float | None]
) -> None:
    """Draw a pose with each limb by its error.

    Args:
        canvas_bgr: `(h, w, 3)` uint8 BGR, drawn on in place.
        landmarks: `(33, 4)`: x and y in shares of the canvas, z, visibility. Points that
            are not visible, and what hangs on them, are left out.
        limbs_deg: `scoring.LIMBS` to degrees; None, or left out: not known.
    """
    size_wh = canvas_bgr.shape[1], canvas_bgr.shape[0]
    points = points_in(landmarks, size_wh)
    width_px = usual_width_px(size_wh)
    strokes = _extremities(points)
    # The worst last, so that it is not hidden by an arm that is in order.
    by_error = sorted(_LIMB_OF.items(), key=lambda each: limbs_deg.get(each[1]) or 0.0)
    strokes |= {bone: limb_stroke(limbs_deg.get(limb)) for bone, limb in by_error}
    joints = set(draw_bones(canvas_bgr, points, strokes, width_px))
    for joint in sorted(joints & {end for bone in BONES for end in bone}):
        draw_dot(canvas_bgr, points.xy[joint], 0.9 * width_px, _NEUTRAL)
    for dot in _FACE:
        if points.visible[dot]:
            draw_dot(canvas_bgr, points.xy[dot], 0.5 * width_px, _NEUTRAL)


def _extremities(points: Points) -> dict[tuple[int, int], Stroke]:
    return {bone: Stroke(_SOFT, 0.7) for bone, on in _EXTREMITIES if points.visible[on]}


class PoseOverlay:
    """Draws the scores of one stream on its pictures.

    Words are kept for a moment, since those that change with every frame cannot be read;
    the limbs' colours follow each frame.
    """

    def __init__(self) -> None:
        self._words = Words()
        self._words_s = -np.inf
        self._at_left = False

    def draw(self, canvas_bgr: Image, scored: Scored, *, pose: bool = True) -> None:
        """Draw a scored frame's pose, the reference's beside it, and what is said of it.

        Args:
            canvas_bgr: `(h, w, 3)` uint8 BGR, C-contiguous, drawn on in place; of any size.
            scored: what to draw.
            pose: whether the pose is to be drawn: it may be too old for this picture.
        """
        result = scored.result
        if pose and scored.landmarks is not None:
            draw_limbs(canvas_bgr, scored.landmarks, result.limbs_deg)
        reach_xy = draw_words(canvas_bgr, self._words_now(scored))
        if scored.reference is not None:
            marked = None if result.hint is None else result.hint.limb
            draw_reference(
                canvas_bgr, scored.reference, scored.reference_aspect,
                mirrored=result.mirrored, marked=marked,
                at_left=self._inset_at_left(scored), beside=reach_xy,
            )  # fmt: skip

    def _inset_at_left(self, scored: Scored) -> bool:
        """Return in which corner the performer is not; between the two it stays."""
        if scored.landmarks is not None:
            points = points_in(scored.landmarks, (1, 1))
            seen = points.xy[_TRUNK][points.visible[_TRUNK], 0]
            if seen.size and abs(seen.mean() - 0.5) > _BESIDE_SHARE:
                self._at_left = bool(seen.mean() > 0.5)
        return self._at_left

    def _words_now(self, scored: Scored) -> Words:
        words = words_of_scored(scored)
        is_other = bool(words.reason) != bool(self._words.reason) or scored.final is not None
        if is_other or not 0 <= scored.time_s - self._words_s < _WORDS_S:
            self._words, self._words_s = words, scored.time_s
        return self._words


def draw_reference(
    canvas_bgr: Image,
    reference: NDArray[np.float32],
    aspect: float,
    *,
    mirrored: bool,
    marked: str | None = None,
    at_left: bool = False,
    beside: tuple[int, int] = (0, 0),
) -> None:
    """Draw the reference's pose small in a lower corner, if there is room for it.

    Args:
        canvas_bgr: `(h, w, 3)` uint8 BGR, drawn on in place.
        reference: `(33, 4)`, in shares of its own picture.
        aspect: that picture's width by its height.
        mirrored: draw it as in a mirror, which is how the performer does it.
        marked: the performer's limb of which the reference's is to stand out.
        at_left: in which corner.
        beside: how far to the right and down the canvas is taken from its upper left.
    """
    height, width = canvas_bgr.shape[:2]
    inset_h = round(_INSET_SHARE * min(height, width))
    inset_w = round(_INSET_WH * inset_h)
    letter = overlay.letter_px(width, height)
    margin = margin_px(letter)
    x = margin if at_left else width - margin - inset_w
    y = height - overlay.line_px(width, height) - margin - inset_h
    if inset_h < _INSET_FLOOR_PX or y < margin or (x < beside[0] and y < beside[1]):
        return
    overlay.lay(canvas_bgr, overlay.panel_ink(inset_w, inset_h, letter // 2, _INSET_KEEPS), (x, y))
    inset_bgr = canvas_bgr[y : y + inset_h, x : x + inset_w]
    label = _label("reference, mirrored" if mirrored else "reference", letter)
    if label.keep.shape[1] + 4 > inset_w:
        label = _label("mirrored" if mirrored else "reference", letter)
    label_h, label_w = label.keep.shape[:2]
    if label_w + 4 <= inset_w:
        label_y = inset_h - label_h - letter // 3
        overlay.lay(inset_bgr, label, ((inset_w - label_w) // 2, label_y))
        inset_bgr = inset_bgr[: label_y - letter // 4]
    size_wh = inset_bgr.shape[1], inset_bgr.shape[0]
    points = _fitted(points_in(reference, (1, 1)), aspect, size_wh, mirrored=mirrored)
    if points is None:
        return
    if mirrored and marked is not None:
        marked = _OTHER_SIDE.get(marked, marked)
    strokes = _extremities(points)
    strokes |= {bone: Stroke(_NEUTRAL) for bone in _LIMB_OF}
    strokes |= {bone: Stroke(_MARKED, 1.7) for bone, limb in _LIMB_OF.items() if limb == marked}
    width_px = max(1.0, 0.014 * inset_h)
    draw_bones(inset_bgr, points, strokes, width_px)
    head = points.xy[_FACE][points.visible[_FACE]]
    if len(head):
        draw_dot(inset_bgr, head.mean(axis=0), 2.4 * width_px, _NEUTRAL)


_OTHER_SIDE = {
    limb: f"{'right' if limb.startswith('left') else 'left'} {limb.partition(' ')[2]}"
    for limb in LIMBS[1:]
}


def _label(text: str, letter: int) -> overlay.Ink:
    return overlay.text_ink(text, max(9, round(0.85 * letter)), _SOFT, bold=False)


def _fitted(
    points: Points, aspect: float, size_wh: tuple[int, int], *, mirrored: bool
) -> Points | None:
    """Place a body in a small picture, its hips always in one place, at its true aspect.

    Args:
        points: in shares of the reference's picture.
        aspect: of that.
        size_wh: of the small one.
        mirrored: as in a mirror.

    Returns:
        The points in it in pixels; None where there is no body to be seen.
    """
    xy = points.xy * (-aspect if mirrored else aspect, 1.0)
    trunk = [each for each in _HIPS if points.visible[each]]
    trunk = trunk or [each for each in _SHOULDERS if points.visible[each]]
    if not trunk:
        return None
    xy = xy - xy[trunk].mean(axis=0)
    torso = _torso(xy, points.visible)
    if not torso > 0:
        return None
    middle = np.array([size_wh[0] / 2, size_wh[1] * _HIPS_DOWN])
    scale = size_wh[1] / (_ROOM_TORSOS * torso)
    # Who lies, or is nearer to the camera with an arm, shrinks into the frame.
    seen = xy[points.visible]
    room = np.where(seen < 0, middle, np.array(size_wh) - middle) - 0.03 * size_wh[1]
    with np.errstate(divide="ignore"):
        scale = min(scale, float((room / np.abs(seen)).min()))
    return Points(xy * scale + middle, points.visible)


def _torso(xy: NDArray[np.float64], visible: NDArray[np.bool_]) -> float:
    """Return the torso's length, by the legs too: who bows is not small."""
    lengths = [0.0]
    if visible[_HIPS].any() and visible[_SHOULDERS].any():
        ends = [xy[[p for p in pair if visible[p]]].mean(axis=0) for pair in (_HIPS, _SHOULDERS)]
        lengths.append(float(np.hypot(*(ends[1] - ends[0]))))
    for (start, end), limb in _LIMB_OF.items():
        if limb.endswith(("thigh", "shin")) and visible[start] and visible[end]:
            lengths.append(float(np.hypot(*(xy[end] - xy[start]))) / _LEGS_TORSOS)
    return max(lengths)
