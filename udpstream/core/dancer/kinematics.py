"""From a pose and a body to points in space.

Arms follow from the directions of their bones; legs from where the feet stand, so that a
foot on the floor stays there while the body moves above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from udpstream.core.dancer.body import Body
from udpstream.core.dancer.dance import Arm, Foot, Pose
from udpstream.core.landmarks import LANDMARK_NAMES, PLACE

Floats = NDArray[np.float64]
_Side = TypeVar("_Side")

# In heads, from the middle between crown and chin: to the left, up, to the front.
_FACE = {
    "nose": (0.0, -0.085, 0.455),
    "eye_inner": (0.070, 0.035, 0.360),
    "eye": (0.130, 0.038, 0.350),
    "eye_outer": (0.190, 0.035, 0.310),
    "ear": (0.325, -0.020, 0.0),
    "mouth": (0.095, -0.250, 0.360),
}
_NECK = 0.045  # heights, from the middle of the shoulders to where the head turns
_REACH = 0.995  # of a leg: a knee is never locked
_SOFT_M = 0.012  # how softly the pelvis comes down where a leg is too short


class HandFrame(NamedTuple):
    """Unit vectors of a hand: along the fingers, and to the side of the thumb."""

    along: Floats
    thumb: Floats


@dataclass(frozen=True, slots=True)
class Skeleton:
    """One moment of a body in space.

    Attributes:
        points_m: `(33, 3)`, in the order of `LANDMARK_NAMES`.
        pelvis: `(3, 3)` rotation; its columns are the body's left, up and front.
        trunk: the same of the chest.
        head: the same of the head.
        head_m: `(3,)`, the middle between crown and chin.
        neck_m: `(3,)`, where the head turns.
        feet: left and right, `(3, 3)`: rotations of the feet.
        hands: left and right.
    """

    points_m: Floats
    pelvis: Floats
    trunk: Floats
    head: Floats
    head_m: Floats
    neck_m: Floats
    feet: tuple[Floats, Floats]
    hands: tuple[HandFrame, HandFrame]

    def __getitem__(self, name: str) -> Floats:
        return np.asarray(self.points_m[PLACE[name]])


def build_skeleton(
    body: Body,
    pose: Pose,
    limbs_deg: Mapping[str, float],
    shift_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Skeleton:
    """Return the points of a body in a pose.

    Args:
        body: its lengths.
        pose: what it does.
        limbs_deg: bones that are off, see `udpstream.core.dancer.faults.Faults`.
        shift_m: where in the world it dances.
    """
    lean, bow, twist = pose.trunk.lean, pose.trunk.bow, pose.trunk.twist
    pelvis = _rotation(0.25 * lean - pose.trunk.hips, 0.3 * bow, 0.35 * twist)
    trunk = _rotation(lean, bow, twist)
    head = _rotation(0.35 * lean + pose.trunk.tilt, 0.4 * bow + pose.trunk.nod,
                     0.4 * twist + pose.trunk.look)  # fmt: skip
    points: dict[str, Floats] = {}

    ankles = [_ankle(body, foot, side) for foot, side in _sides(pose.left_foot, pose.right_foot)]
    middle = _pelvis_place(body, pose, pelvis, ankles)
    feet: list[Floats] = []
    for (foot, side), ankle in zip(_sides(pose.left_foot, pose.right_foot), ankles, strict=True):
        feet.append(_leg(points, body, middle, pelvis, foot, side, ankle, limbs_deg))

    chest = middle + trunk[:, 1] * body.trunk
    hands = [
        _arm(points, body, chest, trunk, arm, side, limbs_deg)
        for arm, side in _sides(pose.left_arm, pose.right_arm)
    ]

    neck = chest + trunk[:, 1] * (_NECK * body.height)
    head_m = neck + head @ np.array([0.0, 0.007 * body.height + 0.5 * body.head, 0.012])
    for name, (left, up, front) in _FACE.items():
        for word, sign in (("left", 1), ("right", -1)):
            if name == "nose":
                full = name
            else:
                full = f"mouth_{word}" if name == "mouth" else f"{word}_{name}"
            points[full] = head_m + head @ (body.head * np.array([sign * left, up, front]))

    shift = np.array(shift_m)
    return Skeleton(
        points_m=np.stack([points[name] for name in LANDMARK_NAMES]) + shift,
        pelvis=pelvis,
        trunk=trunk,
        head=head,
        head_m=head_m + shift,
        neck_m=neck + shift,
        feet=(feet[0], feet[1]),
        hands=(hands[0], hands[1]),
    )


def _sides(left: _Side, right: _Side) -> tuple[tuple[_Side, int], tuple[_Side, int]]:
    return (left, 1), (right, -1)


def _word(side: int) -> str:
    return "left" if side > 0 else "right"


def _rotation(lean_deg: float, bow_deg: float, twist_deg: float) -> Floats:
    """Lean to the left, bow to the front, twist to the left, the twist first."""
    lean, bow, twist = np.radians([-lean_deg, bow_deg, twist_deg])
    about_z = _about(np.cos(lean), np.sin(lean), (0, 1))
    about_x = _about(np.cos(bow), np.sin(bow), (1, 2))
    about_y = _about(np.cos(twist), np.sin(twist), (2, 0))
    return np.asarray(about_z @ about_x @ about_y)


def _about(cosine: float, sine: float, plane: tuple[int, int]) -> Floats:
    """A turn from the first to the second axis of a plane."""
    turn = np.eye(3)
    a, b = plane
    turn[a, a] = turn[b, b] = cosine
    turn[a, b], turn[b, a] = -sine, sine
    return turn


def _off(direction: Floats, degrees: float, side: int) -> Floats:
    """Turn a bone as seen from the front, away from the body and up."""
    turn = np.radians(degrees * side)
    return np.asarray(_about(np.cos(turn), np.sin(turn), (0, 1)) @ direction)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))


def _direction(raise_deg: float, fore_deg: float, side: int) -> Floats:
    up, fore = np.radians([raise_deg, fore_deg])
    return np.array([side * np.cos(fore) * np.sin(up), -np.cos(fore) * np.cos(up), np.sin(fore)])


# -- legs ---------------------------------------------------------------------


def _ankle(body: Body, foot: Foot, side: int) -> Floats:
    leg = body.leg
    return np.array([side * foot.out * leg, body.ankle + foot.lift * leg, foot.front * leg])


def _hip(body: Body, pelvis: Floats, side: int) -> Floats:
    return np.asarray(pelvis[:, 0] * (side * body.hip_width / 2))


def _pelvis_place(body: Body, pose: Pose, pelvis: Floats, ankles: list[Floats]) -> Floats:
    """Where the middle of the hips is: as high as wanted and as both legs reach."""
    place = np.array([pose.trunk.sway * body.leg, 0.0, 0.0])
    highest = [body.ankle + body.leg * (1 - pose.trunk.drop)]
    for side, ankle in zip((1, -1), ankles, strict=True):
        hip = place + _hip(body, pelvis, side)
        aside = np.hypot(ankle[0] - hip[0], ankle[2] - hip[2])
        reach = np.sqrt(max((_REACH * body.leg) ** 2 - aside**2, 0.0))
        highest.append(float(ankle[1] + reach - hip[1]))
    # A smooth least of the three: a hard one would jerk where another takes over.
    least = min(highest)
    over = np.exp(-(np.array(highest) - least) / _SOFT_M)
    place[1] = least - _SOFT_M * np.log(over.sum())
    return place


def _leg(
    points: dict[str, Floats],
    body: Body,
    middle: Floats,
    pelvis: Floats,
    foot: Foot,
    side: int,
    ankle: Floats,
    limbs_deg: Mapping[str, float],
) -> Floats:
    """Add one leg's points and return the rotation of its foot."""
    word = _word(side)
    hip = middle + _hip(body, pelvis, side)
    way = ankle - hip
    length = min(float(np.linalg.norm(way)), _REACH * body.leg)
    way = _unit(way)
    # Two bones of known length between hip and ankle; the knee bends over the toes.
    along = (body.thigh**2 - body.shin**2 + length**2) / (2 * length)
    turn = np.radians(foot.turn) * side
    toes = np.array([np.sin(turn), 0.0, np.cos(turn)])
    bend = _unit(toes - way * (toes @ way))
    knee = hip + way * along + bend * np.sqrt(max(body.thigh**2 - along**2, 0.0))
    thigh = _off(knee - hip, limbs_deg.get(f"{word} thigh", 0.0), side)
    shin = _off(hip + way * length - knee, limbs_deg.get(f"{word} shin", 0.0), side)
    knee = hip + thigh
    ankle = knee + shin

    pitch = np.radians(min(38.0, 130.0 * foot.lift))  # a lifted foot hangs
    front = toes * np.cos(pitch) - np.array([0.0, np.sin(pitch), 0.0])
    left = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    frame = np.stack([left, np.cross(front, left), front], axis=1)
    points |= {f"{word}_hip": hip, f"{word}_knee": knee, f"{word}_ankle": ankle}
    sole = 0.75 * body.ankle
    points[f"{word}_heel"] = ankle + frame @ np.array([0.0, -sole, -0.22 * body.foot])
    points[f"{word}_foot_index"] = ankle + frame @ np.array([0.0, -sole, 0.66 * body.foot])
    return frame


