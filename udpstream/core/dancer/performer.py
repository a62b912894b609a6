"""A dancer: a body that dances before a camera, with the truth about every moment."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from udpstream.core.dancer.body import Body, Look, make_body, make_look
from udpstream.core.dancer.camera import Camera, frame_dancer
from udpstream.core.dancer.dance import PERIOD_S, pose_at, standing_at
from udpstream.core.dancer.faults import Faults
from udpstream.core.dancer.kinematics import Skeleton, build_skeleton
from udpstream.core.landmarks import PLACE

_WALK_S = 1.0  # out of the picture, and back


class Dancer:
    """A body, a look and a camera by seed, and what they do at every time.

    Attributes:
        body: lengths.
        look: colours and cuts.
        faults: what is done wrong on purpose.
    """

    def __init__(
        self, seed: int = 0, faults: Faults | None = None, *, camera_seed: int | None = None
    ) -> None:
        """Make a dancer.

        Args:
            seed: of the body and the look, and of the camera unless it has its own.
            faults: none for None.
            camera_seed: of the camera alone.
        """
        self.faults = faults or Faults()
        self.body: Body = make_body(np.random.default_rng([seed, 1]))
        self.look: Look = make_look(np.random.default_rng([seed, 2]))
        rng = np.random.default_rng([seed if camera_seed is None else camera_seed, 3])
        self._yaw_deg = rng.uniform(-18, 18)
        self._height_share = rng.uniform(0.50, 0.95)
        self._view_deg = rng.uniform(30, 52)
        self._fill = rng.uniform(0.90, 1.02)

    def camera(self, size_wh: tuple[int, int]) -> Camera:
        """Return the camera: its distance depends on the picture's proportions."""
        return frame_dancer(
            self.body.height,
            size_wh[0] / size_wh[1],
            yaw_deg=self._yaw_deg,
            height_share=self._height_share,
            view_deg=self._view_deg,
            fill=self._fill,
            offset=self.faults.offset,
        )

    def skeleton(self, time_s: float, size_wh: tuple[int, int]) -> Skeleton:
        """Return the body in space at a time.

        Args:
            time_s: since the music began. The body repeats itself every `PERIOD_S`.
            size_wh: of the picture, which says how far it is to go to leave it.
        """
        faults = self.faults
        at_s = time_s - faults.lag_s
        pose = standing_at(at_s) if faults.still else pose_at(at_s)
        if faults.mirrored:
            pose = pose.mirrored()
        return build_skeleton(self.body, pose, faults.limbs_deg, self._away_m(time_s, size_wh))

    def landmarks(self, time_s: float, size_wh: tuple[int, int]) -> NDArray[np.float32] | None:
        """Return where the 33 landmarks are in the picture at a time.

        Args:
            time_s: since the music began.
            size_wh: width and height of the picture in pixels.

        Returns:
            `(33, 4)` float32 in MediaPipe's order: x and y in shares of the picture's
            width and height, 0 at its left and upper edge; z as MediaPipe has it, the
            depth behind the middle of the hips at the scale of x; visibility, which is
            1 within the picture and 0 beside it, whatever may hide the point. None if
            all are beside it.
        """
        camera = self.camera(size_wh)
        points_m = self.skeleton(time_s, size_wh).points_m
        shares = camera.project(points_m, size_wh) / size_wh
        depths = camera.view(points_m)[:, 2]
        hips = depths[[PLACE["left_hip"], PLACE["right_hip"]]].mean()
        z = (depths - hips) * (camera.focal_px(size_wh) / hips / size_wh[0])
        inside = np.all((shares >= 0) & (shares < 1), axis=1)
        if not inside.any():
            return None
        return np.column_stack([shares, z, inside]).astype(np.float32)

    def _away_m(self, time_s: float, size_wh: tuple[int, int]) -> tuple[float, float, float]:
        """How far the dancer has gone out of the picture, to its right."""
        if self.faults.away_s is None:
            return 0.0, 0.0, 0.0
        begin, end = self.faults.away_s
        at_s = time_s % PERIOD_S
        # The same window one period before and after: it may reach over the seam.
        share = max(
            float(np.interp(at_s + turn, [begin - _WALK_S, begin, end, end + _WALK_S],
                            [0.0, 1.0, 1.0, 0.0]))
            for turn in (-PERIOD_S, 0.0, PERIOD_S)
        )  # fmt: skip
        share = share * share * (3 - 2 * share)
        right, far_m = _way_out(self.camera(size_wh), size_wh, self.body.height)
        return float(right[0] * far_m * share), 0.0, float(right[2] * far_m * share)


@lru_cache(maxsize=8)
def _way_out(
    camera: Camera, size_wh: tuple[int, int], height_m: float
) -> tuple[NDArray[np.float64], float]:
    """The direction in which the dancer leaves, and how far it is until nothing is seen."""
    right: NDArray[np.float64] = camera.axes[0]
    distance_m = float(np.linalg.norm(np.subtract(camera.target_m, camera.position_m)))
    edge_m = distance_m * (size_wh[0] - camera.centre_px(size_wh)[0]) / camera.focal_px(size_wh)
    return right, max(0.0, 1.25 * edge_m) + 0.9 * height_m
