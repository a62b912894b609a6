import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_gf256 import slow_product
from udpstream.core.gf256 import ByteArray
from udpstream.core.parity import MAX_CHUNKS, encode, restore
from udpstream.errors import ParityError, UdpStreamError

SLOW_INVERSE = {a: b for a in range(1, 256) for b in range(1, 256) if slow_product(a, b) == 1}

# (k, m): the ends of what is allowed, and the edges of groups of eight.
SHAPES = [
    (1, 1), (1, 254), (254, 1), (250, 5), (128, 127), (225, 30), (30, 225), (98, 8), (98, 20),
    (9, 9), (8, 10), (7, 17),
]  # fmt: skip


def slow_encode(data: list[bytes], parity: int) -> list[bytes]:
    """Compute parity one byte at a time from the wire's description alone."""
    chunks = []
    for j in range(parity):
        sums = [0] * len(data[0])
        for i, chunk in enumerate(data):
            n = 255 - i
            factor = slow_product(n, SLOW_INVERSE[n ^ j])
            sums = [
                total ^ slow_product(factor, byte) for total, byte in zip(sums, chunk, strict=True)
            ]
        chunks.append(bytes(sums))
    return chunks


def random_rows(seed: int, count: int, size: int) -> ByteArray:
    return np.random.default_rng(seed).integers(0, 256, (count, size), dtype=np.uint8)


def as_bytes(rows: ByteArray) -> list[bytes]:
    return [row.tobytes() for row in rows]


def lose_and_restore(data: ByteArray, parity: ByteArray, kept: list[int]) -> ByteArray:
    """Return the data rows as restored from the codeword positions in `kept` alone."""
    count = len(data)
    missing = [position for position in range(count) if position not in set(kept)]
    indices = [position - count for position in kept if position >= count]
    rows = data.copy()
    rows[missing] = 0xA5
    restore(rows, missing, parity[indices], indices)
    return rows


def test_the_example_of_the_specification() -> None:
    data = np.frombuffer(bytes.fromhex("00010203 10204080 fffefdfc"), np.uint8).reshape(3, 4)
    parity = [chunk.hex() for chunk in as_bytes(encode(data, 3))]
    assert parity == ["efdfbf7f", "04888c83", "b66fc493"]


