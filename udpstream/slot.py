"""A place for one item between two threads: the latest wins, so nothing queues up."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """Holds the latest item put until it is taken; thread-safe.

    A put never waits: it overwrites an item that nobody took. Each item is taken once,
    by one taker. An item that is there when the slot is closed can still be taken.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T
        self._full = False  # an item of its own could be None
        self._closed = False

    def put(self, item: T) -> bool:
        """Leave an item and wake a taker; return whether one was overwritten untaken.

        Once the slot is closed the item is dropped, and the answer is False.
        """
        with self._changed:
            if self._closed:
                return False
            overwrote = self._full
            self._item = item
            self._full = True
            self._changed.notify()
            return overwrote

    def take(self, timeout_s: float | None = None) -> T | None:
        """Remove and return the item, waiting for one; None waits without an end.

        Returns None when the time is over, or at once when the slot is closed and
        empty: `closed` tells the two apart.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._full or self._closed, timeout_s)
            if not self._full:
                return None
            item = self._item
            del self._item  # a picture may be large: the slot keeps no second hold of it
            self._full = False
            return item

    def close(self) -> None:
        """Take no more items, and wake all takers; may be called again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether the slot is closed and empty: no item will ever come again."""
        with self._changed:
            return self._closed and not self._full
