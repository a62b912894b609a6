"""Single decisions; test_adaptation closes the loop."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from udpstream.core.congestion import Phase, RateControl
from udpstream.core.feedback import LinkSample

FULL_BYTES_PER_S = 1e6


@dataclass
class Link:
    """Feeds a `RateControl` with samples, five a second."""

    control: RateControl = field(default_factory=RateControl)
    now: float = 0.0

    def sample(
        self, times: int = 1, *, loss: float = 0.0, queue_s: float | None = 0.0,
        bytes_per_s: float = FULL_BYTES_PER_S, kernel_dropped: int = 0, jitter_s: float = 0.0,
        expected: int = 250, usual_loss: float = 0.0,
    ) -> bool:  # fmt: skip
        for _ in range(times):
            self.now += 0.2
            by_chance = self.control.sample(
                LinkSample(
                    span_s=0.2, expected=expected, lost=round(loss * expected), runs=1,
                    reordered=0, kernel_dropped=kernel_dropped,
                    wire_bytes=round(0.2 * bytes_per_s), frames_lost=0, jitter_s=jitter_s,
                    queue_s=queue_s,
                ),
                self.now,
                usual_loss=usual_loss,
                interval_s=1 / 30,
                full_rate=FULL_BYTES_PER_S,
            )  # fmt: skip
        return by_chance

    def phase(self) -> Phase:
        return self.control.phase

    def limited(self) -> None:
        """Let half of it through until the control has found out."""
        for _ in range(20):
            self.sample(loss=0.5, queue_s=0.1, bytes_per_s=FULL_BYTES_PER_S / 2)
            if self.phase() is Phase.LIMITED:
                break
        assert self.control.target == pytest.approx(0.85 * FULL_BYTES_PER_S / 2)
        while self.control.trial == 1:
            self.sample(bytes_per_s=0.42 * FULL_BYTES_PER_S)


def test_loss_without_a_queue_is_chance() -> None:
    link = Link()
    assert link.sample(20, loss=0.22)
    assert link.phase() is Phase.OPEN


def test_loss_with_an_unknown_queue_may_be_either() -> None:
    link = Link()
    assert not link.sample(20, loss=0.1, queue_s=None)
    assert link.phase() is Phase.OPEN
    assert link.sample(queue_s=None)


def test_few_datagrams_prove_little() -> None:
    link = Link()
    assert link.sample(20, loss=0.375, expected=24)
    assert link.phase() is Phase.OPEN


@pytest.mark.parametrize(
    "signs",
    [
        {"loss": 0.4},
        {"kernel_dropped": 1},
        {"queue_s": 0.08},
        {"queue_s": 0.05, "loss": 0.1},
    ],
)
def test_two_signs_in_a_row_spread_and_two_more_cut(signs: dict[str, float]) -> None:
    link = Link()
    assert not link.sample(**signs)  # type: ignore[arg-type]
    assert link.phase() is Phase.OPEN
    link.sample(**signs)  # type: ignore[arg-type]
    assert link.phase() is Phase.SPREAD
    for _ in range(8):
        link.sample(**signs)  # type: ignore[arg-type]
    assert link.control.target is not None
    assert link.control.target < 0.9 * FULL_BYTES_PER_S


def test_one_sign_is_none() -> None:
    link = Link()
    for _ in range(20):
        assert not link.sample(queue_s=0.1)
        assert link.sample(2)
    assert link.phase() is Phase.OPEN


def test_a_queue_that_is_no_more_than_jitter_is_none() -> None:
    link = Link()
    link.sample(20, queue_s=0.06, jitter_s=0.03, loss=0.1)
    assert link.phase() is Phase.OPEN
    link.sample(20, queue_s=0.3, jitter_s=0.2, loss=0.1)  # but not any jitter excuses any queue
    assert link.phase() is not Phase.OPEN


def test_a_queue_far_too_long_is_answered_at_once_and_deeper() -> None:
    link = Link()
    link.sample(queue_s=0.3, bytes_per_s=6e5)
    link.sample(queue_s=0.4, bytes_per_s=6e5)
    assert link.control.target == pytest.approx(0.6 * 6e5)


def test_a_queue_that_empties_is_not_answered_twice() -> None:
    link = Link()
    link.sample(2, queue_s=0.3, bytes_per_s=6e5)
    target = link.control.target
    for queue_s in (0.35, 0.35, 0.35, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.06):
        link.sample(queue_s=queue_s, bytes_per_s=6e5)
    assert link.control.target == target


def test_spread_frames_go_at_once_again_when_nothing_asks_for_it() -> None:
    link = Link()
    link.sample(2, loss=0.4)
    link.sample(int(4.8 / 0.2))
    assert link.phase() is Phase.SPREAD
    link.sample(4)
    assert link.phase() is Phase.OPEN


def test_each_time_that_was_too_early_they_stay_spread_for_longer() -> None:
    link = Link()
    held_s = []
    for _ in range(7):
        while link.phase() is Phase.OPEN:
            link.sample(loss=0.4)
        since = link.now
        while link.phase() is Phase.SPREAD:
            link.sample()
        held_s.append(link.now - since)
    assert held_s == pytest.approx([5.4, 10.4, 20.4, 40.4, 80.4, 160.4, 160.4], abs=0.3)


def test_trials_that_pass_lead_back_ever_faster() -> None:
    link = Link()
    link.limited()
    begun = link.now
    trials = []
    while link.control.target is not None:
        trials.append(link.control.trial)
        sent = link.control.target * link.control.trial
        link.sample(bytes_per_s=sent)
    assert link.phase() is Phase.SPREAD
    assert link.now - begun < 3
    assert trials[0] == pytest.approx(1.1 / 0.85)
    assert max(trials) == 1.5


@pytest.mark.parametrize(
    "signs", [{"loss": 0.1}, {"queue_s": 0.03}, {"kernel_dropped": 3}], ids=str
)
def test_a_trial_that_fails_changes_nothing_and_waits(signs: dict[str, float]) -> None:
    link = Link()
    link.limited()
    target = link.control.target
    for _ in range(3):
        link.sample(bytes_per_s=5e5, **signs)  # type: ignore[arg-type]
    assert (link.control.trial, link.control.target) == (1, target)
    failed = link.now
    while link.control.trial == 1:
        link.sample(bytes_per_s=4.2e5)
    assert 2.5 < link.now - failed < 3.5


def test_a_trial_goes_little_beyond_the_rate_at_which_congestion_came() -> None:
    link = Link()
    link.sample(2, queue_s=0.5, bytes_per_s=6e5)
    target = link.control.target
    assert target == pytest.approx(3e5)
    most = 0.0
    for _ in range(40):
        if link.control.target is None or link.control.target > 6e5:
            break
        most = max(most, link.control.target * link.control.trial)
        link.sample(bytes_per_s=link.control.target * link.control.trial)
    assert most == pytest.approx(1.1 * 6e5)


def test_a_trial_waits_for_word_of_the_queue_but_not_for_ever() -> None:
    link = Link()
    link.limited()
    target = link.control.target
    link.sample(4, queue_s=None)
    assert link.control.target == target
    link.sample(4, queue_s=None)
    assert link.control.target is None or link.control.target > (target or 0)


def test_a_trial_that_was_not_filled_proves_little() -> None:
    link = Link()
    link.limited()
    target = link.control.target
    assert target is not None
    while link.control.target == target:
        link.sample(bytes_per_s=0.7 * target)
    assert link.control.target == pytest.approx(1.05 * target)


def test_loss_that_cuts_do_not_help_is_chance() -> None:
    link = Link()
    for _ in range(40):
        link.sample(loss=0.4)
        if link.phase() is Phase.LIMITED:
            break
    while link.phase() is Phase.LIMITED:
        link.sample(loss=0.4)
    assert link.now < 6
    assert link.sample(100, loss=0.4, usual_loss=0.4)
    assert link.phase() is Phase.OPEN
    link.sample(2, loss=0.01)  # a usual link again
    link.sample(2, loss=0.4)
    assert link.phase() is Phase.SPREAD


def test_samples_right_after_a_step_are_of_the_time_before() -> None:
    link = Link()
    link.sample(2, loss=0.5)
    assert link.phase() is Phase.SPREAD
    assert not link.sample(loss=0.5)
    link.sample(2, loss=0.0)
    assert link.phase() is Phase.SPREAD


def test_where_nothing_comes_through_a_little_is_still_sent() -> None:
    link = Link()
    link.sample(40, kernel_dropped=5, bytes_per_s=0.0)
    assert link.phase() is Phase.LIMITED
    assert link.control.target == 16e3
    link.sample(40, bytes_per_s=0.0)
    assert link.control.target >= 16e3


def test_clear_forgets_the_link() -> None:
    link = Link()
    link.limited()
    link.control.clear()
    assert (link.phase(), link.control.target, link.control.trial) == (Phase.OPEN, None, 1)
