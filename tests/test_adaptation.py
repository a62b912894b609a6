"""The control loop as a whole, against a link on simulated time: see adaptation_tools."""

from __future__ import annotations

import pytest

from tests.adaptation_tools import (
    DATAGRAM_BYTES,
    RAW_BYTES,
    STREAM_BYTES_PER_S,
    Plant,
)
from udpstream.core.adaptation import Adaptation
from udpstream.core.congestion import Phase
from udpstream.core.fec import Fec
from udpstream.core.feedback import LinkSample
from udpstream.core.picture import Limits
from udpstream.core.simulated import IP_OVERHEAD_BYTES, SimulatedLink

SHALLOW_BYTES = 10 * (DATAGRAM_BYTES + IP_OVERHEAD_BYTES)
RAW_BYTES_PER_S = 30 * RAW_BYTES * 1.018
LIMITED_S, LIFTED_S, END_S = 2.0, 14.0, 25.0


def limited_plant(
    rate: float, queue_bytes: float, adaptation: Adaptation, **settings: object
) -> Plant:
    """A stream whose link is limited from 2 s to 14 s, and not before or after."""
    link = SimulatedLink(7, delay_s=0.001, queue_bytes=int(queue_bytes))
    plant = Plant(adaptation, link, **settings)  # type: ignore[arg-type]
    plant.limit(LIMITED_S, rate)
    plant.limit(LIFTED_S, None)
    plant.run(END_S)
    return plant


@pytest.mark.parametrize("share", [0.9, 0.5, 0.25])
@pytest.mark.parametrize("queue", ["shallow", "deep"])
def test_a_limit_below_the_stream_is_met_and_left_again(share: float, queue: str) -> None:
    rate = share * STREAM_BYTES_PER_S
    plant = limited_plant(
        rate, SHALLOW_BYTES if queue == "shallow" else 0.1 * rate, Adaptation(quality=80)
    )
    assert plant.share_whole(0, LIMITED_S) == 1
    assert plant.share_whole(LIMITED_S, LIMITED_S + 1) < 0.9  # it was a limit
    assert plant.share_whole(LIMITED_S + 2, LIFTED_S) >= 0.99  # 2 s, where 3 are allowed
    assert plant.share_whole(LIFTED_S, END_S) == 1
    back_s = plant.back_after_s(LIFTED_S)
    assert back_s is not None
    assert back_s <= 10
    # What the link holds is used: the picture does not collapse.
    sent = [each for each in plant.frames if 8 <= each.captured_s < LIFTED_S]
    assert sum(each.payload_bytes for each in sent) / (LIFTED_S - 8) > 0.6 * rate
    assert len(sent) == 30 * (LIFTED_S - 8)  # all of them: quality and size were enough
    assert all(40 <= (each.quality or 0) <= 80 for each in plant.frames)


def test_a_queue_that_only_grows_is_emptied_again() -> None:
    rate = 0.5 * STREAM_BYTES_PER_S
    plant = limited_plant(rate, 2 * rate, Adaptation(quality=80))  # two seconds' worth
    assert plant.share_whole(0, END_S) == 1
    queues_s = [
        each.queue_s for now, each, _ in plant.trace if now > LIMITED_S + 3 and each.queue_s
    ]
    assert max(queues_s) < 0.1
    assert max(each.queue_s or 0 for _, each, _ in plant.trace) < 1


@pytest.mark.parametrize(("share", "queue"), [(0.5, "deep"), (0.25, "shallow")])
def test_raw_frames_become_smaller(share: float, queue: str) -> None:
    rate = share * RAW_BYTES_PER_S
    queue_bytes = SHALLOW_BYTES if queue == "shallow" else 0.1 * rate
    plant = limited_plant(rate, queue_bytes, Adaptation(quality=None), raw=True, fps=30)
    assert plant.share_whole(LIMITED_S + 2.5, LIFTED_S) >= 0.99
    assert 0.25 <= min(each.scale for each in plant.frames) < 0.75
    back_s = plant.back_after_s(LIFTED_S)
    assert back_s is not None
    assert back_s <= 10


def test_frames_that_come_encoded_become_fewer() -> None:
    rate = 0.4 * RAW_BYTES_PER_S
    adaptation = Adaptation(quality=None, resizable=False)
    plant = limited_plant(rate, 0.1 * rate, adaptation, raw=True)
    sent = [each for each in plant.frames if 6 <= each.captured_s < LIFTED_S]
    assert len(sent) == pytest.approx(30 / 4 * (LIFTED_S - 6), rel=0.5)
    assert {each.scale for each in plant.frames} == {1}
    assert plant.share_whole(LIMITED_S + 3, LIFTED_S) >= 0.99


