"""People that are only kinematics: dances and other activities as landmarks, by seed.

A `Motion` is joint angles over time. A `Person` performs it with a body, a style, a sense
of time and a camera of its own, and a pose tracker's noise is laid over what the camera
sees. How much persons differ is set so that two of them, in time, are as far apart as two
real ones were when measured (see docs/scoring.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Motion: TypeAlias = Callable[[Array], Array]
_Swing: TypeAlias = dict[str, tuple[float, float, float]]

# One column each, in degrees. Arms: out to the side, forward, elbow's bend and the plane of
# that bend. Legs: out to the side, forward, knee's bend. Then the trunk.
ANGLES = (
    "left arm out", "left arm forward", "left elbow", "left elbow plane",
    "right arm out", "right arm forward", "right elbow", "right elbow plane",
    "left leg out", "left leg forward", "left knee",
    "right leg out", "right leg forward", "right knee",
    "turn", "lean", "bow",
)  # fmt: skip
_LOW = (0, -20, 0, -60, 0, -20, 0, -60, 0, -10, 0, 0, -10, 0, -25, -10, -5)
_HIGH = (150, 90, 120, 120, 150, 90, 120, 120, 30, 45, 60, 30, 45, 60, 25, 10, 15)
_STANDING = (8, 0, 10, 0, 8, 0, 10, 0, 4, 0, 2, 4, 0, 2, 0, 0, 0)


def dance(
    seed: int,
    *,
    beat_s: float = 0.55,
    beats: int = 48,
    energies: tuple[float, float] = (0.5, 1.2),
) -> Motion:
    """A choreography: key poses on the beat, some held, eased from one to the next.

    Each phrase of 8 beats has an energy of its own between the two given.
    """
    random = np.random.default_rng(seed)
    low, high = np.array(_LOW, float), np.array(_HIGH, float)
    keys = low + (high - low) * random.beta(0.8, 0.8, (beats, len(ANGLES)))
    for beat in range(1, beats):
        held = random.random(len(ANGLES)) < 0.3
        keys[beat, held] = keys[beat - 1, held]
    standing = np.array(_STANDING, float)
    energy = np.repeat(random.uniform(*energies, -(-beats // 8)), 8)[:beats, None]
    return _eased(standing + (keys - standing) * energy, beat_s)


def repeated(seed: int, *, beat_s: float = 0.5, beats: int = 4, times: int = 12) -> Motion:
    """A few moves over and over."""
    random = np.random.default_rng(seed)
    low, high = np.array(_LOW, float), np.array(_HIGH, float)
    keys = low + (high - low) * random.beta(0.8, 0.8, (beats, len(ANGLES)))
    return _eased(np.tile(keys, (times, 1)), beat_s)


def _eased(keys: Array, beat_s: float) -> Motion:
    def motion(times_s: Array) -> Array:
        at = np.clip(times_s / beat_s, 0, len(keys) - 1.001)
        before = at.astype(int)
        share = np.clip((at - before) * 1.25, 0, 1)[:, None]  # a short rest on each beat
        share = share * share * (3 - 2 * share)
        angles: Array = keys[before] * (1 - share) + keys[before + 1] * share
        return angles

    return motion


def _cycle(period_s: float, swing: _Swing) -> Motion:
    """A periodic activity: for each angle its middle, half its range, and its phase in turns."""

    def motion(times_s: Array) -> Array:
        angles = np.tile(np.array(_STANDING, float), (len(times_s), 1))
        for name, (middle, half, phase) in swing.items():
            turns = times_s / period_s + phase
            angles[:, ANGLES.index(name)] = middle - half * np.cos(2 * np.pi * turns)
        return angles

    return motion


def squats(period_s: float = 2.4) -> Motion:
    """Arms held forward, knees bent and stretched."""
    both: _Swing = {}
    for side in ("left", "right"):
        both |= {
            f"{side} leg forward": (45.0, 45.0, 0.0),
            f"{side} knee": (50.0, 50.0, 0.0),
            f"{side} leg out": (15.0, 10.0, 0.0),
            f"{side} arm forward": (60.0, 25.0, 0.0),
        }
    return _cycle(period_s, both | {"bow": (15.0, 15.0, 0.0)})


def jumping_jacks(period_s: float = 1.2) -> Motion:
    """Arms and legs out and in."""
    both: _Swing = {}
    for side in ("left", "right"):
        both |= {f"{side} arm out": (80.0, 70.0, 0.0), f"{side} leg out": (14.0, 11.0, 0.0)}
    return _cycle(period_s, both)


def push_ups(period_s: float = 2.0) -> Motion:
    """The body level, arms bent and stretched."""
    both: _Swing = {"bow": (88.0, 4.0, 0.0)}
    for side in ("left", "right"):
        both |= {
            f"{side} arm forward": (75.0, 20.0, 0.0),
            f"{side} elbow": (50.0, 45.0, 0.0),
            f"{side} leg forward": (-4.0, 2.0, 0.0),
        }
    return _cycle(period_s, both)


def walking(period_s: float = 1.1) -> Motion:
    """On the spot, arms and legs in opposite phase."""
    swing: _Swing = {}
    for side, phase in (("left", 0.0), ("right", 0.5)):
        swing |= {
            f"{side} leg forward": (5.0, 27.0, phase),
            f"{side} knee": (28.0, 26.0, phase + 0.25),
            f"{side} arm forward": (0.0, 25.0, phase + 0.5),
            f"{side} elbow": (25.0, 8.0, phase + 0.5),
        }
    return _cycle(period_s, swing)


def yoga(seed: int) -> Motion:
    """Poses that are held for three seconds each."""
    return dance(seed, beat_s=3.2, beats=10, energies=(1, 1))


def standing(seed: int) -> Motion:
    """Arms down or on the hips, swaying by a degree or two."""
    random = np.random.default_rng(seed)
    arms = random.choice([0.0, 45.0])
    swing: _Swing = {
        name: (float(value), random.uniform(0, 2), random.random())
        for name, value in zip(ANGLES, _STANDING, strict=True)
    }
    for side in ("left", "right"):
        swing[f"{side} arm out"] = (8 + arms, 1.5, random.random())
        swing[f"{side} elbow"] = (10 + 2 * arms, 1.5, random.random())
        swing[f"{side} elbow plane"] = (-90.0, 0.0, 0.0)
    return _cycle(random.uniform(2, 4), swing)


@dataclass(frozen=True)
class Variety:
    """By how much persons differ: standard deviations."""

    bones: float = 0.07  # share of each bone's length
    style_deg: float = 8.0  # each joint angle, always
    keys_deg: float = 9.0  # each joint angle, from moment to moment
    gain: float = 0.12  # how far limbs swing
    timing_s: float = 0.06  # early and late from moment to moment
    camera_deg: float = 10.0  # how far the camera stands to one side
    noise: float = 0.05  # of the tracker, in torso lengths

    def times(self, factor: float) -> Variety:
        """Return persons that differ so many times as much, before the same tracker."""
        scaled = {each.name: factor * getattr(self, each.name) for each in fields(self)}
        return Variety(**scaled | {"noise": self.noise})


@dataclass
class Person:
    """Somebody before a camera.

    Attributes:
        seed: of the body, the style, the camera and the noise.
        variety: how far those may be from the usual.
        lag_s: how far behind the motion's own time; negative is ahead.
        mirrored: does with the left what is to be done with the right.
        aspect: of the picture, width by height.
    """

    seed: int
    variety: Variety = field(default_factory=Variety)
    lag_s: float = 0.0
    mirrored: bool = False
    aspect: float = 4 / 3

    def perform(self, motion: Motion, times_s: Array) -> NDArray[np.float32]:
        """Return landmarks `(n, 33, 4)` at the given times in seconds."""
        random = np.random.default_rng(self.seed)
        variety = self.variety
        mean = np.array(_STANDING, float)
        moved_s = times_s - self.lag_s + variety.timing_s * _wander(random, times_s, 1, 1.5)[:, 0]
        angles = motion(moved_s)
        gain = np.exp(random.normal(0, variety.gain, len(ANGLES)))
        wander = _wander(random, times_s, len(ANGLES), 0.8) * variety.keys_deg
        style = random.normal(0, variety.style_deg, len(ANGLES))
        loose = np.minimum(np.ptp(angles, axis=0) / 60, 1)  # a still joint stays still
        angles = mean + (angles - mean) * gain + style * 0.5 + (style * 0.5 + wander) * loose
        joints = _skeleton(angles, np.exp(random.normal(0, variety.bones, 9)))
        return self._seen(random, joints, times_s)

    def _seen(
        self, random: np.random.Generator, joints: Array, times_s: Array
    ) -> NDArray[np.float32]:
        variety = self.variety
        turn, down, roll = np.radians(
            random.normal(0, variety.camera_deg * np.array([1, 0.4, 0.2]))
        )
        joints = joints @ (_about_y(turn) @ _about_x(down) @ _about_z(roll)).T
        distance = random.uniform(5.5, 9.0)
        depth = distance - joints[..., 2]
        flat = joints[..., :2] / depth[..., None] * distance
        size = random.uniform(0.14, 0.2)  # of the picture's height, for a torso
        noise = _wander(random, times_s, flat[0].size, 0.07).reshape(flat.shape)
        flat = flat + noise * variety.noise * 0.8
        x = 0.5 * self.aspect + random.uniform(-0.1, 0.1) + flat[..., 0] * size
        y = 0.5 - flat[..., 1] * size
        if self.mirrored:
            x = self.aspect - x
            order = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11]
            x, y = x[:, order], y[:, order]
        landmarks = np.zeros((len(times_s), 33, 4), np.float32)
        every = np.repeat(np.arange(13), [11, 1, 1, 1, 1, 4, 4, 1, 1, 1, 1, 3, 3])
        places = np.array([*range(11), 11, 12, 13, 14, 15, 17, 19, 21, 16, 18, 20, 22,
                           23, 24, 25, 26, 27, 29, 31, 28, 30, 32])  # fmt: skip
        landmarks[:, places, 0] = (x / self.aspect)[:, every]
        landmarks[:, places, 1] = y[:, every]
        landmarks[:, places, 3] = 0.97
        return landmarks


def _wander(random: np.random.Generator, times_s: Array, columns: int, smooth_s: float) -> Array:
    """Smooth noise of deviation 1 in each column."""
    span = (times_s[-1] - times_s[0]) / smooth_s
    knots = random.normal(0, 1.2, (int(span) + 3, columns))
    at = (times_s - times_s[0]) / smooth_s
    before = at.astype(int)
    share = (at - before)[:, None]
    share = share * share * (3 - 2 * share)
    wander: Array = knots[before] * (1 - share) + knots[before + 1] * share
    return wander


def _about_x(angle: Array | float) -> Array:
    zero, one = np.zeros_like(angle), np.ones_like(angle)
    cos, sin = np.cos(angle), np.sin(angle)
    return _stacked([[one, zero, zero], [zero, cos, -sin], [zero, sin, cos]])


def _about_y(angle: Array | float) -> Array:
    zero, one = np.zeros_like(angle), np.ones_like(angle)
    cos, sin = np.cos(angle), np.sin(angle)
    return _stacked([[cos, zero, sin], [zero, one, zero], [-sin, zero, cos]])


def _about_z(angle: Array | float) -> Array:
    zero, one = np.zeros_like(angle), np.ones_like(angle)
    cos, sin = np.cos(angle), np.sin(angle)
    return _stacked([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])


def _stacked(rows: list[list[Array | float]]) -> Array:
    matrix: Array = np.moveaxis(np.array(rows), (0, 1), (-2, -1))
    return matrix


def _skeleton(angles_deg: Array, bones: Array) -> Array:
    """Turn joint angles `(n, 17)` into joints `(n, 13, 3)`, in the order of pose.landmarks.

    In torso lengths from the middle of the hips: x to the right of the picture, y up, z to
    the camera.
    """
    a = np.radians(angles_deg)
    trunk = _about_y(a[:, 14]) @ _about_z(a[:, 15]) @ _about_x(a[:, 16])
    legs_frame = _about_y(a[:, 14])
    hips, shoulders, torso, head, upper, fore, thigh, shin, _ = bones
    down = np.array([0.0, -1.0, 0.0])

    def chain(
        frame: Array, root: Array, side: int, angles: Array, lengths: tuple[float, float]
    ) -> list[Array]:
        out, forward, bend, plane = angles.T
        turned = frame @ _about_x(-forward) @ _about_z(side * out)
        first = root + lengths[0] * (turned @ down)
        local = np.stack(
            [side * np.sin(bend) * np.sin(plane), -np.cos(bend), np.sin(bend) * np.cos(plane)], -1
        )
        second = first + lengths[1] * np.einsum("nij,nj->ni", turned, local)
        return [first, second]

    def place(frame: Array, x: float, y: float, z: float = 0.0) -> Array:
        at: Array = frame @ np.array([x, y, z])
        return at

    nose = place(trunk, 0, torso + 0.35 * head, 0.15)
    parts: list[Array] = [nose]
    roots = {}
    for side in (1, -1):  # facing the camera, the left is to the picture's right
        roots[side] = (
            place(trunk, side * 0.33 * shoulders, torso),
            place(legs_frame, side * 0.18 * hips, 0),
        )
    knee = np.array([1, 1, -1, 0])  # bends backwards, in no other plane
    arms = {
        side: chain(trunk, roots[side][0], side, a[:, at : at + 4], (0.56 * upper, 0.5 * fore))
        for side, at in ((1, 0), (-1, 4))
    }
    legs = {
        side: chain(
            legs_frame, roots[side][1], side, a[:, [at, at + 1, at + 2, at]] * knee,
            (0.82 * thigh, 0.82 * shin),
        )
        for side, at in ((1, 8), (-1, 11))
    }  # fmt: skip
    parts += [roots[1][0], roots[-1][0], arms[1][0], arms[-1][0], arms[1][1], arms[-1][1]]
    parts += [roots[1][1], roots[-1][1], legs[1][0], legs[-1][0], legs[1][1], legs[-1][1]]
    return np.stack(parts, axis=1)
