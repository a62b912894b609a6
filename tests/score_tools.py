"""Bodies and scored frames made by hand, for the tests of what is drawn of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tests.recording_tools import make_stream
from udpstream.core.landmarks import LANDMARK_NAMES, N_LANDMARKS, PLACE
from udpstream.core.pose.tally import Summary
from udpstream.frame import Stream
from udpstream.scored import Scored
from udpstream.scoring import CORRECT, LIMBS, Hint, Result

Landmarks = NDArray[np.float32]

# Half of somebody who stands before a camera with the arms out, in shares of a square
# picture; the other half is its mirror image.
_LEFT = {
    "eye_inner": (0.51, 0.13), "eye": (0.52, 0.13), "eye_outer": (0.53, 0.13),
    "ear": (0.55, 0.14), "shoulder": (0.58, 0.25), "elbow": (0.72, 0.32), "wrist": (0.86, 0.25),
    "pinky": (0.90, 0.25), "index": (0.90, 0.23), "thumb": (0.88, 0.22), "hip": (0.55, 0.52),
    "knee": (0.59, 0.70), "ankle": (0.62, 0.88), "heel": (0.61, 0.90), "foot_index": (0.66, 0.91),
}  # fmt: skip


def body(x_shift: float = 0.0, aspect: float = 1.0) -> Landmarks:
    """Somebody who stands with the arms out, in a picture of an aspect."""
    points = np.zeros((N_LANDMARKS, 4), np.float32)
    points[:, 3] = 1.0
    for name in LANDMARK_NAMES:
        part = name.removeprefix("left_").removeprefix("right_")
        if name.startswith("mouth"):
            x, y = 0.51 if name.endswith("left") else 0.49, 0.17
        elif part == "nose":
            x, y = 0.5, 0.15
        else:
            x, y = _LEFT[part]
            x = 1 - x if name.startswith("right") else x
        points[PLACE[name], :2] = 0.5 + (x - 0.5) / aspect + x_shift, y
    return points


def result_of(
    time_s: float = 0.0,
    score: float | None = 87.0,
    *,
    reason: str | None = None,
    limbs_deg: Mapping[str, float | None] | None = None,
    hint: Hint | None = None,
    lag_s: float | None = None,
    mirrored: bool = False,
) -> Result:
    known: dict[str, float | None] = dict.fromkeys(LIMBS, None if score is None else 0.0)
    return Result(
        time_s,
        score=score,
        reason=reason,
        verdict=None if score is None else CORRECT,
        grade=None if score is None else "great",
        limbs_deg={**known, **(limbs_deg or {})},
        hint=hint,
        lag_s=lag_s,
        reference_s=None if score is None else time_s,
        mirrored=mirrored,
    )


def scored_of(
    number: int = 0,
    *,
    rate: float = 30.0,
    stream: Stream | None = None,
    size_wh: tuple[int, int] = (160, 120),
    level: int = 90,
    landmarks: Landmarks | None = None,
    reference: Landmarks | None = None,
    result: Result | None = None,
    final: Summary | None = None,
) -> Scored:
    """A scored frame with a plain grey picture; its time is its number by the rate."""
    time_s = number / rate
    image_bgr = np.full((size_wh[1], size_wh[0], 3), level, np.uint8)
    image_bgr.flags.writeable = False
    return Scored(
        stream=stream or make_stream(),
        frame=number,
        time_s=time_s,
        size_wh=size_wh,
        picture=lambda: image_bgr,
        landmarks=landmarks,
        result=result or result_of(time_s),
        final=final,
        reference=reference,
        reference_aspect=1.0,
        seconds=0.02,
    )
