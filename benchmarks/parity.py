"""How fast parity is made and used, and how else rows could be multiplied in GF(256).

    python -m benchmarks.parity

Prints two tables in Markdown: eight ways to multiply a coefficient matrix with rows of
bytes, all of them checked to give the same bytes, and `encode` and `restore` as shipped.
Tables that do not depend on the data are made beforehand. Times are medians, in
milliseconds, on one core.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from udpstream.core.gf256 import EXP, INVERSE, LOG, ORDER, PRODUCT, ByteArray, combine, lane_tables
from udpstream.core.parity import encode, restore

SEED = 1
SECONDS_EACH = 0.3
# (data chunks, parity chunks, bytes in a chunk)
SHAPES = [
    (25, 5, 1384),
    (98, 1, 1384),
    (98, 8, 1384),
    (98, 20, 1384),
    (225, 30, 1384),
    (14, 2, 60_000),
]

Multiply: TypeAlias = Callable[[ByteArray], ByteArray]
Words: TypeAlias = npt.NDArray[np.uint64]


def lanes_of_8(matrix: ByteArray) -> Multiply:
    """One lookup of eight products per byte: as shipped."""
    tables = lane_tables(matrix)
    return lambda rows: combine(tables, rows)[: len(matrix)]


def lanes_of_32(matrix: ByteArray) -> Multiply:
    """One lookup of 32 products per byte."""
    words = 32 // 8
    tables = []
    for first in range(0, len(matrix), 32):
        products = PRODUCT[matrix[first : first + 32]]
        lanes = np.zeros((matrix.shape[1], 256, 32), np.uint8)
        lanes[:, :, : len(products)] = products.transpose(1, 2, 0)
        tables.append(lanes.view(np.uint64))

    def multiply(rows: ByteArray) -> ByteArray:
        sums = np.zeros((len(tables), rows.shape[1], words), np.uint64)
        for position, row in enumerate(rows):
            values = row.astype(np.intp)
            for group, table in enumerate(tables):
                sums[group] ^= table[position].take(values, axis=0)
        lanes = sums.view(np.uint8).transpose(0, 2, 1)
        return lanes.reshape(-1, rows.shape[1])[: len(matrix)]

    return multiply


def translate(matrix: ByteArray) -> Multiply:
    """`bytes.translate` with one 256-byte table per coefficient."""
    tables = [[PRODUCT[factor].tobytes() for factor in factors] for factors in matrix]

    def multiply(rows: ByteArray) -> ByteArray:
        chunks = [row.tobytes() for row in rows]
        sums = np.empty((len(tables), rows.shape[1]), np.uint8)
        for total, row_tables in zip(sums, tables, strict=True):
            products = b"".join(map(bytes.translate, chunks, row_tables))
            np.bitwise_xor.reduce(np.frombuffer(products, np.uint8).reshape(rows.shape), out=total)
        return sums

    return multiply


def gather_by_row(matrix: ByteArray) -> Multiply:
    """For each input row, all outputs' products by one `take` from the product table."""
    tables = [PRODUCT[factors] for factors in matrix.T]

    def multiply(rows: ByteArray) -> ByteArray:
        sums = np.zeros((len(matrix), rows.shape[1]), np.uint8)
        for table, row in zip(tables, rows, strict=True):
            sums ^= table.take(row.astype(np.intp), axis=1)
        return sums

    return multiply


def gather_2d(matrix: ByteArray) -> Multiply:
    """For each output, ``PRODUCT[factors[:, None], rows]``."""

    def multiply(rows: ByteArray) -> ByteArray:
        sums = np.empty((len(matrix), rows.shape[1]), np.uint8)
        for total, factors in zip(sums, matrix, strict=True):
            np.bitwise_xor.reduce(PRODUCT[factors[:, None], rows], out=total)
        return sums

    return multiply


def log_exp(matrix: ByteArray) -> Multiply:
    """Logarithms added, powers looked up; the logarithm of 0 points at zeros."""
    log = LOG.copy()
    log[0] = 2 * ORDER
    exp = np.zeros(3 * ORDER, np.uint8)
    exp[: 2 * ORDER] = EXP
    factors_log = LOG[matrix]

    def multiply(rows: ByteArray) -> ByteArray:
        rows_log = log.take(rows)
        sums = np.empty((len(matrix), rows.shape[1]), np.uint8)
        for total, factors in zip(sums, factors_log, strict=True):
            np.bitwise_xor.reduce(exp.take(rows_log + factors[:, None]), out=total)
        return sums

    return multiply


def pairs(matrix: ByteArray) -> Multiply:
    """Two bytes at a time, 128 KiB of table per coefficient."""
    tables = {}
    for factor in np.unique(matrix):
        products = PRODUCT[factor].astype(np.uint16)
        tables[int(factor)] = (products | products[:, None] << 8).ravel()
    chosen = [[tables[factor] for factor in factors] for factors in matrix.tolist()]

    def multiply(rows: ByteArray) -> ByteArray:
        size = rows.shape[1]
        values = np.pad(rows, ((0, 0), (0, size % 2))).view(np.uint16).astype(np.intp)
        sums = np.zeros((len(chosen), values.shape[1]), np.uint16)
        for output, row_tables in enumerate(chosen):
            for table, row in zip(row_tables, values, strict=True):
                sums[output] ^= table.take(row)
        return sums.view(np.uint8)[:, :size]

    return multiply


