"""The last seconds of a performer, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_FRAMES = 512  # 5 s at 100 frames a second; of a faster stream the oldest are left out
_LEAST_ROOM = 64


class History:
    """A row of arrays for each frame; the oldest are dropped.

    Args:
        **columns: each column's name, and the shape of its entries, or `float` or `int`.
    """

    def __init__(self, **columns: type[float | int] | tuple[int, ...]) -> None:
        self._columns: dict[str, NDArray[Any]] = {
            name: np.zeros((_LEAST_ROOM, *shape))
            if isinstance(shape, tuple)
            else np.zeros(_LEAST_ROOM, shape)
            for name, shape in columns.items()
        }
        self._begin = self._end = 0

    def __len__(self) -> int:
        return self._end - self._begin

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column, `(n, ...)`, oldest first: a view, valid until the next `add`."""
        return self._columns[name][self._begin : self._end]

    def add(self, **values: ArrayLike) -> None:
        """Begin a frame's row with some of its columns."""
        if len(self) == MAX_FRAMES:
            self.drop(1)
        if self._end == len(next(iter(self._columns.values()))):
            self._make_room()
        self._end += 1
        self.amend(**values)

    def amend(self, **values: ArrayLike) -> None:
        """Set further columns of the latest row."""
        for name, value in values.items():
            self._columns[name][self._end - 1] = value

    def drop(self, count: int) -> None:
        """Drop the oldest rows."""
        self._begin = min(self._begin + count, self._end)

    def _make_room(self) -> None:
        """Move the rows to the front of arrays that are twice as long as needed."""
        for name, column in self._columns.items():
            rows = column[self._begin : self._end]
            moved = np.zeros((max(_LEAST_ROOM, 2 * len(rows)), *column.shape[1:]), column.dtype)
            moved[: len(rows)] = rows
            self._columns[name] = moved
        self._begin, self._end = 0, self._end - self._begin
