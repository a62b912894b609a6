from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.fec import Fec
from udpstream.core.feedback import LinkSample
from udpstream.core.simulated import SimulatedLink
from udpstream.errors import ParityError


def sample(lost: int, runs: int | None = None, expected: int = 240) -> LinkSample:
    """What a report tells after 0.2 s of six frames of 40 datagrams."""
    return LinkSample(
        span_s=0.2, expected=expected, lost=lost, runs=lost if runs is None else runs,
        reordered=0, kernel_dropped=0, wire_bytes=336_000, frames_lost=0, jitter_s=0.0,
        queue_s=0.0,
    )  # fmt: skip


def taught(loss: float, mean_run: float = 1.0) -> Fec:
    """A policy that knows a link's loss well."""
    fec = Fec()
    lost = round(loss * 20_000)
    for step in range(60):
        fec.sample(sample(lost, round(lost / mean_run), expected=20_000), step * 0.2)
    return fec


def share_broken(data: int, parity: int, loss: float) -> float:
    """Of blocks, at independent loss: more lost than parity restores."""
    n = data + parity
    return 1 - sum(
        math.comb(n, lost) * loss**lost * (1 - loss) ** (n - lost) for lost in range(parity + 1)
    )


def test_off_is_off_and_a_clean_link_gets_none() -> None:
    assert Fec(0).parity(50) == 0
    fec = Fec()
    assert fec.parity(50) == 0
    for step in range(100):
        fec.sample(sample(0), step * 0.2)
        assert fec.parity(50) == 0
    assert fec.loss == 0


def test_a_lone_loss_now_and_then_is_not_worth_parity() -> None:
    fec = Fec()
    for step in range(300):
        fec.sample(sample(step % 10 == 0), step * 0.2)  # 0.04 %
        assert fec.parity(40) == 0


@pytest.mark.parametrize(("data", "parity"), [(1, 2), (4, 2), (10, 3), (11, 4), (100, 30)])
def test_a_fixed_share_is_rounded_up_and_never_below_two(data: int, parity: int) -> None:
    assert Fec(30).parity(data) == parity


@given(st.integers(1, 255), st.none() | st.floats(0, 1000), st.integers(0, 240))
def test_larger_blocks_get_more_but_not_in_proportion(
    data: int, percent: float | None, lost: int
) -> None:
    fec = Fec(percent)
    fec.sample(sample(lost), 0.0)
    parity = fec.parity(data)
    assert parity == 0 or parity >= 2
    assert parity <= max(
        2, math.ceil(data * (fec.max_percent if percent is None else percent) / 100)
    )
    assert parity <= fec.parity(data + 1) <= parity + 12


@pytest.mark.parametrize("loss", [0.003, 0.01, 0.05, 0.1])
@pytest.mark.parametrize("data", [5, 10, 20, 30, 50, 100, 200])
def test_one_block_in_two_hundred_is_left_to_be_asked_for(loss: float, data: int) -> None:
    parity = taught(loss, 1 / (1 - loss)).parity(data)
    assert share_broken(data, parity, loss) < 0.006
    if parity > 2:
        assert share_broken(data, parity - 2, loss) > 0.002  # nor much less


@pytest.mark.parametrize("data", range(40, 61, 5))
def test_five_percent_costs_a_quarter(data: int) -> None:
    parity = taught(0.05, 1 / 0.95).parity(data)
    broken = share_broken(data, parity, 0.05)
    # Headers, and whole blocks' worth of repairs for each that is broken.
    assert (1 + parity / data) * 1.0175 * (1 + broken) < 1.25


@pytest.mark.parametrize("burst", [2.0, 8.0])
def test_bursts_ask_for_more_and_are_met(burst: float) -> None:
    fec = taught(0.05, burst)
    data = 40
    parity = fec.parity(data)
    assert parity > taught(0.05).parity(data)
    link = SimulatedLink(3, loss=0.05, burst=burst)
    broken = 0
    for frame in range(4000):
        for _ in range(data + parity):
            link.send(b"", frame)
        broken += len(link.deliver(frame)) < data
    # The normal distribution's tail is too thin for bursts; what is left is asked for again.
    assert broken / 4000 < (0.03 if burst > 2 else 0.015)


