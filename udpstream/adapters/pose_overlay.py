"""Drawing a score and the pose it is of on a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from udpstream.adapters.skeleton import draw_skeleton
from udpstream.scored import Scored


class PoseOverlay:
    """Draws one stream's scores on its pictures."""

    def draw(self, canvas_bgr: NDArray[np.uint8], scored: Scored, *, pose: bool = True) -> None:
        """Draw a scored frame's pose, and what is said of it.

        Args:
            canvas_bgr: `(h, w, 3)` uint8 BGR, C-contiguous, drawn on in place.
            scored: what to draw.
            pose: whether the pose still belongs to the picture.
        """
        if pose and scored.landmarks is not None:
            draw_skeleton(canvas_bgr, scored.landmarks)
