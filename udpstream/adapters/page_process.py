"""Draws results in a process of its own: it takes a second, which the link cannot spare."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Sequence

from udpstream.adapters.child import Child, ChildGoneError, Requests
from udpstream.adapters.score_plot import Page, draw_page, require_matplotlib
from udpstream.errors import PoseError

_NICER = 19  # behind all else: nobody waits for it but who ends
_TIMEOUT_S = 30.0  # for a second's work, on a machine that has more to do
_PAGE, _FAILED = b"P", b"E"


class PageProcess:
    """Draws pages, for any number of threads, one after the other."""

    def __init__(self) -> None:
        """Start the process, so that Matplotlib is loaded when the first page is wanted."""
        self._lock = threading.Lock()
        self._child: Child | None = None  # guarded by the lock
        with contextlib.suppress(ChildGoneError):  # `draw` tries again, and tells
            self._child = Child(__name__)

    @property
    def id(self) -> int | None:
        """The process's number; None where there is none just now."""
        with self._lock:
            return None if self._child is None else self._child.id

    def draw(self, page: Page) -> bytes:
        """Return the page as a PNG file's bytes: see `score_plot.draw_page`.

        Raises:
            PoseError: Matplotlib is not installed, or the process failed or did not answer.
        """
        with self._lock:
            try:
                if self._child is None:
                    self._child = Child(__name__)
                answer = _ask(self._child, pickle.dumps(page))
            except ChildGoneError as error:
                self._end()
                raise PoseError(f"the result cannot be drawn: {error}") from error
        if answer[:1] == _FAILED:
            raise PoseError(answer[1:].decode())
        return answer[1:]

    def close(self) -> None:
        """End the process, when a page that is being drawn is done; idempotent."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()


def _ask(child: Child, request: bytes) -> bytes:
    """Return the answer to a request; who does not answer in time is killed."""
    timer = threading.Timer(_TIMEOUT_S, child.kill)
    timer.daemon = True
    timer.start()
    try:
        child.write(request)
        return child.read()
    finally:
        timer.cancel()


def main(arguments: Sequence[str]) -> None:  # noqa: ARG001 - as `Child` calls it
    """Be that process: draw each page that comes."""
    requests = Requests(nicer=_NICER)
    try:
        require_matplotlib()
    except PoseError as error:
        for _ in requests:
            requests.answer(_FAILED, str(error).encode())
        return
    for request in requests:
        # What comes here was made by `draw`: the network has no way to it but as pictures.
        page = pickle.loads(request)  # noqa: S301
        requests.answer(_PAGE, draw_page(page))