# -- arms ---------------------------------------------------------------------


def _arm(
    points: dict[str, Floats],
    body: Body,
    chest: Floats,
    trunk: Floats,
    arm: Arm,
    side: int,
    limbs_deg: Mapping[str, float],
) -> HandFrame:
    """Add one arm's points and return the directions of its hand."""
    word = _word(side)
    # The shoulder rises with the arm, and comes in.
    share = (0.5 - 0.5 * np.cos(np.radians(np.clip(arm.upper_raise, 0, 180)))) ** 1.5
    rise = 0.024 * body.height * share
    shoulder = chest + trunk @ np.array([side * (body.shoulder_width / 2 - 0.6 * rise), rise, 0.0])
    upper = trunk @ _direction(arm.upper_raise, arm.upper_fore, side)
    fore = trunk @ _direction(arm.lower_raise, arm.lower_fore, side)
    upper = _off(upper, limbs_deg.get(f"{word} upper arm", 0.0), side)
    fore = _off(fore, limbs_deg.get(f"{word} forearm", 0.0), side)
    elbow = shoulder + upper * body.upper_arm
    wrist = elbow + fore * body.forearm

    front = trunk @ np.array([0.0, 0.2, 1.0])
    thumb = _unit(front - fore * (front @ fore))
    points |= {f"{word}_shoulder": shoulder, f"{word}_elbow": elbow, f"{word}_wrist": wrist}
    for name, forward, aside in (
        ("pinky", 0.62, -0.20), ("index", 0.66, 0.18), ("thumb", 0.38, 0.30),
    ):  # fmt: skip
        points[f"{word}_{name}"] = wrist + body.hand * (forward * fore + aside * thumb)
    return HandFrame(fore, thumb)