def test_it_rises_at_once() -> None:
    fec = Fec()
    for step in range(50):
        fec.sample(sample(0), step * 0.2)
    fec.sample(sample(12), 10.0)  # 5 %
    assert fec.parity(40) >= 5
    for step in range(1, 5):
        fec.sample(sample(12), 10.0 + step * 0.2)
    assert fec.parity(40) >= 7


def test_it_falls_slowly_and_to_nothing() -> None:
    fec = taught(0.05)
    full = fec.parity(40)
    seen = []
    for step in range(60, 120):
        fec.sample(sample(0, expected=20_000), step * 0.2)
        seen.append(fec.parity(40))
    assert seen == sorted(seen, reverse=True)
    assert seen[10] > full / 2  # after two seconds
    assert seen[-8:] == [0] * 8  # after ten
    assert set(seen[:40]) & {0} == set()


def test_a_frame_lost_in_one_run_is_an_outage_and_not_a_rate_of_loss() -> None:
    fec = Fec()
    fec.sample(sample(0), 0.0)
    fec.sample(sample(40, runs=1), 0.2)
    assert fec.parity(40) == 0
    fec = taught(0.01)
    before = fec.parity(40)
    fec.sample(sample(40, runs=1), 12.0)
    for step in range(10):
        fec.sample(sample(2), 12.2 + step * 0.2)
    assert fec.parity(40) <= before + 1


def test_it_does_not_flutter_at_a_steady_loss() -> None:
    rng = random.Random(4)
    fec = Fec()
    seen = []
    for step in range(300):
        fec.sample(sample(sum(rng.random() < 0.05 for _ in range(240))), step * 0.2)
        seen.append(fec.parity(40))
    assert min(seen[10:]) >= 6
    assert max(seen[10:]) <= 12
    assert sum(seen[10:]) / len(seen[10:]) < 8.5


def test_reordering_at_a_reports_edge_is_no_loss() -> None:
    fec = Fec()
    for step in range(100):
        fec.sample(sample(3 if step % 2 else -3, runs=3), step * 0.2)
    assert fec.loss < 0.01
    assert fec.parity(40) <= 3


def test_the_ceiling_is_kept_but_two_are_the_least() -> None:
    fec = Fec(max_percent=20)
    for step in range(10):
        fec.sample(sample(60), step * 0.2)
    assert fec.parity(50) == 10
    assert fec.parity(4) == 2
    assert fec.max_percent == 20
    none = Fec(max_percent=0)
    none.sample(sample(60), 0.0)
    assert none.parity(50) == 0


def test_a_fixed_share_stays_whatever_is_lost() -> None:
    fec = Fec(20)
    for step in range(100):
        fec.sample(sample(0), step * 0.2)
    assert fec.is_on
    assert fec.parity(50) == 10
    off = Fec(0)
    off.sample(sample(200), 0.0)
    assert not off.is_on
    none = Fec(max_percent=0)
    none.sample(sample(200), 0.0)
    assert not none.is_on


def test_clear_forgets() -> None:
    fec = taught(0.1)
    assert fec.loss == pytest.approx(0.1)
    fec.clear()
    assert (fec.loss, fec.parity(50)) == (0, 0)


def test_memory_is_bounded() -> None:
    fec = Fec()
    for step in range(5000):
        fec.sample(sample(1), step * 1e-3)
    assert len(fec._samples) == 256


@pytest.mark.parametrize("percent", [-1.0, math.inf, math.nan])
def test_shares_out_of_range_are_refused(percent: float) -> None:
    with pytest.raises(ParityError, match="give 0 or more"):
        Fec(percent)
    with pytest.raises(ParityError, match="give 0 or more"):
        Fec(max_percent=percent)
