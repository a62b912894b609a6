from __future__ import annotations

import numpy as np
import pytest

from udpstream.core.cadence import Cadence

PERIOD_S = 1 / 30


def regular(count: int = 20) -> Cadence:
    cadence = Cadence()
    for number in range(count):
        cadence.add(number * PERIOD_S)
    return cadence


@pytest.mark.parametrize(
    ("age", "waits"),
    [
        (0.0, False),
        (0.7, False),
        (0.8, True),
        (1.0, True),
        (1.05, True),
        (1.2, False),
        (9.0, False),
    ],
)
def test_it_waits_where_the_next_frame_is_almost_there(age: float, waits: bool) -> None:
    wait_s = regular().wait_s(5.0, 5.0 + age * PERIOD_S)
    assert (wait_s > 0) == waits
    assert wait_s < 0.4 * PERIOD_S


def test_it_waits_for_nothing_before_it_knows() -> None:
    cadence = Cadence()
    assert cadence.wait_s(0.0, 0.0) == 0
    cadence.add(0.0)
    assert cadence.wait_s(0.0, 0.03) == 0


def test_a_pause_does_not_count() -> None:
    cadence = regular()
    cadence.add(60.0)
    assert cadence.wait_s(60.0, 60.0 + 0.9 * PERIOD_S) > 0
    first = Cadence()
    first.add(0.0)
    first.add(60.0)
    assert first.wait_s(60.0, 61.0) == 0


def test_it_follows_a_stream_that_becomes_faster() -> None:
    cadence = regular()
    for number in range(100):
        cadence.add(10 + number / 60)
    assert cadence.wait_s(0.0, 0.9 / 60) > 0
    assert cadence.wait_s(0.0, 0.9 * PERIOD_S) == 0


@pytest.mark.parametrize("work_s", [0.034, 0.036, 0.041, 0.055])
def test_it_makes_frames_fresher_at_a_small_cost(work_s: float) -> None:
    """A worker that needs a little more than a period, with and without waiting."""

    def run(*, waits: bool) -> tuple[float, int]:
        cadence, now_s, ages, rng = regular(), 0.0, [], np.random.default_rng(3)
        while now_s < 60:
            came_s = now_s // PERIOD_S * PERIOD_S
            if waits and cadence.wait_s(came_s, now_s):
                came_s = now_s = came_s + PERIOD_S
            ages.append(now_s - came_s)
            now_s += work_s + rng.normal(0, 0.002)
        return float(np.mean(ages)), len(ages)

    (age_s, count), (usual_s, usual) = run(waits=True), run(waits=False)
    assert age_s < 0.75 * usual_s
    assert count > 0.93 * usual
