from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from udpstream.core.advice import advise, parity_percent
from udpstream.core.ladder import FPS, RateLadder, Shape, Step, chunks_at
from udpstream.protocol import Codec, Tally

DATAGRAM_BYTES = 1_400
Link = Callable[[float, Shape, int], tuple[int, int]]
"""Rate, shape and datagrams sent to datagrams lost, and runs of them."""


def step_of(bps: float, shape: Shape, lost: int, runs: int, *, took_s: float = 1.0) -> Step:
    chunks = chunks_at(bps, DATAGRAM_BYTES)
    sent = chunks * FPS
    tally = Tally(1, 1, 0, 0, 0, 0, received=sent - lost, runs=runs)
    return Step(shape, DATAGRAM_BYTES, chunks, sent, 1.0, took_s, tally)


def climb(link: Link, *, lowest: float = 2e6, highest: float = 512e6) -> RateLadder:
    ladder = RateLadder(lowest, highest, DATAGRAM_BYTES)
    while (chosen := ladder.next()) is not None:
        bps, shape = chosen
        assert len(ladder.steps) < ladder.at_most <= 30
        sent = chunks_at(bps, DATAGRAM_BYTES) * FPS
        ladder.add(step_of(bps, shape, *link(bps, shape, sent)))
    return ladder


def clean(bps: float, shape: Shape, sent: int) -> tuple[int, int]:
    return 0, 0


def limited_to(limit: float) -> Link:
    def link(bps: float, shape: Shape, sent: int) -> tuple[int, int]:
        lost = round(max(0.0, 1 - limit / bps) * sent)
        return lost, -(-lost // 5)

    return link


def losing(share: float, seed: int, limit: float = 1e12) -> Link:
    chance = random.Random(seed)

    def link(bps: float, shape: Shape, sent: int) -> tuple[int, int]:
        share_now = max(share, 1 - limit / bps)
        lost = sum(chance.random() < share_now for _ in range(sent))
        return lost, lost

    return link


def test_a_clean_link_is_tried_up_to_the_highest_rate() -> None:
    ladder = climb(clean)
    assert [round(step.bps / 1e6) for step in ladder.steps] == [2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert {step.shape for step in ladder.steps} == {"burst"}
    assert ladder.best is ladder.best_whole is ladder.steps[-1]
    assert ladder.at_most == len(ladder.steps)
    assert ladder.expected_loss() == (0.0, 0.0)


@pytest.mark.parametrize("limit", [0.9e6, 3.3e6, 12e6, 100e6, 400e6])
def test_a_rate_limit_is_closed_in_on(limit: float) -> None:
    ladder = climb(limited_to(limit))
    assert ladder.best_whole is not None
    assert 0.74 * limit <= ladder.best_whole.bps <= 1.01 * limit
    assert len(ladder.steps) <= 20


def test_bursts_that_fail_are_spread_and_not_tried_at_higher_rates() -> None:
    def link(bps: float, shape: Shape, sent: int) -> tuple[int, int]:
        overrun = bps > (20e6 if shape == "burst" else 70e6)
        return (sent // 3, FPS) if overrun else (0, 0)

    ladder = climb(link)
    assert ladder.best_whole is not None
    assert ladder.best_whole.shape == "paced"
    assert 60e6 < ladder.best_whole.bps <= 71e6
    assert max(step.bps for step in ladder.steps if step.shape == "burst") < 40e6


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.002, 0.01, 0.05])
def test_loss_at_any_rate_is_no_limit(share: float, seed: int) -> None:
    ladder = climb(losing(share, seed), highest=100e6)
    assert ladder.best is not None
    assert ladder.best.bps > 95e6
    assert ladder.expected_loss()[0] == pytest.approx(share, rel=0.25)


@pytest.mark.parametrize("seed", range(5))
def test_a_limit_is_found_on_a_link_that_loses(seed: int) -> None:
    ladder = climb(losing(0.02, seed, limit=40e6))
    assert ladder.best is not None
    assert 30e6 < ladder.best.bps < 46e6


def test_a_link_that_carries_nothing() -> None:
    ladder = climb(lambda bps, shape, sent: (sent, 1))
    assert ladder.best is ladder.best_whole is None
    assert min(step.chunks for step in ladder.steps) == 1


def test_a_sender_that_cannot_keep_up_is_no_link_that_fails() -> None:
    ladder = RateLadder(2e6, 512e6, DATAGRAM_BYTES)
    while (chosen := ladder.next()) is not None:
        too_fast = chosen[0] > 100e6
        ladder.add(step_of(*chosen, 0, 0, took_s=2.0 if too_fast else 1.0))
    assert {step.shape for step in ladder.steps} == {"burst"}
    limited = [step for step in ladder.steps if step.sender_limited]
    assert limited
    assert all(step.bps < 130e6 for step in limited)  # by the time that it took


# -- advice ---------------------------------------------------------------------


def test_a_wide_and_clean_link_gets_raw_pictures() -> None:
    advice = advise(climb(clean), (640, 480), 1_500)
    assert advice.options() == "--datagram 1400 --codec raw --fps 30 --fec auto"
    assert advice.codec is Codec.RAW
    assert advice.fits


def test_a_narrow_link_gets_lower_quality_then_fewer_frames() -> None:
    found = [advise(climb(limited_to(bps)), (640, 480), None) for bps in (50e6, 10e6, 5e6, 1e6)]
    assert [advice.quality for advice in found] == sorted(
        (advice.quality or 0 for advice in found), reverse=True
    )
    assert found[0].options() == "--datagram 1400 --quality 90 --fps 30 --fec auto"
    assert [advice.fps for advice in found] == sorted((a.fps for a in found), reverse=True)
    assert found[-1].fps < 30
    assert all(advice.fits for advice in found)


def test_a_picture_that_no_quality_makes_small_enough_is_told() -> None:
    advice = advise(climb(limited_to(1e6)), (3840, 2160), None)
    assert not advice.fits


def test_datagrams_that_would_be_cut_up_are_made_smaller() -> None:
    assert advise(climb(clean), (640, 480), 1_280).datagram_bytes == 1_232
    assert advise(climb(clean), (640, 480), 1_500).datagram_bytes == 1_400


def test_a_link_that_loses_gets_parity_within_its_rate() -> None:
    ladder = climb(losing(0.05, 1), highest=64e6)
    advice = advise(ladder, (640, 480), None)
    assert advice.parity_percent is not None
    assert 15 <= advice.parity_percent <= 35
    assert advice.bps < 0.7 * 64e6


def test_parity_grows_with_loss_and_bursts() -> None:
    assert parity_percent(0.0, 0.0, 100) is None
    by_loss = [parity_percent(loss, 1.0, 100) or 0 for loss in (0.001, 0.01, 0.05, 0.1)]
    assert by_loss == sorted(set(by_loss))
    assert (parity_percent(0.01, 8.0, 100) or 0) > (parity_percent(0.01, 1.0, 100) or 0)
    assert parity_percent(0.9, 50.0, 100) == 100


@pytest.mark.parametrize(("loss", "chunks"), [(0.01, 33), (0.05, 33), (0.05, 100), (0.1, 180)])
def test_so_much_parity_restores_nearly_all_blocks(loss: float, chunks: int) -> None:
    percent = parity_percent(loss, 1.0, chunks)
    assert percent is not None
    parity = chunks * percent // 100
    chance = random.Random(1)
    broken = sum(
        sum(chance.random() < loss for _ in range(chunks + parity)) > parity for _ in range(2_000)
    )
    assert broken <= 2
