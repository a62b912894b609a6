"""Trials of the link: what a receiver counts of them, and how a sender's are made.

A trial belongs to no stream. It makes no frame, no window and no recording, and what a
stranger can make a receiver keep for it is bounded: few sources, one trial each, four bytes
a datagram.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from udpstream.core.serial import unwrap
from udpstream.core.streams import Address
from udpstream.protocol import (
    MAX_PROBES,
    PROBE_BYTES,
    Probe,
    ProbeForm,
    Tally,
    pack_control,
)

MAX_SOURCES = 4  # that try the link at once
SILENT_S = 5.0  # after which a source's trial is let go
_REST_S = 0.1  # between one source's new trials: each can cost a millisecond

_FEWEST = 4_096  # datagrams that there is room for at first
_MIDDLE = 1 << 31  # stands for the delay of the first: the zeros around are those not come
_MOST_DELAY_US = (1 << 31) - 1
_MOST = 0xFFFF_FFFF
_JITTER_FRAMES = 512  # of which the jitter is taken: 1/16 of each counts, so the last matter
_NUMBER = slice(12, 16)  # in a PROBE
_CLOCK = slice(20, 28)
_SAME = slice(0, _NUMBER.start)  # in all of a trial's: header and trial
_CHUNKS_AND_FORM = slice(_NUMBER.stop, _CLOCK.start)

Ints = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Trial:
    """What a receiver keeps of one trial.

    A datagram's delay stands at its number, so that one that comes twice stands for no
    other; and 0 stands where none came.
    """

    number: int
    chunks: int
    begun: float
    kernel_dropped_before: int
    delays: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(_FEWEST, np.uint32))
    base_us: int | None = None  # delay of the first datagram: the clocks' difference and more
    highest: int = -1
    duplicates: int = 0
    reordered: int = 0
    wire_bytes: int = 0
    first_us: int = 0
    last_us: int = 0

    def add(self, numbers: Ints, clocks_us: Ints, datagram_bytes: int, wall_us: int) -> None:
        """Take datagrams of one size that were read at one time, `(n,)` each."""
        self.wire_bytes += len(numbers) * datagram_bytes
        self.first_us = self.first_us or wall_us
        self.last_us = wall_us
        self._make_room(int(numbers.max()))
        before = np.maximum.accumulate(np.concatenate(([self.highest], numbers)))
        self.highest = int(before[-1])
        fresh = np.zeros(len(numbers), np.bool_)
        fresh[np.unique(numbers, return_index=True)[1]] = True
        fresh &= self.delays[numbers] == 0
        self.duplicates += len(numbers) - int(fresh.sum())
        self.reordered += int((fresh & (numbers < before[:-1])).sum())
        delays_us = wall_us - clocks_us
        if self.base_us is None:
            self.base_us = int(delays_us[0])
        delays_us = np.clip(delays_us - self.base_us, -_MOST_DELAY_US, _MOST_DELAY_US)
        self.delays[numbers[fresh]] = (delays_us[fresh] + _MIDDLE).astype(np.uint32)

    def counts(self, sent: int, kernel_dropped: int) -> dict[str, int]:
        """The fields of the tally, now that it is known how many datagrams were sent."""
        numbers = np.flatnonzero(self.delays[:sent])
        gaps = np.diff(np.concatenate(([-1], numbers, [sent]))) - 1
        frames, came = np.unique(numbers // self.chunks, return_counts=True)
        whole = came == np.minimum(self.chunks, sent - frames * self.chunks)
        counts = {
            "received": len(numbers),
            "duplicates": self.duplicates,
            "reordered": self.reordered,
            "runs": int((gaps > 0).sum()),
            "longest_run": int(gaps.max()),
            "whole": int(whole.sum()),
            "wire_bytes": self.wire_bytes,
            "first_us": self.first_us,
            "last_us": self.last_us,
            "kernel_dropped": kernel_dropped - self.kernel_dropped_before,
            **_delays(self.delays[numbers].astype(np.int64), numbers % self.chunks == 0),
        }
        return {name: min(count, _MOST) if name not in _WIDE else count
                for name, count in counts.items()}  # fmt: skip

    def _make_room(self, number: int) -> None:
        room = len(self.delays)
        while room <= number:
            room *= 2
        if room > len(self.delays):
            delays = np.zeros(room, np.uint32)
            delays[: len(self.delays)] = self.delays
            self.delays = delays


_WIDE = frozenset({"wire_bytes", "first_us", "last_us"})  # 64 bits on the wire


def _delays(delays_us: Ints, leads: NDArray[np.bool_]) -> dict[str, int]:
    """What the tally says of the delays of those that came, `(n,)`; `leads` begin frames."""
    if not len(delays_us):
        return {}
    over_us = delays_us - delays_us.min()
    ranked_us = np.sort(over_us)
    ranks = (np.ceil(np.array([0.5, 0.99]) * len(ranked_us)) - 1).astype(np.int64)
    p50_us, p99_us = ranked_us[ranks].tolist()
    jitter_us = 0.0
    for step_us in np.abs(np.diff(over_us[leads][-_JITTER_FRAMES:])).tolist():
        jitter_us += (step_us - jitter_us) / 16
    return {
        "delay_mean_us": round(float(over_us.mean())),
        "delay_p50_us": p50_us,
        "delay_p99_us": p99_us,
        "delay_max_us": int(ranked_us[-1]),
        "jitter_us": round(jitter_us),
    }


@dataclass(slots=True, eq=False)
class _Source:
    last_at: float
    trial: Trial
    counts: dict[str, int] | None = None  # once it is closed


class TrialTable:
    """The trials that run at a receiver, one for each source.

    Attributes:
        refused: datagrams of sources that there was no room for.
    """

    def __init__(self, receive_buffer_bytes: int, version: tuple[int, int, int]) -> None:
        self.refused = 0
        self._receive_buffer_bytes = receive_buffer_bytes
        self._version = version
        self._sources: dict[tuple[Address, int], _Source] = {}

    def __len__(self) -> int:
        return len(self._sources)

    def feed(
        self,
        address: Address,
        first: Probe,
        datagrams: NDArray[np.uint8],
        kernel_dropped: int,
        now: float,
        wall_us: int,
    ) -> tuple[int, bytes | None]:
        """Take the first of these datagrams, and all that follow it in the same trial.

        Args:
            address: where they came from.
            first: the first of them, parsed.
            datagrams: `(n, D)` uint8; not kept.
            kernel_dropped: the socket's count of datagrams that it had no room for.
            now: seconds.
            wall_us: Unix time, microseconds.

        Returns:
            How many were taken, and what to answer, if anything.
        """
        source = self._source(address, first, kernel_dropped, now)
        closing = first.form is ProbeForm.CLOSING
        taken = 1 if closing else _run_length(datagrams)
        if source is None:
            self.refused += taken
            return taken, None
        trial = source.trial
        is_over = source.counts is not None and not closing
        if is_over or (trial.number, trial.chunks) != (first.trial, first.chunks):
            return taken, None
        source.last_at = now
        if not closing:
            rows = datagrams[:taken]
            numbers = rows[:, _NUMBER].copy().view(">u4")[:, 0].astype(np.int64)
            clocks_us = rows[:, _CLOCK].copy().view(">i8")[:, 0].astype(np.int64)
            trial.add(numbers, clocks_us, rows.shape[1], wall_us)
            return taken, None
        if source.counts is None:
            source.counts = trial.counts(first.number, kernel_dropped)
            trial.delays = np.empty(0, np.uint32)
        tally = Tally(
            first.epoch, first.trial, first.clock_us, wall_us, wall_us,
            self._receive_buffer_bytes, version=self._version, **source.counts,
        )  # fmt: skip
        return taken, pack_control(tally)

    def expire(self, now: float) -> None:
        """Let go of sources that fell silent."""
        for key, source in list(self._sources.items()):
            if now >= source.last_at + SILENT_S:
                del self._sources[key]

    def next_timer(self) -> float | None:
        """When `expire` has something to do next, or None."""
        return min((each.last_at + SILENT_S for each in self._sources.values()), default=None)

    def _source(
        self, address: Address, first: Probe, kernel_dropped: int, now: float
    ) -> _Source | None:
        """The source's state, with a new trial where one begins; None if there is no room."""
        key = address, first.epoch
        source = self._sources.get(key)
        if source is not None:
            latest = source.trial.number
            begins = unwrap(first.trial, 32, latest) > latest
            if not begins or now < source.trial.begun + _REST_S:
                return source
        elif len(self._sources) >= MAX_SOURCES:
            return None
        trial = Trial(first.trial, first.chunks, now, kernel_dropped)
        self._sources[key] = _Source(now, trial)
        return self._sources[key]


