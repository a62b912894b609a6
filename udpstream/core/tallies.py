"""What is kept of each stream, of which there may be any number in a receiver's life."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from udpstream.core.stream import Stream

MAX_KEPT = 256  # streams of which something is kept: 16 KB each where there are histograms

T = TypeVar("T")


class ByStream(Generic[T]):
    """Keeps something of each of the latest streams; not safe for threads by itself."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Stream, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, stream: Stream, value: T) -> None:
        """Keep it; of too many streams, that which was put the longest ago is let go."""
        self._kept[stream] = value
        self._kept.move_to_end(stream)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def get(self, stream: Stream) -> T | None:
        """What is kept of a stream, or None."""
        return self._kept.get(stream)

    def pop(self, stream: Stream) -> T | None:
        """What was kept of a stream, or None; it is kept no longer."""
        return self._kept.pop(stream, None)


class Tallies(Generic[T]):
    """Keeps counts of the latest streams; not safe for threads by itself."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Keep none yet; `make` makes those of a stream that has none."""
        self._make = make
        self._tallies: ByStream[T] = ByStream()

    def __len__(self) -> int:
        return len(self._tallies)

    def keep(self, stream: Stream) -> T:
        """The stream's counts, to be counted up; of too many streams, the first is let go."""
        tally = self._tallies.get(stream)
        if tally is None:
            tally = self._make()
            self._tallies.put(stream, tally)
        return tally

    def look(self, stream: Stream) -> T:
        """The stream's counts, to be read; fresh ones where none are kept."""
        tally = self._tallies.get(stream)
        return self._make() if tally is None else tally
