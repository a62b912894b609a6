from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.link_tools import SENDER, WALL_S, feed, make_receiver
from udpstream.core.probing import (
    MAX_SOURCES,
    SILENT_S,
    Load,
    TrialTable,
    version_numbers,
)
from udpstream.core.receiving import ReceiverCore
from udpstream.core.simulated import SimulatedLink
from udpstream.protocol import (
    MAX_PROBES,
    TALLY_BYTES,
    Probe,
    ProbeForm,
    Tally,
    pack_control,
    parse_control,
)

CHUNKS = 10
FRAMES = 20
SENT = CHUNKS * FRAMES
CLOCK_US = round((WALL_S + 77) * 1e6)  # the sender's clock is ahead
CLOSING = Probe(
    epoch=9, trial=1, number=SENT, chunks=CHUNKS, form=ProbeForm.CLOSING, clock_us=CLOCK_US
)


def load_of(trial: int = 1, frames: int = FRAMES, clock_us: int = CLOCK_US) -> NDArray[np.uint8]:
    """All datagrams of a trial, `(n, 60)` uint8, all stamped alike."""
    load = Load(9, trial, CHUNKS, 60)
    rows = []
    for frame in range(frames):
        load.number(frame)
        rows.append(load.stamp(0, CHUNKS, clock_us).copy())
    return np.concatenate(rows)


def ask(core: ReceiverCore, closing: Probe = CLOSING, now: float = 2.0) -> Tally | None:
    """Close a trial; return the tally that comes of it."""
    feed(core, pack_control(closing), now)
    answers = core.datagrams_to_send()
    if not answers:
        return None
    ((datagram, address),) = answers
    assert address == SENDER
    assert len(datagram) <= len(pack_control(closing))
    tally = parse_control(datagram)
    assert isinstance(tally, Tally)
    return tally


def tally_of(datagrams: NDArray[np.uint8], batch: int = 7) -> Tally:
    core = make_receiver()
    for start in range(0, len(datagrams), batch):
        assert not feed(core, datagrams[start : start + batch], 1.0)
    tally = ask(core)
    assert tally is not None
    return tally


# -- counting -------------------------------------------------------------------


