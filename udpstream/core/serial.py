"""Counters that were cut to a fixed number of bits on the wire, made whole again."""

from __future__ import annotations


def unwrap(value: int, bits: int, near: int) -> int:
    """Return the integer nearest to `near` whose lowest `bits` bits are `value`.

    The result may be negative where `near` is small; a tie goes to the lower one.
    Serial number arithmetic as in RFC 1982.
    """
    half = 1 << (bits - 1)
    return near + ((value - near + half) & ((1 << bits) - 1)) - half
