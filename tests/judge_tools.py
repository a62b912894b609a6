"""A receiver that judges whoever sends to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from udpstream import Frame, Receiver, Stream
from udpstream.core.ledger import StreamReport
from udpstream.protocol import Result

Judgement = Callable[[Frame], Result | None]


class Judge:
    """A sink that says of each frame what it is told to say, if anything.

    Attributes:
        receiver: what it is a sink of.
        says: makes what is said of a frame.
        streams: those of the frames that came, one for each.
        sent: the numbers of the frames of which something was sent.
    """

    def __init__(self) -> None:
        self.receiver: Receiver | None = None
        self.says: Judgement = lambda _: None
        self.streams: list[Stream] = []
        self.sent: list[int] = []

    @property
    def address(self) -> str:
        assert self.receiver is not None
        return self.receiver.address

    @property
    def port(self) -> int:
        assert self.receiver is not None
        return self.receiver.port

    def deliver(self, frame: Frame) -> None:
        self.streams.append(frame.stream)
        result = self.says(frame)
        if self.receiver is None or result is None:
            return
        if self.receiver.send_result(frame.stream, result):
            self.sent.append(frame.number)

    def ended(self, stream: Stream, report: StreamReport) -> None:
        pass

    def update(self, report: StreamReport) -> None:
        pass


@contextmanager
def judging() -> Iterator[Judge]:
    """A judge with a receiver on this machine."""
    judge = Judge()
    with Receiver("127.0.0.1", 0, sinks=[judge], queue_frames=0, say=lambda _: None) as receiver:
        judge.receiver = receiver
        yield judge


def always(result: Result) -> Judgement:
    """Say the same of every frame."""
    return lambda frame: replace(result, epoch=frame.stream.epoch, frame=frame.number)


def number_as_score(frame: Frame) -> Result:
    """Say a score that tells the frame."""
    return Result(frame.stream.epoch, frame.number, score=float(frame.number))
