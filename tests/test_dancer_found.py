"""MediaPipe finds the dancer where the dancer is, and tells left from right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.pose_tools import require_model
from udpstream.adapters.dancer.picture import Painter
from udpstream.core.dancer.dance import PERIOD_S
from udpstream.core.dancer.faults import Faults
from udpstream.core.dancer.performer import Dancer
from udpstream.core.landmarks import LANDMARK_NAMES, PLACE
from udpstream.pose import PoseTracker

Floats = NDArray[np.float64]

SIZE_WH = (640, 480)
JOINTS = [PLACE["nose"]] + [
    PLACE[f"{side}_{joint}"]
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]
SWAPPED = [
    PLACE["_".join({"left": "right", "right": "left"}.get(w, w) for w in name.split("_"))]
    for name in LANDMARK_NAMES
]
TORSO = [PLACE[name] for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]


@pytest.fixture(scope="module")
def model() -> Path:
    return require_model()


def found_and_true(model: Path, dancer: Dancer, count: int) -> tuple[Floats, Floats]:
    """`(frames, 33, 2)` each, in pixels; NaN where nobody was found."""
    painter = Painter(dancer, SIZE_WH)
    found = np.full((count, 33, 2), np.nan)
    true = np.empty((count, 33, 2))
    with PoseTracker(model) as tracker:
        for number in range(count):
            time_s = number * PERIOD_S / count
            landmarks = tracker.find(painter.draw(time_s))
            truth = dancer.landmarks(time_s, SIZE_WH)
            assert truth is not None
            true[number] = truth[:, :2] * SIZE_WH
            if landmarks is not None:
                found[number] = landmarks[:, :2] * SIZE_WH
    return found, true


def error(found: Floats, true: Floats) -> Floats:
    """Distance of the 13 joints, in torso lengths: `(frames, 13)`."""
    shoulders, hips = true[:, TORSO[:2]].mean(axis=1), true[:, TORSO[2:]].mean(axis=1)
    torso_px = np.linalg.norm(shoulders - hips, axis=1)
    return np.asarray(np.linalg.norm(found - true, axis=2)[:, JOINTS] / torso_px[:, None])


@pytest.mark.parametrize(
    ("seed", "faults"),
    [(0, Faults()), (1, Faults(mirrored=True)), (2, Faults({"right upper arm": 30.0})),
     (11, Faults(still=True))],
)  # fmt: skip
def test_joints_are_found_and_left_and_right_told_apart(
    model: Path, seed: int, faults: Faults
) -> None:
    found, true = found_and_true(model, Dancer(seed, faults), 48)
    assert not np.isnan(found).any(), "nobody was found in some frames"
    errors = error(found, true)
    assert errors.mean() <= 0.06
    assert np.percentile(errors, 95) <= 0.12
    # With its sides exchanged, what was found fits worse in every single frame.
    assert np.all(error(found[:, SWAPPED], true).mean(axis=1) > 2 * errors.mean(axis=1))


def test_a_planted_fault_is_found_as_large_as_it_is(model: Path) -> None:
    limb = [PLACE["left_elbow"], PLACE["left_wrist"]]
    turns = []
    for faults in (Faults(), Faults({"left forearm": 30.0})):
        found, _ = found_and_true(model, Dancer(3, faults), 32)
        way = found[:, limb[1]] - found[:, limb[0]]
        turns.append(np.degrees(np.arctan2(-way[:, 1], way[:, 0])))
    off = (turns[1] - turns[0] + 180) % 360 - 180
    assert np.median(off) == pytest.approx(30, abs=5)
