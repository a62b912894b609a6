"""Counts for each stream, of which there may be any number in a receiver's life."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from udpstream.core.stream import Stream

MAX_TALLIES = 256  # streams whose counts are kept, 16 KB each where they have histograms

T = TypeVar("T")


class Tallies(Generic[T]):
    """Keeps counts of the latest streams; not safe for threads by itself."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Keep none yet; `make` makes those of a stream that has none."""
        self._make = make
        self._tallies: OrderedDict[Stream, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tallies)

    def keep(self, stream: Stream) -> T:
        """The stream's counts, to be counted up; of too many streams, the first is let go."""
        if stream not in self._tallies:
            if len(self._tallies) >= MAX_TALLIES:
                self._tallies.popitem(last=False)
            self._tallies[stream] = self._make()
        return self._tallies[stream]

    def look(self, stream: Stream) -> T:
        """The stream's counts, to be read; fresh ones where none are kept."""
        return self._tallies[stream] if stream in self._tallies else self._make()
