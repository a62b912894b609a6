import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.gf256 import EXP, INVERSE, LOG, ORDER, PRODUCT, combine, lane_tables

ALL = np.arange(256)


def slow_product(a: int, b: int) -> int:
    """Multiply bit by bit, as the field is defined; shares nothing with the tables."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11D
        b >>= 1
    return product


def test_every_product_is_the_defined_one() -> None:
    expected = [[slow_product(a, b) for b in range(256)] for a in range(256)]
    assert PRODUCT.tolist() == expected


def test_addition_distributes_over_multiplication() -> None:
    for a in range(256):
        by_a = PRODUCT[a]
        assert np.array_equal(by_a[ALL[:, None] ^ ALL], by_a[:, None] ^ by_a)


def test_multiplication_is_a_commutative_group_without_zero() -> None:
    assert np.array_equal(PRODUCT, PRODUCT.T)
    assert np.array_equal(PRODUCT[1], ALL)
    assert np.all(PRODUCT[ALL[1:], INVERSE[1:]] == 1)
    assert INVERSE[0] == 0
    for a in range(256):
        assert np.array_equal(PRODUCT[PRODUCT[a]], PRODUCT[a][PRODUCT])


def test_the_generator_reaches_every_value_but_zero() -> None:
    assert sorted(EXP[:ORDER].tolist()) == list(range(1, 256))
    assert np.array_equal(EXP[:ORDER], EXP[ORDER:])
    assert np.array_equal(EXP[LOG[1:]], ALL[1:])
    assert EXP[1] == 2


@pytest.mark.parametrize("table", [EXP, LOG, PRODUCT, INVERSE])
def test_tables_cannot_be_changed(table: npt.NDArray[np.integer]) -> None:
    with pytest.raises(ValueError, match="read-only"):
        table[1] = 0


@given(
    outputs=st.integers(1, 20),
    inputs=st.integers(1, 12),
    size=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_combine_is_matrix_multiplication(outputs: int, inputs: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 256, (outputs, inputs), dtype=np.uint8)
    rows = rng.integers(0, 256, (inputs, size), dtype=np.uint8)
    expected = np.bitwise_xor.reduce(PRODUCT[matrix[:, :, None], rows], axis=1)

    combined = combine(lane_tables(matrix), rows)

    assert combined.dtype == np.uint8
    assert np.array_equal(combined[:outputs], expected)
    assert not combined[outputs:].any()


def test_combine_takes_fewer_rows_than_the_tables_have() -> None:
    tables = lane_tables(np.array([[3, 7, 9]], np.uint8))
    rows = np.array([[1, 2], [0x80, 0xFF]], np.uint8)
    expected = [
        slow_product(3, 1) ^ slow_product(7, 0x80),
        slow_product(3, 2) ^ slow_product(7, 0xFF),
    ]
    assert combine(tables, rows)[0].tolist() == expected
