"""What the dancer is drawn of: round cones.

A round cone is what a ball sweeps that moves along a line and grows on its way: limbs,
fingers, a skull are such things, or such things squashed along an axis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udpstream.core.dancer.camera import Camera

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


class Solid(NamedTuple):
    """A round cone in the world, in metres.

    `split` is the share of the way from `begin` to `end` at which `paint` gives way to
    `paint_after`. `squash` is a `(3, 3)` symmetric matrix of the world: the cone is round
    once it has been applied; None leaves it round.
    """

    begin: Floats
    end: Floats
    begin_m: float
    end_m: float
    paint: int
    paint_after: int
    split: float = 2.0
    squash: Floats | None = None


class Buffers(NamedTuple):
    """What is seen at each pixel: how far, which solid, and where along it."""

    depth: Singles
    number: NDArray[np.int16]
    share: Singles


class Seen(NamedTuple):
    """Solids before the camera, in the spaces where they are round: the first axis is theirs."""

    matrices: Floats  # from the camera's axes into those spaces
    begins: Floats
    ways: Floats
    begins_m: Floats
    ends_m: Floats


def squash(frame: Floats, scales: tuple[float, float, float]) -> Floats:
    """Return the `squash` of a solid that is so much wider along a frame's three columns."""
    return np.asarray((frame / np.array(scales)) @ frame.T)


def find_in_view(
    solids: list[Solid],
    camera: Camera,
    focal: float,
    centre: tuple[float, float],
    size_wh: tuple[int, int],
) -> tuple[Seen, NDArray[np.int64]]:
    """Return solids before the camera, and left, top, right, bottom of what they may cover."""
    round_one = np.eye(3)
    squashes = np.stack([round_one if s.squash is None else s.squash for s in solids])
    matrices = camera.axes @ squashes @ camera.axes.T
    ends = camera.view(np.array([(s.begin, s.end) for s in solids]))
    radii = np.array([(s.begin_m, s.end_m) for s in solids])
    inner = np.einsum("nij,nej->nei", matrices, ends)
    seen = Seen(matrices, inner[:, 0], inner[:, 1] - inner[:, 0], radii[:, 0], radii[:, 1])
    # A squashed ball reaches along an axis as far as its inverse matrix's row is long.
    reach = radii[:, :, None] * np.linalg.norm(np.linalg.inv(matrices), axis=2)[:, None]
    near = np.maximum(ends[..., 2:] - reach[..., 2:], 0.05)
    corners = np.concatenate(
        [(ends[..., :2] + sign * reach[..., :2]) / depth
         for sign in (-1, 1) for depth in (near, near + 2 * reach[..., 2:])], axis=1,
    ) * focal + centre  # fmt: skip
    first = np.floor(np.clip(corners.min(axis=1), 0, size_wh))
    last = np.ceil(np.clip(corners.max(axis=1), 0, size_wh))
    return seen, np.concatenate([first, last], axis=1).astype(np.int64)
