"""The dance: one pose for every moment, for any body.

Sixteen beats of 0.6 s. A pose is written down for every beat and the body travels from one
to the next in a smooth curve that comes to rest where it turns back, which is how a limb
hits a beat. No beat's pose returns within the period, and left and right do different
things: so neither a shift in time nor a mirror fits the dance onto itself.

Angles are in degrees and lengths in legs, so that tall and short people dance alike. A
bone of an arm is given by two angles: `raise`, in the plane of the trunk, 0 hanging down,
90 straight out to its own side, 180 up, negative towards the body's middle; and `fore`,
out of that plane to the front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BEAT_S = 0.6
BEATS = 16
PERIOD_S = BEATS * BEAT_S

_STEP_LIFT = 0.045  # legs, for each leg a beat that a foot travels
_STEP_LIFT_MOST = 0.09
_BOUNCE = 0.012


class Arm(NamedTuple):
    """Directions of an arm's two bones, in degrees."""

    upper_raise: float
    upper_fore: float
    lower_raise: float
    lower_fore: float


class Foot(NamedTuple):
    """Where a foot is, from the point on the floor below the middle of the dance.

    `out` to its own side, `front` and `lift` in legs; `turn` outwards in degrees.
    """

    out: float
    front: float = 0.0
    lift: float = 0.0
    turn: float = 14.0


class Trunk(NamedTuple):
    """Pelvis and trunk.

    `sway` to the person's left, `drop` down: in legs. `lean` to the left, `bow` to the
    front, `twist` of the shoulders to the left, `hips`: the left one up, in degrees.
    `nod` down, `look` to the left and `tilt` to the left are the head's, in degrees.
    """

    sway: float = 0.0
    drop: float = 0.03
    lean: float = 0.0
    bow: float = 2.0
    twist: float = 0.0
    hips: float = 0.0
    nod: float = 0.0
    look: float = 0.0
    tilt: float = 0.0


@dataclass(frozen=True, slots=True)
class Pose:
    """A whole body at one moment."""

    trunk: Trunk
    left_arm: Arm
    right_arm: Arm
    left_foot: Foot
    right_foot: Foot

    def mirrored(self) -> Pose:
        """Return the pose as a mirror shows it: left does what right did."""
        t = self.trunk
        trunk = t._replace(
            sway=-t.sway, lean=-t.lean, twist=-t.twist, hips=-t.hips, look=-t.look, tilt=-t.tilt
        )
        return Pose(trunk, self.right_arm, self.left_arm, self.right_foot, self.left_foot)


_HANGING = Arm(11, 2, 8, 16)
_HIP = Arm(50, -14, -38, 20)  # the hand rests on the hip
_NEAR, _WIDE = Foot(0.14), Foot(0.42, turn=26)

STANDING = Pose(Trunk(drop=0.012), _HANGING, _HANGING, Foot(0.13), Foot(0.13))

# beat: pose. Each is where the body is on that beat.
_SCORE: dict[float, Pose] = {
    # ready, hands low and open
    0: Pose(Trunk(drop=0.06, bow=4), Arm(28, 8, 52, 24), Arm(28, 8, 52, 24),
            Foot(0.18), Foot(0.18)),
    # step to the left, left arm points up and out, right hand on the hip
    1: Pose(Trunk(0.24, 0.03, lean=-8, twist=8, hips=3, look=10, tilt=4),
            Arm(138, 6, 142, 6), _HIP, Foot(0.46, turn=22), Foot(0.12)),
    # together, arms crossed low
    2: Pose(Trunk(0.05, 0.09, bow=8, nod=8), Arm(14, 20, -42, 42), Arm(18, 24, -48, 36),
            _NEAR, _NEAR),
    # step to the right, right arm straight out, left hand behind the head
    3: Pose(Trunk(-0.24, 0.04, lean=6, twist=-6, hips=-4, look=-14, tilt=-4),
            Arm(112, -4, 224, -8), Arm(92, 6, 96, 4), Foot(0.10), Foot(0.48, turn=22)),
    # wide and low, hands meet over the head
    4: Pose(Trunk(-0.02, 0.17, bow=2), Arm(142, 6, 204, 8), Arm(142, 6, 204, 8),
            Foot(0.40, turn=30), Foot(0.46, turn=30)),
    # up again, elbows out, forearms up
    5: Pose(Trunk(0.0, 0.06, hips=2), Arm(88, 0, 172, 10), Arm(88, 0, 172, 10),
            _WIDE, _WIDE),
    # lean to the left; left forearm drops, right stays
    6: Pose(Trunk(0.15, 0.10, lean=15, hips=-5, tilt=6), Arm(84, 4, 12, 10),
            Arm(98, 0, 170, 8), _WIDE, _WIDE),
    # lean to the right, arms in one line through the shoulders
    7: Pose(Trunk(-0.17, 0.09, lean=-17, hips=5, look=8, tilt=-6), Arm(132, 0, 130, 4),
            Arm(48, 0, 46, 4), _WIDE, _WIDE),
    # left knee up, right arm up
    8: Pose(Trunk(-0.11, 0.02, bow=-2, twist=-8), Arm(34, 6, 96, 30), Arm(168, 4, 174, 4),
            Foot(0.20, 0.16, 0.40, 10), Foot(0.12)),
    # down and out, both arms straight out, a little low
    9: Pose(Trunk(0.04, 0.07), Arm(80, 4, 78, 6), Arm(74, 4, 72, 6), Foot(0.30, turn=20),
            Foot(0.26)),
    # right leg swings out, left arm up against it, right hand low
    10: Pose(Trunk(0.18, 0.02, lean=9, hips=-7, look=-6), Arm(150, 0, 188, 4),
             Arm(44, 4, 30, 10), Foot(0.14), Foot(0.66, 0.02, 0.30, 10)),
    # both hands on the hips, turned to the right
    11: Pose(Trunk(0.0, 0.05, twist=-16, hips=3, look=12), _HIP, _HIP, Foot(0.20),
             Foot(0.26)),
    # lunge to the right, left arm drawn like a bow across, right arm far out
    12: Pose(Trunk(-0.30, 0.18, lean=-6, look=-16), Arm(86, 8, -74, 30), Arm(104, 6, 108, 6),
             Foot(0.34, turn=12), Foot(0.62, turn=38)),
    # back, right forearm up, left arm low
    13: Pose(Trunk(0.10, 0.08, twist=10, hips=4, tilt=5), Arm(36, 0, 40, 8),
             Arm(70, 6, 160, 14), Foot(0.30, turn=20), Foot(0.18)),
    # a star
    14: Pose(Trunk(0.02, 0.10, bow=-3, nod=-6), Arm(126, 0, 128, 4), Arm(128, 0, 130, 4),
             Foot(0.46, turn=26), Foot(0.38, turn=26)),
    # left foot crosses nothing, comes in; right arm circles down first
    15: Pose(Trunk(0.08, 0.05, lean=5, hips=3, look=6), Arm(96, 4, 66, 12), Arm(40, 6, 20, 18),
             Foot(0.28), Foot(0.20)),
}  # fmt: skip