@given(
    count=st.integers(1, 40),
    parity=st.integers(0, 20),
    size=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_parity_is_that_of_the_slow_reference(
    count: int, parity: int, size: int, seed: int
) -> None:
    data = random_rows(seed, count, size)
    assert as_bytes(encode(data, parity)) == slow_encode(as_bytes(data), parity)


@pytest.mark.parametrize(("count", "parity"), SHAPES)
def test_parity_is_that_of_the_slow_reference_at_the_limits(count: int, parity: int) -> None:
    data = random_rows(1, count, 1)
    assert as_bytes(encode(data, parity)) == slow_encode(as_bytes(data), parity)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[int, int, int, int]:
    count = draw(st.integers(1, 250))
    parity = draw(st.integers(1, min(MAX_CHUNKS - count, 254)))
    return count, parity, draw(st.integers(1, 64)), draw(st.integers(0, 2**32 - 1))


@given(block=blocks())
@settings(deadline=None)
def test_any_k_chunks_restore_the_block(block: tuple[int, int, int, int]) -> None:
    count, parity, size, seed = block
    data = random_rows(seed, count, size)
    kept = np.random.default_rng(seed).permutation(count + parity)[:count].tolist()
    assert np.array_equal(lose_and_restore(data, encode(data, parity), kept), data)


def test_every_choice_of_k_chunks_restores_a_small_block() -> None:
    data = random_rows(2, 6, 3)
    parity = encode(data, 5)
    for kept in itertools.combinations(range(11), 6):
        assert np.array_equal(lose_and_restore(data, parity, list(kept)), data)


@pytest.mark.parametrize(("count", "parity"), SHAPES)
@pytest.mark.parametrize("lose", ["first", "last", "spread"])
def test_as_many_losses_as_there_is_parity(count: int, parity: int, lose: str) -> None:
    data = random_rows(3, count, 16)
    everything = list(range(count + parity))
    kept = {
        "first": everything[parity:],
        "last": [*range(count - min(count, parity)), *everything[count:]][:count],
        "spread": sorted(np.random.default_rng(4).permutation(everything)[:count].tolist()),
    }[lose]
    assert np.array_equal(lose_and_restore(data, encode(data, parity), kept), data)


def test_the_first_parity_chunk_is_plain_xor() -> None:
    data = random_rows(5, 98, 32)
    assert np.array_equal(encode(data, 1)[0], np.bitwise_xor.reduce(data, axis=0))


def test_a_parity_chunk_depends_on_neither_count() -> None:
    data = random_rows(6, 20, 8)
    parity = encode(data, 30)
    filled = np.concatenate([data, np.zeros((50, 8), np.uint8)])
    assert np.array_equal(encode(data, 12), parity[:12])
    assert np.array_equal(encode(filled, 30), parity)


def test_no_parity_is_no_rows() -> None:
    assert encode(random_rows(7, 255, 4), 0).shape == (0, 4)


def test_only_as_many_parity_rows_are_used_as_chunks_are_missing() -> None:
    data = random_rows(8, 10, 8)
    parity = encode(data, 6)
    indices = [5, 3, 0, 4]
    given_rows = parity[indices]
    given_rows[[0, 3]] = 0xEE  # 5 and 4, the highest
    rows = data.copy()
    rows[[9, 2]] = 0
    restore(rows, [9, 2], given_rows, indices)
    assert np.array_equal(rows, data)


def test_nothing_missing_changes_nothing() -> None:
    data = random_rows(9, 5, 4)
    rows = data.copy()
    restore(rows, [], encode(data, 2), [0, 1])
    restore(rows, [], np.empty((0, 4), np.uint8), [])
    assert np.array_equal(rows, data)


def test_rows_may_lie_in_datagrams() -> None:
    datagrams = random_rows(10, 15, 24 + 40)
    before = datagrams.copy()
    data, parity = datagrams[:12, 24:], datagrams[12:, 24:]
    parity[:] = encode(data, 3)
    assert np.array_equal(parity, encode(np.ascontiguousarray(data), 3))

    datagrams[[1, 5, 11], 24:] = 0
    restore(data, [5, 11, 1], parity, [0, 1, 2])
    assert np.array_equal(data, before[:12, 24:])
    assert np.array_equal(datagrams[:, :24], before[:, :24])


def test_bytes_may_lie_apart() -> None:
    rows = random_rows(11, 20, 30)[::2, ::-3]
    data = rows.copy()
    parity = np.asfortranarray(encode(rows, 4))
    assert np.array_equal(parity, encode(data, 4))

    rows[[0, 9, 3]] = 0
    restore(rows, [0, 9, 3], parity[1:], [1, 2, 3])
    assert np.array_equal(rows, data)


def test_inputs_are_left_alone() -> None:
    data = random_rows(12, 10, 8)
    data.flags.writeable = False
    parity = encode(data, 3)[::-1]
    parity.flags.writeable = False
    rows = data.copy()
    rows[4] = 0
    missing, indices = [4], [2, 1, 0]
    restore(rows, missing, parity, indices)
    assert np.array_equal(rows, data)
    assert (missing, indices) == ([4], [2, 1, 0])


@pytest.mark.parametrize(
    ("data", "parity", "says"),
    [
        (np.zeros((250, 4), np.uint8), 6, "250 data and 6 parity chunks"),
        (np.zeros((256, 4), np.uint8), 0, "256 data and 0 parity chunks"),
        (np.zeros((2, 4), np.uint8), -1, "-1 parity chunks"),
        (np.zeros((0, 4), np.uint8), 1, r"shape \(0, 4\)"),
        (np.zeros((4, 0), np.uint8), 1, r"shape \(4, 0\)"),
        (np.zeros(4, np.uint8), 1, r"shape \(4,\)"),
        (np.zeros((2, 4), np.int32), 1, "type int32"),
    ],
)
def test_encode_says_what_it_cannot_do(data: ByteArray, parity: int, says: str) -> None:
    with pytest.raises(ParityError, match=says):
        encode(data, parity)


@pytest.mark.parametrize(
    ("missing", "parity_shape", "indices", "says"),
    [
        ([0, 1, 2], (2, 4), [0, 1], "3 data chunks are missing and there are 2 parity chunks"),
        ([5], (1, 4), [0], "missing chunks among 5 data chunks"),
        ([-1], (1, 4), [0], "missing chunks among 5 data chunks"),
        ([1, 1], (2, 4), [0, 1], "not distinct"),
        ([1], (1, 4), [250], "parity chunks beside 5 data chunks"),
        ([1, 2], (2, 4), [3, 3], "not distinct"),
        ([1], (2, 4), [0], r"shape \(2, 4\) for 1 indices"),
        ([1], (1, 5), [0], "chunks of 4 bytes"),
        ([1], (4,), [0], r"shape \(4,\)"),
    ],
)
def test_restore_says_what_it_cannot_do_and_changes_nothing(
    missing: list[int], parity_shape: tuple[int, ...], indices: list[int], says: str
) -> None:
    data = random_rows(13, 5, 4)
    rows = data.copy()
    with pytest.raises(ParityError, match=says):
        restore(rows, missing, np.zeros(parity_shape, np.uint8), indices)
    assert np.array_equal(rows, data)


def test_restore_takes_bytes_only() -> None:
    rows = random_rows(15, 5, 4)
    with pytest.raises(ParityError, match=r"parity of shape .* type int64"):
        restore(rows, [0], encode(rows, 1).astype(np.int64), [0])


def test_restore_needs_rows_that_it_may_write() -> None:
    rows = random_rows(14, 5, 4)
    parity = encode(rows, 1)
    rows.flags.writeable = False
    with pytest.raises(ParityError, match="read-only"):
        restore(rows, [0], parity, [0])


def test_errors_are_value_errors_of_udpstream() -> None:
    assert issubclass(ParityError, UdpStreamError)
    assert issubclass(ParityError, ValueError)
