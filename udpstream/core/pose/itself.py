"""A reference against itself at other times: where are its moves alike?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from udpstream.core.pose.landmarks import Array
from udpstream.core.pose.match import compare_pairs, errors
from udpstream.core.pose.template import STEP_S, Sample

EVERY = 4  # grid steps between the moments compared, called rows here: 0.1 s
ROW_S = EVERY * STEP_S
REPEATS_DEG = 22.0  # nearer than most persons in time: the same moves again


def against_itself(
    sample: Sample, shift: int, widths: Sequence[int], *, wraps: bool = False
) -> Array:
    """Return E of a reference's windows against itself some time before.

    Args:
        sample: of the reference, on its grid.
        shift: rows between both.
        widths: of the windows, in rows; at the beginning they are cut to what is there.
        wraps: whether what is before the reference is its end.

    Returns:
        `(len(widths), r)`: E of the windows that end at the last `r` rows. Those are all
        if it wraps, and otherwise all but the first `shift`.
    """
    lead = max(widths) if wraps else 0
    later = np.arange(-lead if wraps else shift, -(-len(sample) // EVERY)) * EVERY
    terms = compare_pairs(sample, later % len(sample), (later - shift * EVERY) % len(sample))
    sums = np.concatenate([np.zeros((len(terms), 1)), terms.cumsum(axis=1)], axis=1)
    ends = np.arange(lead + 1, len(later) + 1)
    windows = []
    for width in widths:
        begins = np.maximum(ends - width, 0)
        windows.append(errors(sums[:, ends] - sums[:, begins], (ends - begins) / 2))
    return np.stack(windows)
