"""Parity chunks: a systematic Reed-Solomon code over GF(256) that repairs erasures.

A block of k data chunks and m parity chunks, k + m at most 255, is restored from any k
of them. Data chunk i has position i in the codeword, parity chunk j position k + j. Each
offset in the chunks is a codeword of its own:

    parity[j] = sum over i of c(j, i) · data[i],    c(j, i) = n / (n + j),  n = 255 - i

with the sums, product and quotient of GF(256), where + is XOR. c depends on neither k
nor m. So parity chunk j is the same however many are made, and a block with fewer data
chunks is the same as one filled up with chunks of zeros. c(0, i) is 1: the first parity
chunk is the plain XOR of the data.

Why any k suffice. Give parity chunk j the point x = j and data chunk i the point
y = 255 - i. As j + i <= (m - 1) + (k - 1) <= 253, j < 255 - i: the points of all chunks
differ, and x + y is never 0. The matrix 1 / (x + y) is then a Cauchy matrix; the
determinant of any square part of it, for points x_1..x_e and y_1..y_e, is

    product of (x_p + x_q)(y_p + y_q) over p < q  /  product of (x_p + y_q) over all p, q

which has no factor 0. The factors n scale columns, none by 0, and leave it so. If e data
chunks are missing, e parity chunks give e equations for them, whose matrix is such a
part: it has exactly one solution. `_solution` writes its inverse down the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from udpstream.core.gf256 import (
    EXP,
    INVERSE,
    LANES,
    LOG,
    ORDER,
    PRODUCT,
    ByteArray,
    LaneTable,
    combine,
    lane_tables,
)
from udpstream.errors import ParityError

MAX_CHUNKS = 255  # data and parity: the points must differ, and index 255 is a control's

_LAST_POINT = 255  # the point of data chunk 0; later ones count down from it

IndexArray: TypeAlias = npt.NDArray[np.intp]


def encode(data: ByteArray, parity: int) -> ByteArray:
    """Compute the parity chunks of a block.

    Args:
        data: `(k, S)` uint8, the data chunks in order, of any strides; not retained.
        parity: how many parity chunks to make; 0 is allowed.

    Returns:
        `(parity, S)` uint8; row j belongs to codeword position k + j.

    Raises:
        ParityError: the data is not of that form, or k + parity is not 1 to 255.
    """
    _check_rows(data, "data")
    if parity < 0 or len(data) + parity > MAX_CHUNKS:
        raise ParityError(
            f"{len(data)} data and {parity} parity chunks in one block: at most "
            f"{MAX_CHUNKS} in all; use more blocks or less parity"
        )
    return _parity_rows(data, range(parity))


def restore(
    rows: ByteArray,
    missing: Sequence[int],
    parity_rows: ByteArray,
    parity_indices: Sequence[int],
) -> None:
    """Fill the missing data chunks of a block, in place.

    As many parity chunks are used as data chunks are missing: those with the lowest
    indices. What the rows of missing chunks hold before does not matter. Nothing is
    changed when an error is raised.

    Args:
        rows: `(k, S)` uint8, writable, of any strides: the block's data chunks.
        missing: positions, 0 to k - 1, of the rows to fill, in any order.
        parity_rows: `(p, S)` uint8, parity chunks of the block; not retained.
        parity_indices: j of each of these rows, that is, its codeword position less that
            of the first parity chunk, in any order.

    Raises:
        ParityError: there is less parity than there are holes, or the arguments do not
            have that form.
    """
    _check_rows(rows, "data")
    count = len(rows)
    _check_indices(missing, count, f"missing chunks among {count} data chunks")
    _check_indices(parity_indices, MAX_CHUNKS - count, f"parity chunks beside {count} data chunks")
    if len(parity_indices) < len(missing):
        raise ParityError(
            f"{len(missing)} data chunks are missing and there are {len(parity_indices)} "
            "parity chunks: wait for more, or give the block up"
        )
    if not missing:
        return
    _check_rows(parity_rows, "parity")
    if parity_rows.shape != (len(parity_indices), rows.shape[1]):
        raise ParityError(
            f"parity rows of shape {parity_rows.shape} for {len(parity_indices)} indices and "
            f"chunks of {rows.shape[1]} bytes: give one row of that size for each index"
        )
    if not rows.flags.writeable:
        raise ParityError("the data rows are read-only and cannot be filled: give a copy")

    holes = np.array(missing, np.intp)
    chosen = np.argsort(parity_indices)[: len(missing)]
    indices = np.array(parity_indices, np.intp)[chosen]
    rows[holes] = 0  # so that they add nothing to the sums
    remainders = parity_rows[chosen] ^ _parity_rows(rows, indices.tolist())
    rows[holes] = combine(lane_tables(_solution(indices, holes)), remainders)[: len(holes)]


def _parity_rows(rows: ByteArray, indices: Sequence[int]) -> ByteArray:
    """Compute the parity chunks with the given indices, `(len(indices), S)`."""
    parity = np.empty((len(indices), rows.shape[1]), np.uint8)
    groups = sorted({(index - 1) // LANES for index in indices if index})
    coded = combine([_group_tables(group) for group in groups], rows) if groups else parity
    for place, index in enumerate(indices):
        if index:
            group, lane = divmod(index - 1, LANES)
            parity[place] = coded[groups.index(group) * LANES + lane]
        else:
            parity[place] = np.bitwise_xor.reduce(rows, axis=0)
    return parity


# Parity chunk 0 needs no tables, so group g has the chunks 1 + 8g to 8 + 8g. There are no
# more than 32 groups: 8.5 MB if a sender goes through them all, 0.5 MB up to 9 chunks.
@lru_cache(maxsize=32)
def _group_tables(group: int) -> LaneTable:
    first = 1 + group * LANES
    inputs = np.arange(MAX_CHUNKS - 1 - first)  # chunk `first` has no place beside more
    indices = np.arange(first, min(first + LANES, MAX_CHUNKS))
    (table,) = lane_tables(_coefficients(indices, inputs))
    return table


def _coefficients(indices: IndexArray, positions: IndexArray) -> ByteArray:
    """Return c(j, i), `(len(indices), len(positions))`; anything where j + i is 255."""
    points = _LAST_POINT - positions
    coefficients: ByteArray = PRODUCT[points, INVERSE[points ^ indices[:, None]]]
    return coefficients


def _solution(indices: IndexArray, holes: IndexArray) -> ByteArray:
    """Invert c(j, i) for e parity indices j and e missing positions i, `(e, e)`.

    The inverse of a Cauchy matrix, element (q, p), is

        product over all l of (x_p + y_l)(x_l + y_q)
        / (x_p + y_q) / product over l != p of (x_p + x_l) / product over l != q of (y_q + y_l)

    and the factors n = y_q of the columns divide its rows. In logarithms it is all sums.
    """
    x, y = indices, _LAST_POINT - holes
    ones = np.eye(len(x), dtype=np.intp)  # in the place of l = p and l = q, to add nothing
    crossed = LOG[y[:, None] ^ x]
    among_x = LOG[(x[:, None] ^ x) | ones].sum(axis=0)
    among_y = LOG[(y[:, None] ^ y) | ones].sum(axis=0) + LOG[y]
    exponents = crossed.sum(axis=0) + crossed.sum(axis=1)[:, None] - crossed
    inverse: ByteArray = EXP[(exponents - among_x - among_y[:, None]) % ORDER]
    return inverse


def _check_rows(rows: ByteArray, name: str) -> None:
    if rows.ndim != 2 or rows.dtype != np.uint8 or not rows.size:
        raise ParityError(
            f"{name} of shape {rows.shape} and type {rows.dtype}: chunks are the rows of a "
            "two-dimensional uint8 array, at least one row of at least one byte"
        )


def _check_indices(indices: Sequence[int], limit: int, what: str) -> None:
    if len(set(indices)) != len(indices) or not all(0 <= index < limit for index in indices):
        raise ParityError(f"{what}: {list(indices)} are not distinct and from 0 to {limit - 1}")