def bit_sliced(matrix: ByteArray) -> Multiply:
    """Only XOR and shifts of 64-bit words.

    The rows of four inputs are summed in all 16 ways. For each bit of the coefficients,
    highest first, an output is doubled and takes one of these 16 from each four.
    """
    outputs, inputs = matrix.shape
    fours = -(-inputs // 4)
    padded = np.zeros((outputs, fours * 4), np.uint8)
    padded[:, :inputs] = matrix
    bits = (padded >> np.arange(8)[:, None, None]) & 1
    subsets = (bits.reshape(8, outputs, fours, 4) << np.arange(4)).sum(axis=-1)
    picks = np.arange(fours) * 16 + subsets

    def doubled(words: Words) -> Words:
        high = words >> np.uint64(7) & np.uint64(0x0101010101010101)
        low = words & np.uint64(0x7F7F7F7F7F7F7F7F)
        return low << np.uint64(1) ^ high * np.uint64(0x1D)

    def multiply(rows: ByteArray) -> ByteArray:
        size = rows.shape[1]
        words = -(-size // 8)
        filled = np.zeros((fours * 4, words * 8), np.uint8)
        filled[:inputs, :size] = rows
        four = filled.view(np.uint64).reshape(fours, 4, words)
        subset_sums = np.zeros((fours, 16, words), np.uint64)
        for bit in range(4):
            half = 1 << bit
            subset_sums[:, half : 2 * half] = subset_sums[:, :half] ^ four[:, bit, None]
        candidates = subset_sums.reshape(-1, words)
        sums = np.zeros((outputs, words), np.uint64)
        for bit in range(7, -1, -1):
            sums = doubled(sums)
            for output in range(outputs):
                sums[output] ^= np.bitwise_xor.reduce(candidates.take(picks[bit, output], axis=0))
        return sums.view(np.uint8)[:, :size]

    return multiply


WAYS = [lanes_of_8, lanes_of_32, bit_sliced, translate, gather_by_row, log_exp, pairs, gather_2d]


def median_ms(call: Callable[[], object]) -> float:
    """Call for a while, at least five times, and return the median time."""
    times_s: list[float] = []
    end_s = time.perf_counter() + SECONDS_EACH
    while len(times_s) < 5 or time.perf_counter() < end_s:
        start_s = time.perf_counter()
        call()
        times_s.append(time.perf_counter() - start_s)
    return statistics.median(times_s) * 1e3


def compare_ways() -> None:
    """Print the time of each way to multiply, for each shape."""
    rng = np.random.default_rng(SEED)
    heads = [f"{count}+{parity}, {size:,} B" for count, parity, size in SHAPES]
    print("| ms |", " | ".join(heads), "|")
    print("|---|" + "---:|" * len(heads))
    for way in WAYS:
        cells = []
        for count, parity, size in SHAPES:
            rows = rng.integers(0, 256, (count, size), dtype=np.uint8)
            points = 255 - np.arange(count)
            matrix = PRODUCT[points, INVERSE[points ^ np.arange(parity)[:, None]]]
            multiply = way(matrix)
            if not np.array_equal(multiply(rows), encode(rows, parity)):
                raise SystemExit(f"{way.__name__} gives other bytes than encode")
            cells.append(f"{median_ms(partial(multiply, rows)):.2f}")
        print(f"| {way.__name__} |", " | ".join(cells), "|")


def time_shipped() -> None:
    """Print the time of `encode`, and of `restore` for one loss and for all it can repair."""
    rng = np.random.default_rng(SEED)
    print("| chunks | encode | restore 1 | restore all |")
    print("|---|---:|---:|---:|")
    for count, parity, size in SHAPES:
        data = rng.integers(0, 256, (count, size), dtype=np.uint8)
        parity_rows = encode(data, parity)
        indices = list(range(parity))
        lost = rng.choice(count, parity, replace=False).tolist()
        rows = data.copy()
        encode_ms = median_ms(partial(encode, data, parity))
        one_ms = median_ms(partial(restore, rows, lost[:1], parity_rows, indices))
        all_ms = median_ms(partial(restore, rows, lost, parity_rows, indices))
        if not np.array_equal(rows, data):
            raise SystemExit(f"{count}+{parity} was not restored")
        print(f"| {count}+{parity}, {size:,} B | {encode_ms:.2f} | {one_ms:.2f} | {all_ms:.2f} |")


def main() -> None:
    """Print where this runs, then both tables."""
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"CPython {platform.python_version()}, numpy {np.__version__}, seed {SEED}\n"
    )
    compare_ways()
    print()
    time_shipped()


if __name__ == "__main__":
    main()
