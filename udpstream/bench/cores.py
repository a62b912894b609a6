"""Which processor core a process runs on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def stay_on(core: int) -> None:
    """Give each end a core of its own, as on two machines; nothing where that cannot be.

    A loopback sender otherwise gets its receiver scheduled on its own core, in its way.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """`stay_on` for as long as the block runs."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    stay_on(core)
    try:
        yield
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
