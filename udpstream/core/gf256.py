"""Arithmetic in GF(256): single values by table, whole rows of bytes by lanes.

The field is that of the polynomial x⁸ + x⁴ + x³ + x² + 1 (``0x11D``) with generator 2.
Addition and subtraction are both XOR, numpy's ``^``.

Rows are multiplied and summed eight outputs at a time. A lane table holds, for one
input row and each of the 256 values of a byte, the eight products with the eight
outputs' coefficients, side by side in one 64-bit word. One lookup and one XOR per input
byte then advance eight sums. `combine` has the figures, beside seven other ways, that
``benchmarks/parity.py`` measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

ByteArray: TypeAlias = npt.NDArray[np.uint8]
LaneTable: TypeAlias = npt.NDArray[np.uint64]

POLYNOMIAL = 0x11D
GENERATOR = 2
ORDER = 255  # of the multiplicative group: the generator's powers repeat after as many
LANES = 8  # bytes in one 64-bit word


def _powers() -> tuple[ByteArray, npt.NDArray[np.int64]]:
    exp = np.zeros(2 * ORDER, np.uint8)
    log = np.zeros(256, np.int64)
    value = 1
    for exponent in range(ORDER):
        exp[exponent] = exp[exponent + ORDER] = value
        log[value] = exponent
        value *= GENERATOR
        if value > 255:
            value ^= POLYNOMIAL
    return exp, log


EXP, LOG = _powers()
"""``EXP[n]`` is generator**n for n from 0 to 509; ``LOG`` undoes it. ``LOG[0]`` means nothing."""

PRODUCT: ByteArray = EXP[LOG[:, None] + LOG]
"""``PRODUCT[a, b]`` is a times b, `(256, 256)`."""
PRODUCT[0] = 0
PRODUCT[:, 0] = 0

INVERSE: ByteArray = EXP[ORDER - LOG]
"""``INVERSE[a]`` is 1 / a, `(256,)`; zero has no inverse, and 0 stands in its place."""
INVERSE[0] = 0

for _table in (EXP, LOG, PRODUCT, INVERSE):
    _table.flags.writeable = False


def lane_tables(coefficients: ByteArray) -> list[LaneTable]:
    """Prepare a matrix for `combine`.

    Args:
        coefficients: `(m, k)` uint8; row j has the factors of the k inputs in output j.

    Returns:
        ⌈m / 8⌉ tables, each `(k, 256)` uint64, 2 KiB per input row. In memory, byte l of
        a word of table t belongs to output 8·t + l; lanes past the last output are zero.
    """
    outputs, inputs = coefficients.shape
    tables = []
    for first in range(0, outputs, LANES):
        lanes = np.zeros((inputs, 256, LANES), np.uint8)
        products = PRODUCT[coefficients[first : first + LANES]]
        lanes[:, :, : len(products)] = products.transpose(1, 2, 0)
        tables.append(lanes.view(np.uint64)[:, :, 0])
    return tables


def combine(tables: Sequence[LaneTable], rows: ByteArray) -> ByteArray:
    """Multiply a prepared matrix with rows of bytes.

    Args:
        tables: from `lane_tables`, for at least as many inputs as there are rows.
        rows: `(k, S)` uint8, of any strides; not retained.

    Returns:
        `(8 * len(tables), S)` uint8: output j is the sum over i of coefficient (j, i)
        times row i. Outputs past the matrix's last are zero.
    """
    # Milliseconds for inputs + outputs, rows of 1,384 bytes, one core of a Xeon, numpy 2.4:
    #
    #                                        25+5   98+8  98+20  225+30
    #   lookup of 8 products at once (this)  0.06   0.23   0.56    1.7
    #   lookup of 32 products at once        0.09   0.34   0.32    0.8
    #   bit-sliced, XOR of 64-bit words      0.15   0.34   0.69    1.8
    #   bytes.translate by coefficient       0.10   0.57   1.35    4.5
    #   take from the product table          0.13   0.68   1.54    5.3
    #   logarithms added                     0.21   1.39   3.24   13.0
    #   two bytes at a time, 16-bit tables   0.37   2.46   6.44   23.7
    #   PRODUCT[factors[:, None], rows]      0.51   3.16   7.98   27.6
    #
    # 32 at once win from 17 outputs on, lose below, and take four times the tables.
    size = rows.shape[1]
    sums = np.zeros((len(tables), size), np.uint64)
    totals = list(sums)
    for position, row in enumerate(rows):
        values = row.astype(np.intp)  # once, rather than in each lookup
        for group, table in enumerate(tables):
            totals[group] ^= table[position].take(values)
    lanes = sums.view(np.uint8).reshape(len(tables), size, LANES)
    return lanes.transpose(0, 2, 1).reshape(len(tables) * LANES, size)
