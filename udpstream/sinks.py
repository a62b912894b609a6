"""What a receiver hands frames to. The receiver knows this shape and no sink."""

from __future__ import annotations

from typing import Protocol

from udpstream.core.ledger import StreamReport
from udpstream.frame import Frame, Stream


class Sink(Protocol):
    """Takes whole frames from a receiver.

    All three are called on the receive thread and must return at once: a sink that
    has work to do keeps its own bounded queue and its own thread, and counts what it
    could not take. What a sink raises ends the receiver.
    """

    def deliver(self, frame: Frame) -> None:
        """Take one frame. Numbers rise within a stream; some may be missing."""

    def ended(self, stream: Stream, report: StreamReport) -> None:
        """The stream ended or fell silent; no more of its frames will come."""

    def update(self, report: StreamReport) -> None:
        """The latest report of a live stream; comes about once a second."""
