from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udpstream.core.meter import LinkCounts, LinkMeter

Place = tuple[int, int]  # frame, and place in it


def books(counts: LinkCounts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in LinkCounts.__slots__}


def oracle(totals: list[int], arrivals: list[Place]) -> dict[str, int]:
    """What a meter is to count, by remembering every datagram."""
    order = [(frame, place) for frame, total in enumerate(totals) for place in range(total)]
    position = {each: number for number, each in enumerate(order)}
    furthest, runs, reordered, duplicates = -1, 0, 0, 0
    seen: set[int] = set()
    for each in arrivals:
        number = position[each]
        if number in seen:
            duplicates += 1
        elif number < furthest:
            reordered += 1
        else:
            runs += number > furthest + 1
            furthest = number
        seen.add(number)
    return {"expected": furthest + 1, "received": len(seen), "runs": runs,
            "reordered": reordered, "duplicates": duplicates}  # fmt: skip


def metered(totals: list[int], arrivals: list[Place]) -> LinkCounts:
    meter = LinkMeter(LinkCounts())
    for frame, place in arrivals:
        meter.note(frame, place, place + 1, totals[frame], 0.0)
    return meter.counts


@st.composite
def trips(draw: st.DrawFn) -> tuple[list[int], list[Place]]:
    """Frames' sizes, and what came of them: some were lost, some displaced."""
    totals = draw(st.lists(st.integers(1, 12), min_size=1, max_size=8))
    sent = [(frame, place) for frame, total in enumerate(totals) for place in range(total)]
    lost = draw(st.sets(st.sampled_from(sent)))
    # A frame of which nothing came has no size of its own: see the test of those.
    here = [each for each in sent if each not in lost or each[1] == 0]
    delays = draw(st.lists(st.integers(0, 9), min_size=len(here), max_size=len(here)))
    at = np.argsort(np.add(delays, range(len(here))), kind="stable")
    arrivals = [here[number] for number in at]
    first = next(each for each in arrivals if each[0] == 0)  # with frame 0 the count begins
    arrivals.remove(first)
    return totals, [first, *arrivals]


@given(trips())
def test_losses_and_displaced_datagrams_as_the_oracle_has_it(
    trip: tuple[list[int], list[Place]],
) -> None:
    totals, arrivals = trip
    # A whole frame that is displaced would be taken for one of the size before.
    firsts = [frame for frame, _ in arrivals]
    known = [max(firsts[: at + 1]) for at in range(len(firsts))]
    jumps = any(later - earlier > 1 for earlier, later in zip([-1, *known], known, strict=False))
    same = [12] * len(totals)  # places beyond a frame's own are lost tails then
    sizes = same if jumps else totals
    assert books(metered(sizes, arrivals)) == oracle(sizes, arrivals)


@given(trips(), st.data())
def test_runs_of_datagrams_count_as_one_by_one(
    trip: tuple[list[int], list[Place]], data: st.DataObject
) -> None:
    totals, arrivals = trip
    meter = LinkMeter(LinkCounts())
    at = 0
    while at < len(arrivals):
        frame, place = arrivals[at]
        length = 1
        while arrivals[at + length : at + length + 1] == [(frame, place + length)]:
            length += 1
        length = data.draw(st.integers(1, length))
        meter.note(frame, place, place + length, totals[frame], 0.0)
        at += length
    assert books(meter.counts) == books(metered(totals, arrivals))


@given(trips(), st.data())
def test_repetitions_of_what_was_not_lost_are_duplicates(
    trip: tuple[list[int], list[Place]], data: st.DataObject
) -> None:
    totals, _ = trip
    sent = [(frame, place) for frame, total in enumerate(totals) for place in range(total)]
    arrivals, repeated = [], 0
    for at, each in enumerate(sent):
        arrivals.append(each)
        again = data.draw(st.lists(st.integers(0, at), max_size=2))
        arrivals += [sent[number] for number in again]
        repeated += len(again)
    expected = {"expected": len(sent), "received": len(sent), "runs": 0, "reordered": 0}
    assert books(metered(totals, arrivals)) == expected | {"duplicates": repeated}


def test_a_run_may_begin_behind_the_furthest_and_end_beyond_it() -> None:
    meter = LinkMeter(LinkCounts())
    meter.note(0, 0, 6, 10, 0.0)
    meter.note(0, 4, 8, 10, 0.0)
    assert books(meter.counts) == {
        "expected": 8, "received": 8, "runs": 0, "reordered": 0, "duplicates": 2,
    }  # fmt: skip


