"""How a stream takes a link that is cut down for a while, told from the frames that arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import mean, median
from typing import NamedTuple

from benchmarks.report import Table

# A picture is whole again when none was lost, and none was late, for so long.
STEADY_S = 1.0
_SILENCE_S = 0.5
BACK_SHARE = 0.95  # of the quality and the rate that were there before the limit
_BACK_FRAMES = 15


class Arrival(NamedTuple):
    """A whole frame at the receiver; times are `time.monotonic`'s."""

    at_s: float
    number: int
    payload_bytes: int
    size_wh: tuple[int, int]
    latency_s: float | None


class Recovery(NamedTuple):
    """How a stream took a limit; None where it did not within the time it was given.

    Attributes:
        whole_s: from the limit to a picture that stays whole for a second.
        lost_after: frames lost from then on until the limit was lifted.
        back_s: from the lifting to the quality and rate of before.
    """

    whole_s: float | None
    lost_after: int | None
    back_s: float | None


def recovery_of(arrivals: Sequence[Arrival], limited_s: float, lifted_s: float) -> Recovery:
    """Tell from what arrived, in order, how the stream took the limit."""
    before = [each for each in arrivals if each.at_s < limited_s]
    during = [each for each in arrivals if limited_s <= each.at_s < lifted_s]
    after = [each for each in arrivals if each.at_s >= lifted_s]
    whole_s = lost_after = None
    for run in _whole_runs(during):
        if run[-1].at_s - run[0].at_s >= STEADY_S:
            whole_s = run[0].at_s - limited_s
            lost_after = sum(_missed([*during[during.index(run[0]) :], *after[:1]]))
            break
    return Recovery(whole_s, lost_after, _back_s(before, after, lifted_s))


def timeline(arrivals: Sequence[Arrival], limited_s: float, lifted_s: float) -> Table:
    """What arrived in each second, counted from the limit."""
    table = Table(
        "The same by the second",
        "Seconds from the limit on. Lost: numbers missing between the frames that arrived.",
    )
    missed = [0, *_missed(arrivals)]
    first_s, last_s = arrivals[0].at_s - limited_s, arrivals[-1].at_s - limited_s
    for second in range(int(first_s // 1), int(last_s // 1) + 1):
        here = [
            (each, lost)
            for each, lost in zip(arrivals, missed, strict=True)
            if second <= each.at_s - limited_s < second + 1
        ]
        latencies = [each.latency_s for each, _ in here if each.latency_s is not None]
        sizes = {"x".join(map(str, each.size_wh)): None for each, _ in here}
        table.rows.append(
            {
                "s": second,
                "limit": "on" if 0 <= second + 0.5 < lifted_s - limited_s else "off",
                "frames": len(here),
                "lost": sum(lost for _, lost in here),
                "KB a frame": mean(each.payload_bytes for each, _ in here) / 1e3 if here else None,
                "size": ", ".join(sizes) or "-",
                "p50 ms": median(latencies) * 1e3 if latencies else None,
            }
        )
    return table


def _missed(arrivals: Sequence[Arrival]) -> Iterator[int]:
    """How many numbers are missing before each arrival but the first."""
    return (later.number - earlier.number - 1 for earlier, later in pairwise(arrivals))


def _whole_runs(arrivals: Sequence[Arrival]) -> Iterator[list[Arrival]]:
    """Stretches in which no frame was missing, and none was long awaited."""
    run = list(arrivals[:1])
    for (earlier, later), missed in zip(pairwise(arrivals), _missed(arrivals), strict=True):
        if missed or later.at_s - earlier.at_s > _SILENCE_S:
            yield run
            run = []
        run.append(later)
    if run:
        yield run


def _back_s(before: Sequence[Arrival], after: Sequence[Arrival], lifted_s: float) -> float | None:
    if len(before) < 2:
        return None
    wanted_bytes = BACK_SHARE * mean(each.payload_bytes for each in before)
    wanted_fps = BACK_SHARE * _rate(before)
    for end in range(_BACK_FRAMES, len(after) + 1):
        latest = after[end - _BACK_FRAMES : end]
        there = mean(each.payload_bytes for each in latest) >= wanted_bytes
        same_size = latest[0].size_wh == latest[-1].size_wh == before[-1].size_wh
        if there and same_size and _rate(latest) >= wanted_fps:
            return latest[0].at_s - lifted_s
    return None


def _rate(arrivals: Sequence[Arrival]) -> float:
    span_s = arrivals[-1].at_s - arrivals[0].at_s
    return (arrivals[-1].number - arrivals[0].number) / span_s if span_s > 0 else 0.0