def version_numbers(text: str) -> tuple[int, int, int]:
    """A program's version as a `Tally` carries it: major, minor and patch."""
    major, minor, patch = [*map(int, re.findall(r"\d+", text)), 0, 0, 0][:3]
    return major, minor, patch


def _run_length(datagrams: NDArray[np.uint8]) -> int:
    """How many of `(n, D)` datagrams are well-formed load of the same trial as the first."""
    first = datagrams[0]
    alike = (datagrams[:, _SAME] == first[_SAME]).all(axis=1)
    alike &= (datagrams[:, _CHUNKS_AND_FORM] == first[_CHUNKS_AND_FORM]).all(axis=1)
    alike &= datagrams[:, _NUMBER].copy().view(">u4")[:, 0] < MAX_PROBES
    return len(alike) if alike.all() else int(alike.argmin())


class Load:
    """The datagrams of a sender's trial, made frame by frame in one place.

    Attributes:
        datagrams: `(chunks, D)` uint8, C-contiguous: those of the frame made last.
    """

    def __init__(self, epoch: int, trial: int, chunks: int, datagram_bytes: int) -> None:
        probe = pack_control(Probe(epoch, trial, 0, chunks, ProbeForm.LOAD, 0))
        self.datagrams = np.zeros((chunks, datagram_bytes), np.uint8)
        self.datagrams[:, :PROBE_BYTES] = np.frombuffer(probe, np.uint8)

    def number(self, frame: int) -> None:
        """Make it the frame with that number."""
        chunks = len(self.datagrams)
        numbers = np.arange(frame * chunks, (frame + 1) * chunks, dtype=">u4")
        self.datagrams[:, _NUMBER] = numbers.view(np.uint8).reshape(-1, 4)

    def stamp(self, start: int, end: int, clock_us: int) -> NDArray[np.uint8]:
        """The frame's datagrams `start` to below `end`, which leave when the clock says so."""
        burst = self.datagrams[start:end]
        burst[:, _CLOCK] = np.frombuffer(clock_us.to_bytes(8), np.uint8)
        return burst
