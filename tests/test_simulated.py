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
        assert link.sent + link.duplicated == link.lost + link.delivered + link.in_flight
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
