"""Datagrams that are larger than a packet."""

from __future__ import annotations

import pytest

from udpstream.bench.fragments import FragmentingLink, fragments_of
from udpstream.core.simulated import SimulatedLink

CLASSIC_BYTES = 46_081


def pass_all(link: FragmentingLink, datagrams: list[bytes]) -> list[bytes]:
    arrived = []
    for number, datagram in enumerate(datagrams):
        link.send(datagram, float(number))
        arrived += link.deliver(number + 0.5)
    return arrived


@pytest.mark.parametrize(
    ("size", "count"), [(0, 1), (1472, 1), (1473, 2), (2952, 2), (2953, 3), (CLASSIC_BYTES, 32)]
)
def test_ethernet_takes_so_many(size: int, count: int) -> None:
    link = SimulatedLink(1)
    assert pass_all(FragmentingLink(link), [bytes(size)]) == [bytes(size)]
    assert link.sent == fragments_of(size) == count


def test_one_lost_fragment_loses_all() -> None:
    datagrams = [bytes([number % 256]) * CLASSIC_BYTES for number in range(1000)]
    arrived = pass_all(FragmentingLink(SimulatedLink(2, loss=0.02)), datagrams)
    assert len(arrived) / 1000 == pytest.approx(0.98**32, abs=0.05)
    assert set(arrived) <= set(datagrams)


def test_order_and_repetition_do_not_matter() -> None:
    link = FragmentingLink(SimulatedLink(3, reorder=50, duplicate=0.3))
    datagrams = [bytes([number]) * 20_000 for number in range(100)]
    assert pass_all(link, datagrams) == datagrams


def test_what_stays_incomplete_is_forgotten() -> None:
    inner = SimulatedLink(4, loss=1.0)
    link = FragmentingLink(inner)
    assert pass_all(link, [bytes(3000)] * 1000) == []
    assert len(link._incomplete) <= 64
    assert link.next_delivery() is None


def test_fragments_pass_a_bottleneck_as_packets_of_1500_bytes() -> None:
    link = FragmentingLink(SimulatedLink(5, rate_bytes_per_s=1500.0 * 10, queue_bytes=1 << 20))
    link.send(bytes(2 * 1480 - 8), 0.0)
    assert link.deliver(0.15) == []
    assert len(link.deliver(0.2)) == 1
