from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.serial import unwrap


@given(st.integers(0, 2**70), st.integers(-(2**31), 2**31 - 1))
def test_the_nearest_number_is_found(near: int, distance: int) -> None:
    number = near + distance
    assert unwrap(number & 0xFFFF_FFFF, 32, near) == number


@pytest.mark.parametrize(
    ("value", "near", "number"),
    [
        (0, 0xFFFF_FFFF, 2**32),
        (0xFFFF_FFFF, 2**32, 0xFFFF_FFFF),
        (0xFFFF_FFFF, 0, -1),
        (2**31, 0, -(2**31)),  # a tie goes down
        (2**31 - 1, 0, 2**31 - 1),
    ],
)
def test_at_the_wrap(value: int, near: int, number: int) -> None:
    assert unwrap(value, 32, near) == number