def test_the_head_of_the_first_frame_counts_as_lost_until_it_comes() -> None:
    meter = LinkMeter(LinkCounts())
    meter.note(5, 3, 10, 10, 0.0)
    assert books(meter.counts) == {
        "expected": 10, "received": 7, "runs": 1, "reordered": 0, "duplicates": 0,
    }  # fmt: skip
    meter.note(5, 0, 3, 10, 0.0)
    assert (meter.counts.received, meter.counts.reordered) == (10, 3)


def test_frames_that_were_not_seen_are_as_large_as_the_one_before() -> None:
    meter = LinkMeter(LinkCounts())
    meter.note(0, 0, 8, 10, 0.0)
    meter.note(3, 1, 5, 5, 0.0)
    counts = meter.counts
    assert (counts.expected, counts.received, counts.runs) == (10 + 2 * 10 + 5, 12, 1)
    assert counts.lost_share == pytest.approx(23 / 35)
    meter.note(1, 0, 10, 10, 0.0)  # it was only late
    assert (counts.received, counts.reordered, counts.duplicates) == (22, 10, 0)
    meter.note(1, 0, 10, 10, 0.0)
    assert (counts.received, counts.reordered, counts.duplicates) == (22, 10, 10)


def test_a_tail_is_lost_when_a_later_frame_begins() -> None:
    meter = LinkMeter(LinkCounts())
    meter.note(0, 0, 7, 10, 0.0)
    assert meter.counts.lost_share == 0.0
    meter.note(1, 0, 1, 10, 0.0)
    assert (meter.counts.expected, meter.counts.received, meter.counts.runs) == (11, 8, 1)


def test_a_jump_of_billions_is_cheap_and_does_not_drown_the_books() -> None:
    meter = LinkMeter(LinkCounts())
    meter.note(0, 0, 10, 10, 0.0)
    meter.note(1 << 40, 0, 10, 10, 0.0)
    assert meter.counts.expected == 10 + 64 * 10 + 10
    assert meter.counts.runs == 1


def test_memory_of_holes_is_bounded_and_the_oldest_go() -> None:
    meter = LinkMeter(LinkCounts())
    for frame in range(100):
        meter.note(frame, 1, 10, 10, 0.0)  # each lacks its first
    assert len(meter._holes) <= 16
    meter.note(0, 0, 1, 10, 0.0)  # too long ago to know
    meter.note(99, 0, 1, 10, 0.0)
    assert (meter.counts.reordered, meter.counts.duplicates) == (1, 1)


def test_holes_that_were_filled_push_no_other_out() -> None:
    meter = LinkMeter(LinkCounts())
    for frame in range(100):
        meter.note(frame, 1, 10, 10, 0.0)
        if frame:
            meter.note(frame, 0, 1, 10, 0.0)
    meter.note(0, 0, 1, 10, 0.0)
    assert (meter.counts.received, meter.counts.duplicates) == (1000, 0)


def test_which_frame_is_the_latest_and_when_it_came() -> None:
    meter = LinkMeter(LinkCounts())
    assert meter.frame is None
    meter.note(4, 0, 5, 10, 1.0)
    meter.note(5, 0, 5, 10, 2.0)
    meter.note(4, 5, 10, 10, 3.0)  # late, and of an earlier one
    assert [meter.frame, meter.arrived_at] == [5, 2.0]
    meter.note(5, 5, 10, 10, 4.0)
    assert [meter.frame, meter.arrived_at] == [5, 4.0]


def test_a_copy_goes_its_own_way() -> None:
    counts = LinkCounts(expected=5, received=4)
    twin = counts.copy()
    counts.expected += 5
    assert (twin.expected, twin.lost_share) == (5, 0.2)
    assert LinkCounts().lost_share == 0.0


# -- jitter -------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 100_000), st.floats(0, 0.05)), min_size=1, max_size=40),
    st.integers(0, 2**32 - 1),
)
def test_jitter_is_that_of_rfc_3550(steps: list[tuple[int, float]], start_us: int) -> None:
    meter = LinkMeter(LinkCounts())
    captured_us, jitter, before = start_us, 0.0, None
    for step_us, transit_s in steps:
        captured_us += step_us
        arrived_s = (captured_us - start_us) / 1e6 + transit_s
        if before is not None:  # RFC 3550, 6.4.1: J += (|D| - J) / 16
            jitter += (abs(transit_s - before) - jitter) / 16
        before = transit_s
        meter.spaced(captured_us % 2**32, arrived_s)
        assert meter.jitter_s == pytest.approx(jitter, abs=1e-9)


def test_frames_that_come_as_they_were_captured_have_no_jitter() -> None:
    meter = LinkMeter(LinkCounts())
    for number in (0, 1, 3, 2, 10):  # in whatever order they are whole
        meter.spaced(33_333 * number, 5 + 0.033_333 * number)
    assert meter.jitter_s == pytest.approx(0, abs=1e-12)