def test_a_limit_that_comes_and_goes_in_steps() -> None:
    plant = Plant(
        Adaptation(quality=80), SimulatedLink(3, queue_bytes=SHALLOW_BYTES, delay_s=0.001)
    )
    shares = (0.8, 0.5, 0.2, 0.5, 0.8)
    for step, share in enumerate(shares):
        plant.limit(2 + 6 * step, share * STREAM_BYTES_PER_S)
    plant.run(38)
    for step in range(len(shares)):
        assert plant.share_whole(2 + 6 * step + 2, 2 + 6 * step + 6) >= 0.99
    pictures = [(each.scale, each.quality or 0) for each in plant.frames]
    assert min(pictures) < (0.5, 80)
    assert pictures[-1] > (1.0, 50)


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.1, 0.2])
def test_loss_by_chance_never_lowers_the_picture(loss: float) -> None:
    for seed in (1, 2):
        plant = Plant(Adaptation(quality=80), SimulatedLink(seed, loss=loss, delay_s=0.001))
        plant.run(15)
        assert {(each.quality, each.scale) for each in plant.frames} == {(80, 1.0)}
        assert len(plant.frames) >= 15 * 30
        assert {state.phase for _, _, state in plant.trace} == {Phase.OPEN}
        assert plant.share_whole(1, 15) >= 0.985  # by parity alone


def test_at_five_percent_the_wire_carries_at_most_a_third_more() -> None:
    plant = Plant(Adaptation(quality=80), SimulatedLink(2, loss=0.05, delay_s=0.001))
    plant.run(20)
    payload_bytes = sum(each.payload_bytes for each in plant.frames)
    wire_bytes = DATAGRAM_BYTES * sum(each.datagrams for each in plant.frames)
    missing = sum(
        sum(max(0, data - came) for data, came in zip(each.data, each.came, strict=True))
        for each in plant.frames
    )
    assert wire_bytes + 1.2 * DATAGRAM_BYTES * missing <= 1.3 * payload_bytes  # repairs, too


@pytest.mark.parametrize("pauses", [0.0, 1.0, 5.0, 15.0])
def test_pauses_as_of_wifi_never_lower_the_picture(pauses: float) -> None:
    plant = Plant(
        Adaptation(quality=80), SimulatedLink(5, loss=0.01, delay_s=0.002), pauses=pauses, seed=5
    )
    plant.run(20)
    assert {(each.quality, each.scale) for each in plant.frames} == {(80, 1.0)}
    assert {state.phase for _, _, state in plant.trace} == {Phase.OPEN}


def test_a_clean_link_gets_no_parity_and_no_spreading() -> None:
    plant = Plant(Adaptation(quality=80), SimulatedLink(1, delay_s=0.001))
    plant.run(5)
    assert {sum(each.parity) for each in plant.frames} == {0}
    assert plant.adaptation.rate_bytes_per_s is None
    assert plant.adaptation.describe() == ""


def test_loss_that_cuts_do_not_help_is_taken_for_chance() -> None:
    plant = Plant(Adaptation(quality=80), SimulatedLink(1, loss=0.4, delay_s=0.001))
    plant.run(12)
    assert min(each.scale for each in plant.frames) < 1  # it was tried
    assert {(each.quality, each.scale) for each in plant.frames[-120:]} == {(80, 1.0)}
    assert plant.share_whole(7, 12) > 0.9


def test_drops_in_the_receivers_kernel_spread_the_frames_first() -> None:
    plant = Plant(Adaptation(quality=80), SimulatedLink(1, delay_s=0.001))
    plant.run(1.4)
    plant.kernel_dropped += 5
    plant.run(1.6)
    plant.kernel_dropped += 5
    plant.run(2)
    assert plant.adaptation.state.phase is Phase.SPREAD
    assert plant.adaptation.quality == 80
    rate = plant.adaptation.rate_bytes_per_s
    assert rate == pytest.approx(STREAM_BYTES_PER_S / 0.75, rel=0.1)
    assert plant.adaptation.describe() == "frames are spread: at once they overran the link"
    plant.run(8)
    assert plant.adaptation.rate_bytes_per_s is None


def test_off_keeps_all_but_parity() -> None:
    rate = 0.5 * STREAM_BYTES_PER_S
    adaptation = Adaptation(quality=80, enabled=False)
    plant = limited_plant(rate, 0.1 * rate, adaptation)
    assert {(each.quality, each.scale) for each in plant.frames} == {(80, 1.0)}
    assert len(plant.frames) >= 30 * END_S
    assert max(sum(each.parity) for each in plant.frames) > 20
    assert adaptation.rate_bytes_per_s is None