def test_a_trial_that_arrives_whole() -> None:
    core = make_receiver(version=(1, 2, 3))
    feed(core, load_of()[: SENT // 2], 1.0)
    feed(core, load_of()[SENT // 2 :], 1.5)
    wall_us = [round((WALL_S + now) * 1e6) for now in (1.0, 1.5, 2.0)]
    assert ask(core) == Tally(
        epoch=9, trial=1, echo_us=CLOCK_US, received_us=wall_us[2], sent_us=wall_us[2],
        receive_buffer_bytes=8 << 20, received=SENT, whole=FRAMES, wire_bytes=SENT * 60,
        first_us=wall_us[0], last_us=wall_us[1], delay_mean_us=250_000, delay_p50_us=0,
        delay_p99_us=500_000, delay_max_us=500_000, jitter_us=round(500_000 / 16 * (15 / 16) ** 9),
        version=(1, 2, 3),
    )  # fmt: skip
    assert not core.reports()
    assert not core.dropped.total()


def test_lost_datagrams_are_counted_in_runs_and_by_frame() -> None:
    lost = [0, 1, 50, 77, 78, 79, SENT - 4, SENT - 3, SENT - 2, SENT - 1]
    tally = tally_of(np.delete(load_of(), lost, axis=0))
    assert (tally.received, tally.runs, tally.longest_run) == (SENT - len(lost), 4, 4)
    assert tally.whole == FRAMES - 4


def test_a_duplicate_makes_no_loss_good() -> None:
    datagrams = load_of()
    tally = tally_of(np.concatenate([datagrams[:-3], datagrams[:3], datagrams[5:6]]))
    assert (tally.received, tally.duplicates, tally.runs) == (SENT - 3, 4, 1)
    assert tally.reordered == 0


@pytest.mark.parametrize("batch", [1, 4, SENT])
def test_datagrams_that_were_overtaken(batch: int) -> None:
    order = np.arange(SENT)
    order[[3, 4, 5]] = [5, 3, 4]  # two behind one
    order[[100, 101]] = [101, 100]
    tally = tally_of(load_of()[order], batch)
    assert (tally.received, tally.reordered, tally.duplicates) == (SENT, 3, 0)


def test_a_trial_of_which_nothing_came() -> None:
    tally = ask(make_receiver())
    assert tally is not None
    assert (tally.received, tally.runs, tally.longest_run, tally.whole) == (0, 1, SENT, 0)
    assert tally.first_us == 0


def test_a_trial_of_nothing_asks_whether_somebody_is_there() -> None:
    tally = ask(make_receiver(), replace(CLOSING, number=0, chunks=1))
    assert tally is not None
    assert (tally.received, tally.runs, tally.longest_run) == (0, 0, 0)


def test_a_last_frame_that_was_cut_short_can_be_whole() -> None:
    core = make_receiver()
    feed(core, load_of()[: SENT - 3])
    tally = ask(core, replace(CLOSING, number=SENT - 3))
    assert tally is not None
    assert (tally.received, tally.runs, tally.whole) == (SENT - 3, 0, FRAMES)


def test_delays_and_jitter_are_of_the_datagrams_ways() -> None:
    core = make_receiver()
    for frame in range(FRAMES):
        rows = load_of(clock_us=CLOCK_US + frame * 33_000)[frame * CHUNKS : (frame + 1) * CHUNKS]
        feed(core, rows, 1.0 + frame * 0.033 + (0.004 if frame % 2 else 0.0))
    tally = ask(core)
    assert tally is not None
    assert (tally.delay_p50_us, tally.delay_p99_us, tally.delay_max_us) == (0, 4_000, 4_000)
    assert tally.delay_mean_us == 2_000
    assert tally.jitter_us == round(4_000 * (1 - (15 / 16) ** (FRAMES - 1)))


def test_the_closing_is_answered_each_time_and_counts_no_more() -> None:
    core = make_receiver()
    feed(core, load_of()[:-1])
    first = ask(core)
    feed(core, load_of()[-1:])
    second = ask(core, replace(CLOSING, clock_us=CLOCK_US + 5), now=3.0)
    assert first is not None
    assert second is not None
    assert second.echo_us == first.echo_us + 5
    assert second.received == first.received == SENT - 1


def test_kernel_drops_are_those_of_the_trial() -> None:
    core = make_receiver()
    feed(core, load_of()[:100], kernel_dropped=5)
    core.feed(SENDER, np.frombuffer(pack_control(CLOSING), np.uint8)[None, :], 17, 1.0)
    ((datagram, _),) = core.datagrams_to_send()
    tally = parse_control(datagram)
    assert isinstance(tally, Tally)
    assert tally.kernel_dropped == 12


def test_the_next_trial_begins_anew_and_the_one_before_is_over() -> None:
    core = make_receiver()
    feed(core, load_of(), 1.0)
    feed(core, load_of(trial=2)[:50], 1.2)
    feed(core, load_of()[50:], 1.3)  # late
    assert ask(core) is None
    tally = ask(core, replace(CLOSING, trial=2))
    assert tally is not None
    assert tally.received == 50


def test_numbers_of_trials_may_wrap() -> None:
    core = make_receiver()
    feed(core, load_of(trial=2**32 - 1), 1.0)
    feed(core, load_of(trial=0), 1.2)
    assert ask(core, replace(CLOSING, trial=0)) is not None


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.floats(0, 0.5), st.integers(0, 8), st.floats(0, 0.3))
def test_the_books_agree_with_the_link(
    seed: int, loss: float, reorder: int, duplicate: float
) -> None:
    link = SimulatedLink(seed, loss=loss, burst=3, reorder=reorder, duplicate=duplicate)
    for row in load_of():
        link.send(row.tobytes(), 0.0)
    core = make_receiver()
    arrived = link.deliver(1.0)
    for datagram in arrived:
        feed(core, datagram, 1.0)
    tally = ask(core)
    assert tally is not None
    assert tally.received == SENT - link.lost
    assert tally.duplicates == link.duplicated
    assert tally.received + tally.duplicates == len(arrived)
    assert (tally.runs == 0) == (link.lost == 0)
    assert tally.runs * tally.longest_run >= link.lost
    assert tally.whole <= FRAMES


# -- strangers --------------------------------------------------------------------


def table() -> TrialTable:
    return TrialTable(212_992, (0, 1, 0))


def give(trials: TrialTable, port: int, now: float, **fields: int) -> bytes | None:
    probe = replace(CLOSING, form=ProbeForm.LOAD, number=0, **fields)
    datagram = np.frombuffer(pack_control(probe), np.uint8)[None, :]
    return trials.feed(("192.0.2.9", port), probe, datagram, 0, now, 1)[1]


def test_few_sources_are_kept_and_forgotten_when_silent() -> None:
    trials = table()
    for port in range(50):
        assert give(trials, port, 1.0) is None
    assert len(trials) == MAX_SOURCES
    assert trials.refused == 50 - MAX_SOURCES
    assert trials.next_timer() == 1.0 + SILENT_S
    trials.expire(1.0 + SILENT_S)
    assert len(trials) == 0
    assert trials.next_timer() is None


def test_a_source_begins_no_trial_at_once_after_another() -> None:
    core = make_receiver()
    feed(core, load_of(trial=1), 1.0)
    feed(core, load_of(trial=2), 1.001)
    assert ask(core, replace(CLOSING, trial=2), now=1.002) is None
    assert ask(core, now=1.003) is not None


def test_a_refused_source_is_counted_and_gets_no_answer() -> None:
    core = make_receiver()
    for port in range(MAX_SOURCES):
        feed(core, load_of(), source=("192.0.2.9", port))
    feed(core, load_of())
    assert ask(core) is None
    assert core.dropped["refused_probes"] == SENT + 1
    assert core.next_timer() is not None
    core.handle_timer(10.0)
    assert core.next_timer() is None


def test_memory_is_bounded_by_the_highest_number() -> None:
    core = make_receiver()
    last = Probe(9, 1, MAX_PROBES - 1, CHUNKS, ProbeForm.LOAD, 0)
    feed(core, pack_control(last))
    tally = ask(core, replace(CLOSING, number=MAX_PROBES))
    assert tally is not None
    assert (tally.received, tally.longest_run) == (1, MAX_PROBES - 1)


@settings(max_examples=100)
@given(st.data())
def test_broken_probes_do_no_harm(data: st.DataObject) -> None:
    core = make_receiver()
    datagrams = load_of(frames=2)
    for _ in range(data.draw(st.integers(1, 6))):
        row = data.draw(st.integers(0, len(datagrams) - 1))
        datagrams[row, data.draw(st.integers(0, 27))] = data.draw(st.integers(0, 255))
    closing = bytearray(pack_control(replace(CLOSING, number=20)))
    closing[data.draw(st.integers(0, 27))] = data.draw(st.integers(0, 255))
    feed(core, datagrams, 1.0)
    feed(core, bytes(closing), 1.1)
    answers = core.datagrams_to_send()
    assert sum(len(datagram) for datagram, _ in answers) <= len(answers) * TALLY_BYTES
    tally = ask(core, replace(CLOSING, number=20))
    if tally is not None:
        assert tally.received <= 20
        assert tally.whole <= 2


@pytest.mark.parametrize(
    ("text", "numbers"), [("0.1.0", (0, 1, 0)), ("12.3", (12, 3, 0)), ("1.2.3.dev4", (1, 2, 3))]
)
def test_versions(text: str, numbers: tuple[int, int, int]) -> None:
    assert version_numbers(text) == numbers
