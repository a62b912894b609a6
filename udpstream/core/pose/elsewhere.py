"""The other moments of a reference: is a performer nearer to one of those?

How far another body is from a reference says little by itself: a style or a camera of one's
own moves E at all moments alike. So E here is held against E elsewhere in the reference, as
speaker verification holds a voice against a cohort of others (Rosenberg et al. 1992). Who
dances in time is nowhere nearer than here; who dances out of time, or something else, is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from udpstream.core.pose.itself import EVERY, REPEATS_DEG, ROW_S, against_itself
from udpstream.core.pose.landmarks import Array
from udpstream.core.pose.template import Template

RANGE_S = 10.0  # looked at before and after: more finds more by chance, and costs more
APART_S = 1.5  # from here on a moment is another one

# One of so many moments is near by chance, the less has been seen the nearer. Who is clearly
# nearest here is believed 3 degrees more: of persons who differ much, 93 % pass in time instead
# of 87, and of all others no more (docs/scoring.md). Twice the degrees by which they are nearer
# elsewhere: the dance 5 s late, whose first seconds are alike, passed 13 % of the time with once.
_CHANCE_DEG_S = 3.0
_TRUST_DEG = 3.0
_DOUBT = 2.0
_ENOUGH_S = 240.0  # seconds held against other moments, all together, for all that trust


class Elsewhere:
    """The moments of a reference that a performer is held against.

    Args:
        template: the reference.
        context_s: over how long E is taken.
        loop: whether the reference begins anew where it ends.

    Attributes:
        offsets: `(r,)`: grid steps from a frame's own time to those moments.
    """

    def __init__(self, template: Template, context_s: float, *, loop: bool) -> None:
        self._rows = -(-len(template) // EVERY)
        self._loop = loop
        self._most = min(round(RANGE_S / ROW_S), self._rows - 1)
        self.offsets = np.arange(-self._most, self._most + 1) * EVERY
        width = max(1, round(context_s / ROW_S))
        # [s, row]: by how much the moment s rows before a row is too like it to tell.
        self._alike_deg = np.full((self._most + 1, self._rows), np.inf, np.float32)
        for shift in range(round(APART_S / ROW_S), self._most + 1):
            (apart,) = against_itself(template.sample, shift, [width], wraps=loop)
            apart = np.where(np.isfinite(apart), apart, 0.0)
            self._alike_deg[shift, self._rows - len(apart) :] = np.maximum(REPEATS_DEG - apart, 0)

    def doubt_deg(
        self, here_deg: float, elsewhere_deg: Array, seen_s: Array, place: int, offset: int
    ) -> float:
        """Return what is to be added to E for what E is elsewhere; negative is trust.

        Args:
            here_deg: E of the performer at the moment they are taken to be at ...
            elsewhere_deg: ... and at those of `offsets`, `(r,)` ...
            seen_s: ... and for how many seconds they were seen there, `(r,)`.
            place: the moment they are taken to be at, in grid steps.
            offset: grid steps that lead to it from a frame's own time.
        """
        alike_deg = self._alike(place, offset)
        known = np.isfinite(elsewhere_deg) & np.isfinite(alike_deg) & (seen_s > 0)
        if not known.any():
            return 0.0
        least = elsewhere_deg[known] + alike_deg[known] + _CHANCE_DEG_S / seen_s[known]
        nearer_deg = here_deg - float(least.min())
        told_s = float(seen_s[known & (alike_deg == 0)].sum())
        trust_deg = _TRUST_DEG * min(1.0, told_s / _ENOUGH_S)
        return max(_DOUBT * nearer_deg if nearer_deg > 0 else nearer_deg, -trust_deg)

    def _alike(self, place: int, offset: int) -> NDArray[np.float32]:
        """Return `(r,)`: `_alike_deg` of the moments that `offsets` lead to and of that one."""
        before = np.round((offset - self.offsets) / EVERY).astype(int)
        later = place // EVERY + np.maximum(-before, 0)  # the later one of each pair
        later = later % self._rows if self._loop else later
        shifts = np.abs(before)
        known = (shifts <= self._most) & (later < self._rows)
        alike = self._alike_deg[np.where(known, shifts, 0), np.where(known, later, 0)]
        return np.where(known, alike, np.float32(np.inf))
