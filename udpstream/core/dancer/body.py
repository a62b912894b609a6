"""A body: how long and how thick it is, and what looks it has, by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Body:
    """Lengths in metres between joints; girths are factors of what is drawn.

    Attributes:
        height: crown to floor.
        shoulder_width: between the shoulder joints.
        hip_width: between the hip joints.
        trunk: from the middle of the hips to the middle of the shoulders.
        upper_arm: shoulder to elbow.
        forearm: elbow to wrist.
        thigh: hip to knee.
        shin: knee to ankle.
        ankle: the ankle above the floor.
        head: crown to chin.
        girth: of limbs and trunk, 1 is slim.
    """

    height: float
    shoulder_width: float
    hip_width: float
    trunk: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    ankle: float
    head: float
    girth: float

    @property
    def leg(self) -> float:
        """Hip to ankle, stretched."""
        return self.thigh + self.shin

    @property
    def hand(self) -> float:
        """Wrist to the tip of the fingers."""
        return 0.105 * self.height

    @property
    def foot(self) -> float:
        """Heel to toe."""
        return 0.15 * self.height


def make_body(rng: np.random.Generator) -> Body:
    """Draw a grown-up's body."""
    height = rng.uniform(1.55, 1.92)
    ankle = 0.043 * height
    head = 0.143 * height * rng.uniform(0.96, 1.06)
    leg = height * rng.uniform(0.445, 0.478)
    knee = rng.uniform(0.495, 0.515)
    # What is left of the height: the neck takes its share.
    trunk = height - ankle - leg - head - 0.052 * height
    arm = height * rng.uniform(0.315, 0.340)
    elbow = rng.uniform(0.535, 0.560)
    return Body(
        height=height,
        shoulder_width=height * rng.uniform(0.196, 0.226),
        hip_width=height * rng.uniform(0.108, 0.124),
        trunk=trunk,
        upper_arm=arm * elbow,
        forearm=arm * (1 - elbow),
        thigh=leg * knee,
        shin=leg * (1 - knee),
        ankle=ankle,
        head=head,
        girth=rng.uniform(0.90, 1.22),
    )


@dataclass(frozen=True, slots=True)
class Look:
    """Colours, red, green, blue in 0..255, and cuts of hair and clothes."""

    skin: Rgb
    hair: Rgb
    hair_cut: str
    iris: Rgb
    shirt: Rgb
    shirt_cut: str
    stripe: Rgb | None
    trousers: Rgb
    trousers_cut: str
    shoes: Rgb
    wall: Rgb
    floor: Rgb
    accent: Rgb
    room: str


HAIR_CUTS = ("short", "bob", "long", "bun", "tail", "curls")
SHIRT_CUTS = ("tee", "long", "tank")
TROUSER_CUTS = ("long", "leggings", "shorts")
ROOMS = ("panels", "window", "arches", "frames")

_SKINS = ((250, 214, 188), (240, 194, 160), (222, 170, 130), (190, 132, 92), (150, 98, 66),
          (108, 70, 50))  # fmt: skip
_HAIRS = ((38, 28, 26), (62, 40, 30), (104, 66, 40), (152, 92, 48), (206, 160, 92), (150, 60, 36),
          (120, 118, 122))  # fmt: skip
_IRISES = ((70, 46, 30), (90, 60, 34), (60, 96, 70), (58, 92, 130))
# shirt, trousers, shoes, wall, accent: chosen by eye to go together
_OUTFITS: tuple[tuple[Rgb, Rgb, Rgb, Rgb, Rgb], ...] = (
    ((236, 106, 82), (44, 62, 92), (246, 244, 240), (214, 222, 222), (242, 190, 92)),
    ((250, 196, 70), (58, 74, 108), (238, 92, 82), (196, 214, 224), (94, 134, 168)),
    ((46, 150, 148), (62, 58, 74), (250, 246, 238), (240, 222, 204), (226, 122, 96)),
    ((248, 246, 240), (66, 96, 138), (230, 88, 78), (182, 206, 196), (236, 178, 116)),
    ((126, 88, 158), (42, 44, 58), (244, 240, 246), (230, 216, 226), (246, 190, 110)),
    ((76, 124, 196), (196, 172, 138), (84, 60, 50), (234, 228, 214), (232, 128, 90)),
    ((216, 70, 96), (36, 40, 54), (242, 242, 242), (206, 216, 232), (122, 150, 190)),
    ((94, 146, 92), (70, 56, 50), (246, 226, 190), (238, 230, 210), (212, 140, 80)),
    ((44, 52, 74), (178, 74, 66), (246, 242, 236), (222, 214, 202), (104, 148, 150)),
)
_FLOORS = ((188, 146, 106), (164, 122, 88), (202, 170, 134), (150, 132, 120))


def make_look(rng: np.random.Generator) -> Look:
    """Draw hair, skin, clothes and a room."""
    shirt, trousers, shoes, wall, accent = _OUTFITS[rng.integers(len(_OUTFITS))]
    striped = rng.random() < 0.35
    return Look(
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        hair_cut=HAIR_CUTS[rng.integers(len(HAIR_CUTS))],
        iris=_IRISES[rng.integers(len(_IRISES))],
        shirt=shirt,
        shirt_cut=SHIRT_CUTS[rng.integers(len(SHIRT_CUTS))],
        stripe=accent if striped else None,
        trousers=trousers,
        trousers_cut=TROUSER_CUTS[rng.integers(len(TROUSER_CUTS))],
        shoes=shoes,
        wall=wall,
        floor=_FLOORS[rng.integers(len(_FLOORS))],
        accent=accent,
        room=ROOMS[rng.integers(len(ROOMS))],
    )