def pose_at(time_s: float) -> Pose:
    """Return the pose at a time; the dance repeats every `PERIOD_S`."""
    beat = time_s / BEAT_S % BEATS
    values = _curve(beat)
    travel = np.abs(_curve(beat + 0.05) - _curve(beat - 0.05)) / 0.1
    pose = _unpack(values)
    steps = _unpack(travel)
    bounce = 0.5 - 0.5 * np.cos(2 * np.pi * beat)  # up between the beats, down on them
    return Pose(
        pose.trunk._replace(drop=pose.trunk.drop - _BOUNCE * float(bounce)),
        pose.left_arm,
        pose.right_arm,
        _stepping(pose.left_foot, steps.left_foot),
        _stepping(pose.right_foot, steps.right_foot),
    )


def standing_at(time_s: float) -> Pose:
    """Return the pose of somebody who stands and breathes, of the dance's period."""
    breath = float(np.sin(2 * np.pi * 3 * time_s / PERIOD_S))
    trunk = STANDING.trunk
    arm = _HANGING._replace(upper_raise=_HANGING.upper_raise + 0.6 * breath)
    return Pose(
        trunk._replace(drop=trunk.drop - 0.002 * breath, bow=trunk.bow - 0.6 * breath),
        arm,
        arm,
        STANDING.left_foot,
        STANDING.right_foot,
    )


def _stepping(foot: Foot, speed: Foot) -> Foot:
    """Lift a foot while it travels, so that it steps and does not slide."""
    lift = _STEP_LIFT_MOST * np.tanh(_STEP_LIFT / _STEP_LIFT_MOST * 3 * (speed.out + speed.front))
    return foot._replace(lift=max(foot.lift, float(lift)))


def _pack(pose: Pose) -> list[float]:
    parts = (pose.trunk, pose.left_arm, pose.right_arm, pose.left_foot, pose.right_foot)
    return [value for part in parts for value in part]


def _unpack(values: Floats) -> Pose:
    numbers = iter(values.tolist())

    def take(count: int) -> list[float]:
        return [next(numbers) for _ in range(count)]

    return Pose(Trunk(*take(9)), Arm(*take(4)), Arm(*take(4)), Foot(*take(4)), Foot(*take(4)))


_BEATS_AT = np.array([*_SCORE, BEATS], np.float64)
_VALUES = np.array([_pack(pose) for pose in [*_SCORE.values(), _SCORE[0]]], np.float64)


def _slopes() -> Floats:
    """Slopes of the monotone cubic through the beats (Fritsch and Butland), a beat."""
    steps = np.diff(_BEATS_AT)[:, None]
    after = np.diff(_VALUES, axis=0) / steps
    before = np.roll(after, 1, axis=0)
    same = before * after > 0
    mean = np.divide(2 * before * after, before + after, out=np.zeros_like(after), where=same)
    return np.concatenate([mean, mean[:1]])


_SLOPES = _slopes()


def _curve(beat: float) -> Floats:
    beat %= BEATS
    i = int(np.searchsorted(_BEATS_AT, beat, side="right")) - 1
    step = _BEATS_AT[i + 1] - _BEATS_AT[i]
    u = (beat - _BEATS_AT[i]) / step
    rest = 1 - u
    return np.asarray(
        (1 + 2 * u) * rest**2 * _VALUES[i]
        + u**2 * (3 - 2 * u) * _VALUES[i + 1]
        + step * u * rest * (rest * _SLOPES[i] - u * _SLOPES[i + 1])
    )