def test_the_limits_are_kept() -> None:
    rate = 0.15 * STREAM_BYTES_PER_S
    limits = Limits(min_quality=60, min_scale=0.75, min_fps=10)
    plant = limited_plant(rate, 0.1 * rate, Adaptation(quality=80, limits=limits))
    assert min(each.quality or 0 for each in plant.frames) == 60
    assert min(each.scale for each in plant.frames) == 0.75
    sent = [each for each in plant.frames if 6 <= each.captured_s < LIFTED_S]
    assert len(sent) == 15 * (LIFTED_S - 6)  # half of 30; a quarter would be below 10


def test_a_rate_that_the_user_gave_is_kept_without_a_receiver() -> None:
    limits = Limits(max_rate_bytes_per_s=0.6 * STREAM_BYTES_PER_S)
    adaptation = Adaptation(quality=80, limits=limits)
    sent_bytes = 0
    for number in range(90):
        assert adaptation.admit(number / 30)
        quality = adaptation.quality
        assert quality is not None
        payload_bytes = int(41_000 * (40 / 2 / (100 - quality)) ** 0.6)
        adaptation.frame_encoded(payload_bytes, quality, adaptation.scale)
        sent_bytes += payload_bytes if number >= 30 else 0
    assert 0.4 < sent_bytes / 2 / STREAM_BYTES_PER_S < 0.6
    assert adaptation.rate_bytes_per_s == limits.max_rate_bytes_per_s
    assert adaptation.describe() == f"quality 80 -> {quality}: to stay within 6.0 Mbit/s"


def test_without_parity_a_trial_is_filled_with_a_better_picture() -> None:
    rate = 0.5 * STREAM_BYTES_PER_S
    plant = limited_plant(rate, 0.1 * rate, Adaptation(quality=80, fec=Fec(0)))
    assert {sum(each.parity) for each in plant.frames} == {0}
    back_s = plant.back_after_s(LIFTED_S)
    assert back_s is not None
    assert back_s <= 10


def test_frames_of_many_blocks_are_told_in_percent_of_one() -> None:
    adaptation = Adaptation(quality=None, fec=Fec(10))
    adaptation.frame_encoded(RAW_BYTES, None, 1.0)
    assert adaptation.state.parity_percent == pytest.approx(10, rel=0.1)


def test_it_says_what_it_does_and_a_restart_undoes_it() -> None:
    link = SimulatedLink(7, delay_s=0.001, queue_bytes=60_000)
    plant = Plant(Adaptation(quality=80), link)
    plant.limit(1, 0.6 * STREAM_BYTES_PER_S)
    plant.run(4.5)
    adaptation = plant.adaptation
    state = adaptation.state
    assert state.phase is Phase.LIMITED
    assert state.rate_bytes_per_s == pytest.approx(0.85 * 0.6 * STREAM_BYTES_PER_S, rel=0.1)
    words = f"quality 80 -> {adaptation.quality}: the link holds "
    assert adaptation.describe().startswith(words)
    assert adaptation.describe().endswith(" Mbit/s")
    adaptation.restart()
    assert (adaptation.quality, adaptation.rate_bytes_per_s) == (80, None)
    assert adaptation.describe() == ""


def test_parity_is_told_with_its_reason() -> None:
    adaptation = Adaptation(quality=80)
    adaptation.frame_encoded(41_000, 80, 1.0)
    sample = LinkSample(
        span_s=0.2, expected=1000, lost=50, runs=47, reordered=0, kernel_dropped=0,
        wire_bytes=300_000, frames_lost=0, jitter_s=0.0, queue_s=0.0,
    )  # fmt: skip
    adaptation.sample(sample, 1.0)
    assert adaptation.describe() == "20 % parity against 5.0 % loss"


def test_admitting_a_frame_changes_nothing_that_another_thread_looks_at() -> None:
    """It is called without the sender's lock."""
    adaptation = Adaptation(quality=80)
    for now in (0.0, 1 / 30, 2 / 30):
        before = vars(adaptation._meter).copy()
        stamps = list(adaptation._meter._stamps)
        adaptation.admit(now)
        assert vars(adaptation._meter) == before
        assert list(adaptation._meter._stamps) == stamps
        adaptation.frame_left_out()
    assert adaptation._captured_fps() == pytest.approx(30.0)
