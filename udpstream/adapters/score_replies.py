"""What is said of a frame, back to the performer's own machine: the sink, and both ends' words."""

from __future__ import annotations

from collections.abc import Callable

from udpstream import scoring
from udpstream.core.pose.limbs import Hint
from udpstream.core.pose.tally import Summary
from udpstream.frame import Stream
from udpstream.protocol import Result
from udpstream.scored import Scored

_LAST_WORDS = 3  # nobody answers a result, so that which no other follows is said more than once


class ScoreReplies:
    """Sends each result to the stream's sender: a `scored.ScoreSink`.

    Sinks are made before the receiver that they send through: until `connect` is called,
    nothing is sent.
    """

    def __init__(self) -> None:
        self._send: Callable[[Stream, Result], object] | None = None

    def connect(self, send: Callable[[Stream, Result], object]) -> None:
        """Send through this from now on; `Receiver.send_result` is the real one."""
        self._send = send

    def scored(self, scored: Scored) -> None:
        """Send what is said of a frame."""
        if self._send is not None:
            reply = reply_of(scored)
            for _ in range(_LAST_WORDS if reply.ended else 1):
                self._send(scored.stream, reply)

    def ended(self, stream: Stream, summary: Summary) -> None:
        """Do nothing: the last result has been sent."""


def reply_of(scored: Scored) -> Result:
    """Return what the performer is to know of a scored frame."""
    result, hint = scored.result, scored.result.hint
    return Result(
        epoch=scored.stream.epoch,
        frame=scored.frame & 0xFFFF_FFFF,
        score=result.score,
        verdict=result.verdict,
        grade=result.grade,
        reason=result.reason or "",
        limb="" if hint is None else hint.limb,
        degrees=0.0 if hint is None else hint.degrees,
        direction="" if hint is None else hint.direction,
        lag_s=result.lag_s,
        reference_s=result.reference_s,
        mirrored=result.mirrored,
        ended=result.ended,
    )


def result_of(reply: Result) -> scoring.Result:
    """Return what a receiver said, as far as it is told: without limbs, and at time 0."""
    hint = Hint(reply.limb, reply.degrees, reply.direction) if reply.limb else None
    reason = scoring.ENDED if reply.ended else reply.reason or "no reason was given"
    return scoring.Result(
        0.0,
        score=reply.score,
        reason=reason if reply.score is None else None,
        verdict=reply.verdict,
        grade=reply.grade,
        hint=hint,
        lag_s=reply.lag_s,
        reference_s=reply.reference_s,
        mirrored=reply.mirrored,
    )
