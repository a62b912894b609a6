"""The dancer's flesh, hair and clothes: solids about a skeleton.

Sizes are in heights of the body for trunk and limbs and in heads for the head. A face with
its features, hair that frames it and limbs with volume are what a pose estimator tells
front from back by, and so left from right.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.dancer.solids import Solid, squash
from udpstream.core.dancer.body import Body, Look, Rgb
from udpstream.core.dancer.kinematics import Skeleton

Floats = NDArray[np.float64]
Vector = tuple[float, float, float]

_PAINTS = (
    "skin", "lip", "white", "iris", "dark", "hair", "brow",
    "shirt", "stripe", "trousers", "shoes", "sole", "sock",
)  # fmt: skip
PAINT = {name: number for number, name in enumerate(_PAINTS)}
_SIDES = (("left", 1, 0), ("right", -1, 1))


def mix_paints(look: Look) -> NDArray[np.float32]:
    """Return the colours that the solids name, `(n, 3)`, linear light, 0..1."""
    rgb: dict[str, Rgb] = {
        "skin": look.skin,
        "lip": _between(_between(look.skin, (90, 20, 30), 0.25), (178, 48, 60), 0.42),
        "white": (250, 248, 244),
        "iris": look.iris,
        "dark": (22, 16, 16),
        "hair": look.hair,
        "brow": _between(look.hair, (24, 16, 14), 0.4),
        "shirt": look.shirt,
        "stripe": look.stripe or look.shirt,
        "trousers": look.trousers,
        "shoes": look.shoes,
        "sole": (240, 238, 232),
        "sock": (236, 234, 230),
    }
    paints = np.array([rgb[name] for name in _PAINTS]) / 255
    return np.asarray(paints**2.2, np.float32)


def _between(a: Rgb, b: Rgb, share: float) -> Rgb:
    mixed = [round(x + (y - x) * share) for x, y in zip(a, b, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def build_solids(skeleton: Skeleton, body: Body, look: Look) -> list[Solid]:
    """Return all that is to be drawn of a dancer."""
    maker = _Maker(skeleton, body, look)
    return [*maker.trunk(), *maker.arms(), *maker.legs(), *maker.head(), *maker.hair()]


def _solid(
    begin: Floats,
    end: Floats,
    begin_m: float,
    end_m: float,
    paint: str,
    after: str | None = None,
    split: float = 2.0,
    squashed: Floats | None = None,
) -> Solid:
    return Solid(begin, end, begin_m, end_m, PAINT[paint], PAINT[after or paint], split, squashed)


class _Maker:
    def __init__(self, skeleton: Skeleton, body: Body, look: Look) -> None:
        self._s, self._body, self._look = skeleton, body, look
        self._height = body.height
        self._thick = body.height * body.girth  # the unit of girths
        self._hips = (skeleton["left_hip"] + skeleton["right_hip"]) / 2
        self._chest = self._hips + skeleton.trunk[:, 1] * body.trunk

    # -- trunk ----------------------------------------------------------------

    def trunk(self) -> Iterator[Solid]:
        s, unit = self._s, self._thick
        up = s.trunk[:, 1] * self._body.trunk
        wide = self._body.shoulder_width
        hem, waist, ribs = (self._hips + share * up for share in (0.06, 0.42, 0.76))
        stripe = "stripe" if self._look.stripe else "shirt"
        yield _solid(
            waist,
            ribs,
            0.071 * unit,
            max(0.078 * unit, 0.42 * wide),
            "shirt",
            stripe,
            0.55,
            squash(s.trunk, (1.0, 1.0, 0.68)),
        )
        # Below the hem the trousers begin: one body, so that nothing gapes when it bends.
        seat = 0.5 * self._body.hip_width + 0.043 * unit
        yield _solid(
            hem,
            waist,
            seat,
            0.069 * unit,
            "trousers",
            "shirt",
            0.08,
            squash(s.pelvis, (1.0, 0.72, 0.68)),
        )
        for side, _, _ in _SIDES:
            bare = ("skin", 0.5) if self._look.shirt_cut == "tank" else (None, 2.0)
            shoulder = s[f"{side}_shoulder"]
            yield _solid(
                self._hips + 0.90 * up, shoulder, 0.046 * unit, 0.032 * unit, "shirt", *bare
            )
            yield _solid(
                self._hips + 1.04 * up,
                shoulder - 0.03 * up,
                0.033 * unit,
                0.028 * unit,
                "shirt",
                *bare,
            )
        yield _solid(self._hips + 0.98 * up, s.neck_m + s.head[:, 1] * (0.03 * self._height),
                     0.030 * unit, 0.029 * self._height, "skin")  # fmt: skip

    # -- limbs ----------------------------------------------------------------

    def arms(self) -> Iterator[Solid]:
        s, unit = self._s, self._thick
        cut = self._look.shirt_cut
        for side, _, _ in _SIDES:
            shoulder, elbow, wrist = (
                s[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist")
            )
            flesh = "shirt" if cut == "long" else "skin"
            loose = 1.10 if cut == "long" else 1.0
            yield _solid(shoulder, elbow, 0.0285 * unit * loose, 0.0225 * unit * loose, flesh)
            yield _solid(
                elbow,
                wrist,
                0.0232 * unit * loose,
                0.0155 * unit * loose,
                flesh,
                "stripe" if cut == "long" else None,
                0.86,
            )
            if cut == "tee":
                hem = shoulder + 0.52 * (elbow - shoulder)
                yield _solid(
                    shoulder,
                    hem,
                    0.0325 * unit,
                    0.0335 * unit,
                    "shirt",
                    "stripe" if self._look.stripe else None,
                    0.8,
                )
        for side, _, index in _SIDES:
            yield from self._hand(side, index)

    def _hand(self, side: str, index: int) -> Iterator[Solid]:
        along, thumb = self._s.hands[index]
        size, wrist = self._body.hand, self._s[f"{side}_wrist"]
        frame = np.stack([thumb, along, np.cross(thumb, along)], axis=1)

        def at(aside: float, forward: float, out: float = 0.0) -> Floats:
            return np.asarray(wrist + frame @ (size * np.array([aside, forward, out])))

        flat = squash(frame, (1.0, 1.0, 0.55))
        yield _solid(at(0, 0.05), at(0, 0.40), 0.155 * size, 0.215 * size, "skin", squashed=flat)
        for aside, spread, tip in ((0.155, 0.235, 0.92), (0.055, 0.075, 1.0), (-0.05, -0.08, 0.95),
                                   (-0.145, -0.22, 0.80)):  # fmt: skip
            yield _solid(at(aside, 0.48), at(spread, tip), 0.062 * size, 0.050 * size, "skin")
        yield _solid(at(0.12, 0.18), at(0.34, 0.50), 0.080 * size, 0.058 * size, "skin")

    def legs(self) -> Iterator[Solid]:
        s, unit = self._s, self._thick
        cut = self._look.trousers_cut
        for side, _, index in _SIDES:
            hip, knee, ankle = (s[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
            cloth = "skin" if cut == "shorts" else "trousers"
            loose = 1.12 if cut == "long" else 1.0
            yield _solid(hip, knee, 0.0535 * unit, 0.0335 * unit * loose, cloth)
            if cut == "shorts":
                yield _solid(
                    hip, hip + 0.68 * (knee - hip), 0.0560 * unit, 0.0500 * unit, "trousers"
                )
            calf = knee + 0.32 * (ankle - knee) - s.feet[index][:, 2] * (0.006 * unit)
            yield _solid(knee, calf, 0.0325 * unit * loose, 0.0335 * unit * loose, cloth)
            end = calf + 0.86 * (ankle - calf)
            yield _solid(
                calf,
                end,
                0.0335 * unit * loose,
                (0.030 if cut == "long" else 0.021) * unit,
                cloth,
                "sock" if cut == "shorts" else None,
                0.8,
            )
            yield _solid(
                end, ankle, 0.0190 * unit, 0.0200 * unit, "sock" if cut != "leggings" else "skin"
            )
            yield from self._shoe(ankle, s.feet[index])

    def _shoe(self, ankle: Floats, frame: Floats) -> Iterator[Solid]:
        foot, tall = self._body.foot, self._body.ankle

        def at(up: float, front: float) -> Floats:
            return np.asarray(ankle + frame @ np.array([0.0, up * tall, front * foot]))

        heel, toe = 0.56 * tall, 0.46 * tall
        yield _solid(
            at(-0.38, -0.06),
            at(-0.50, 0.56),
            heel,
            toe,
            "shoes",
            squashed=squash(frame, (0.98, 0.95, 1.0)),
        )
        yield _solid(at(-0.20, -0.02), at(-0.42, 0.34), 0.50 * tall, 0.46 * tall, "shoes")
        yield _solid(
            at(-0.84, -0.08),
            at(-0.84, 0.56),
            0.54 * tall,
            0.52 * tall,
            "sole",
            squashed=squash(frame, (1.04, 0.30, 1.06)),
        )

    # -- head -----------------------------------------------------------------

    def _in_head(self, place: Vector) -> Floats:
        return np.asarray(self._s.head_m + self._s.head @ (self._body.head * np.array(place)))

    def _part(
        self,
        begin: Vector,
        end: Vector,
        begin_heads: float,
        end_heads: float,
        paint: str,
        scales: Vector | None = None,
    ) -> Solid:
        size = self._body.head
        return _solid(
            self._in_head(begin), self._in_head(end), begin_heads * size, end_heads * size, paint,
            squashed=None if scales is None else squash(self._s.head, scales),
        )  # fmt: skip

    def _ball(self, place: Vector, heads: float, paint: str, scales: Vector | None = None) -> Solid:
        return self._part(place, place, heads, heads, paint, scales)

    def head(self) -> Iterator[Solid]:
        yield self._ball((0, 0.10, -0.03), 0.385, "skin", (0.86, 1.0, 1.06))
        yield self._part((0, 0.02, 0.06), (0, -0.320, 0.125), 0.310, 0.165, "skin", (0.95, 1, 1))
        yield self._part((0, 0.03, 0.345), (0, -0.090, 0.405), 0.024, 0.047, "skin")
        yield self._part((-0.028, -0.105, 0.385), (0.028, -0.105, 0.385), 0.032, 0.032, "skin")
        for x in (1, -1):
            yield self._ball((0.330 * x, -0.02, -0.01), 0.085, "skin", (0.4, 1.0, 0.7))
            yield self._ball((0.130 * x, 0.035, 0.318), 0.056, "white", (1.15, 0.76, 0.8))
            yield self._ball((0.127 * x, 0.037, 0.335), 0.036, "iris")
            yield self._ball((0.125 * x, 0.038, 0.355), 0.020, "dark")
            yield self._ball((0.118 * x, 0.050, 0.372), 0.007, "white")
            lid = (0.130 * x, 0.078, 0.345)
            yield self._part((0.068 * x, 0.058, 0.345), lid, 0.010, 0.014, "dark")
            yield self._part(lid, (0.198 * x, 0.056, 0.300), 0.014, 0.011, "dark")
            yield self._part(
                (0.070 * x, 0.132, 0.348), (0.145 * x, 0.152, 0.330), 0.018, 0.019, "brow"
            )
            yield self._part(
                (0.145 * x, 0.152, 0.330), (0.215 * x, 0.122, 0.270), 0.019, 0.010, "brow"
            )
            yield self._part((0, -0.232, 0.368), (0.095 * x, -0.215, 0.318), 0.015, 0.010, "lip")
        yield self._part((-0.045, -0.258, 0.350), (0.045, -0.258, 0.350), 0.022, 0.022, "lip")

    def hair(self) -> Iterator[Solid]:
        cut = self._look.hair_cut
        if cut == "curls":
            yield from self._curls()
            return
        yield self._ball((0, 0.145, -0.055), 0.415, "hair", (0.90, 1.0, 1.0))
        if cut in ("bob", "long"):  # with a fringe
            yield self._ball((0, 0.290, 0.085), 0.285, "hair", (1.04, 0.55, 1.0))
            low = -0.36 if cut == "bob" else -0.72
            for x in (1, -1):
                yield self._part(
                    (0.295 * x, 0.16, -0.03), (0.315 * x, low, 0.02), 0.120, 0.095, "hair"
                )
            yield self._part(
                (0, 0.08, -0.16), (0, low - 0.04, -0.20), 0.330, 0.240, "hair", (1.0, 1.0, 0.8)
            )
        elif cut == "short":
            yield self._ball((0.05, 0.430, 0.080), 0.240, "hair", (1.25, 0.60, 1.0))
        elif cut == "bun":
            yield self._ball((0, 0.560, -0.170), 0.175, "hair", (1.0, 0.85, 1.0))
        else:  # a tail
            yield self._ball((0, 0.38, -0.40), 0.110, "stripe")
            yield self._part((0, 0.40, -0.45), (0.06, -0.42, -0.62), 0.130, 0.050, "hair")

    def _curls(self) -> Iterator[Solid]:
        yield self._ball((0, 0.17, -0.09), 0.44, "hair", (0.94, 1.0, 1.0))
        # Balls evenly over the half of a ball that looks up and back (a Fibonacci lattice).
        count = 34
        for k in range(count):
            up = 1 - 1.35 * (k + 0.5) / count
            turn = k * 2.399963
            level = np.sqrt(1 - up * up)
            x, z = float(level * np.sin(turn)), float(level * np.cos(turn))
            if (up < 0.42 and z > 0.30) or (up < 0.1 and z > 0.05):
                continue  # the face
            yield self._ball((0.40 * x, 0.17 + 0.43 * up, -0.08 + 0.42 * z), 0.125, "hair")
