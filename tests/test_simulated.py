from __future__ import annotations

from itertools import groupby

import pytest

from udpstream.core.simulated import HOLD_S, SimulatedLink


def run(link: SimulatedLink, count: int, step_s: float = 1e-5) -> list[int]:
    """Send numbered datagrams at an even pace; return the numbers as they arrived."""
    arrived = []
    for number in range(count):
        link.send(number.to_bytes(4), number * step_s)
        arrived += link.deliver(number * step_s)
        assert link.sent + link.duplicated == (
            link.lost + link.overflowed + link.delivered + link.in_flight
        )
    while (due_s := link.next_delivery()) is not None:
        arrived += link.deliver(due_s)
    assert link.in_flight == 0
    return [int.from_bytes(datagram) for datagram in arrived]


def test_a_perfect_link_hands_over_all_in_order_at_once() -> None:
    link = SimulatedLink(1)
    assert run(link, 1000) == list(range(1000))
    assert (link.sent, link.lost, link.duplicated, link.delivered) == (1000, 0, 0, 1000)


def test_the_same_seed_does_the_same_again_and_another_does_not() -> None:
    def once(seed: int) -> list[int]:
        return run(SimulatedLink(seed, loss=0.2, burst=3, reorder=4, duplicate=0.1), 500)

    assert once(7) == once(7)
    assert once(7) != once(8)


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("burst", [1.0, 2.0, 8.0])
def test_loss_and_burst_are_what_was_asked_for(loss: float, burst: float) -> None:
    link = SimulatedLink(3, loss=loss, burst=burst)
    count = 200_000
    arrived = set(run(link, count))
    assert link.lost / count == pytest.approx(loss, rel=0.15)
    rows = [len(list(row)) for lost, row in groupby(range(count), lambda n: n not in arrived)
            if lost]  # fmt: skip
    assert sum(rows) / len(rows) == pytest.approx(max(burst, 1 / (1 - loss)), rel=0.1)


@pytest.mark.parametrize("reorder", [1, 3, 20])
def test_no_datagram_is_overtaken_by_more_than_was_asked_for(reorder: int) -> None:
    arrived = run(SimulatedLink(5, reorder=reorder), 3000)
    overtakers = [
        sum(later > number for later in arrived[max(0, at - 2 * reorder) : at])
        for at, number in enumerate(arrived)
    ]
    assert reorder / 2 < max(overtakers) <= reorder
    assert sorted(arrived) == list(range(3000))


def test_a_displaced_datagram_does_not_wait_for_ever() -> None:
    link = SimulatedLink(1, reorder=5, delay_s=0.1)
    link.send(b"alone", 0.0)
    due_s = link.next_delivery()
    assert due_s is not None
    assert due_s <= 0.1 + HOLD_S
    assert link.deliver(due_s) == [b"alone"]


def test_duplicates_are_counted_as_such() -> None:
    link = SimulatedLink(2, duplicate=0.25)
    arrived = run(link, 20_000)
    assert len(arrived) == 20_000 + link.duplicated
    assert link.duplicated == pytest.approx(5000, rel=0.05)


def test_a_datagram_is_under_way_for_the_delay() -> None:
    link = SimulatedLink(1, delay_s=0.02)
    link.send(b"a", 1.0)
    assert link.next_delivery() == pytest.approx(1.02)
    assert link.deliver(1.0199) == []
    assert link.deliver(1.0201) == [b"a"]
    assert link.next_delivery() is None


def test_the_ends_of_the_range() -> None:
    assert run(SimulatedLink(1, loss=1.0), 100) == []
    assert len(run(SimulatedLink(1, duplicate=1.0), 100)) == 200


@pytest.mark.parametrize(
    "figures",
    [
        {"loss": 1.1},
        {"loss": -0.1},
        {"duplicate": 2.0},
        {"burst": 0.5},
        {"reorder": -1},
        {"delay_s": -1.0},
    ],
)
def test_figures_out_of_range_are_refused(figures: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"shares are 0 to 1|must be 1 or more"):
        SimulatedLink(1, **figures)  # type: ignore[arg-type]


def drain(link: SimulatedLink) -> list[tuple[float, bytes]]:
    """Take off all that is under way, with the time of each arrival."""
    arrived = []
    while (due_s := link.next_delivery()) is not None:
        arrived += [(due_s, datagram) for datagram in link.deliver(due_s)]
    return arrived


def test_a_bottleneck_spaces_datagrams_and_counts_their_ip_headers() -> None:
    link = SimulatedLink(1, delay_s=0.01, rate_bytes_per_s=1e6, queue_bytes=1 << 20)
    for _ in range(10):
        link.send(bytes(972), 1.0)
    times_s = [due_s for due_s, _ in drain(link)]
    assert times_s == pytest.approx([1.01 + 0.001 * (n + 1) for n in range(10)])


def test_what_the_queue_has_no_room_for_overflows_and_the_books_balance() -> None:
    link = SimulatedLink(1, loss=0.1, duplicate=0.1, rate_bytes_per_s=1e6, queue_bytes=4_000)
    for number in range(1000):
        link.send(bytes(972), number * 0.0005)  # twice what passes
        assert link.sent + link.duplicated == (
            link.lost + link.overflowed + link.delivered + link.in_flight
        )
        link.deliver(number * 0.0005)
    drain(link)
    assert link.sent + link.duplicated == link.lost + link.overflowed + link.delivered
    assert link.delivered - link.duplicated == pytest.approx(500, abs=5)


def test_a_queue_holds_what_it_was_given_and_no_more() -> None:
    link = SimulatedLink(1, rate_bytes_per_s=1e6, queue_bytes=10_000)
    for _ in range(30):
        link.send(bytes(972), 0.0)
    assert (link.in_flight, link.overflowed) == (10, 20)
    link.send(bytes(972), 0.0035)  # three are through
    assert (link.in_flight, link.overflowed) == (11, 20)
    assert max(due_s for due_s, _ in drain(link)) == pytest.approx(0.011)


def test_a_new_rate_is_for_what_comes_then_and_nothing_overtakes() -> None:
    link = SimulatedLink(1, rate_bytes_per_s=1e6, queue_bytes=1 << 20)
    link.send(b"a" * 972, 0.0)
    link.send(b"b" * 972, 0.0)
    link.rate_bytes_per_s = 2e6
    link.send(b"c" * 972, 0.0)
    link.rate_bytes_per_s = None
    link.send(b"d" * 972, 0.0)
    arrived = drain(link)
    assert b"".join(datagram[:1] for _, datagram in arrived) == b"abcd"
    assert [due_s for due_s, _ in arrived] == pytest.approx([0.001, 0.002, 0.0025, 0.0025])
    link.send(b"e", 1.0)
    assert drain(link) == [(1.0, b"e")]


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        SimulatedLink(1, rate_bytes_per_s=rate)
    link = SimulatedLink(1)
    with pytest.raises(ValueError, match="above 0"):
        link.rate_bytes_per_s = rate


def test_a_negative_queue_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        SimulatedLink(1, queue_bytes=-1)
