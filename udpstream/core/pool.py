"""Memory for frames that is used again as soon as nobody holds the frame any more.

Frames of a few hundred kilobytes that come and go among decoded pictures of megabytes leave
holes of the wrong size in glibc's heap, so that it shrinks and grows with each picture: every
tenth JPEG of 1920x1080 took 11 ms to decode, not 7, for pages that the kernel had to clear.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST_FREE = 4  # kept for frames to come: as many as a reader's queue holds
_MOST_BYTES = 32 << 20  # in each; a raw 4K frame has 25 MB
_SPARE = 1.125  # times what is asked for is got: the next frame may be a little larger,
_MOST_SPARE = 1.5  # and so many times as much may be handed out


class BufferPool:
    """Hands out arrays, and takes their memory back by itself.

    One thread at a time may take; what was taken may be let go on any.
    """

    def __init__(self) -> None:
        self._free: list[_Memory] = []

    def take(self, size: int) -> NDArray[np.uint8]:
        """An array `(size,)` uint8 of whatever content, to be kept as long as one likes."""
        return np.asarray(_Lease(self._memory_for(size), size, self._free))

    def _memory_for(self, size: int) -> _Memory:
        free = self._free
        for at in range(len(free) - 1, -1, -1):  # the latest is likely to be in the caches
            if size <= free[at].size <= _MOST_SPARE * size:
                return free.pop(at)
        if free:  # the frames have another size now
            free.pop(0)
        return _Memory(int(size * _SPARE))


class _Memory:
    __slots__ = ("_array", "address", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._array = np.empty(size, np.uint8)
        self.address = self._array.ctypes.data


class _Lease:
    """What an array and its views hold on to, by numpy's array interface.

    No garbage collection ends it before them, as arrays take no part in that.
    """

    __slots__ = ("__array_interface__", "_free", "_memory")

    def __init__(self, memory: _Memory, size: int, free: list[_Memory]) -> None:
        self.__array_interface__ = {
            "version": 3, "typestr": "|u1", "shape": (size,), "data": (memory.address, False),
        }  # fmt: skip
        self._memory = memory
        self._free = free

    # As defaults: a program that ends with a frame in its hands has cleared this module by then.
    def __del__(self, most_free: int = _MOST_FREE, most_bytes: int = _MOST_BYTES) -> None:
        if len(self._free) < most_free and self._memory.size <= most_bytes:
            self._free.append(self._memory)
