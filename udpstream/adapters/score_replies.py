"""What is said of a frame, back to the performer's own machine: the sink, and both ends' words."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace

from udpstream import scoring
from udpstream.adapters.score_words import Words, final_words, words_of
from udpstream.core.pose.limbs import Hint
from udpstream.core.pose.scale import grade_of, verdict_of
from udpstream.core.pose.tally import Summary
from udpstream.core.tallies import ByStream
from udpstream.frame import Frame, Stream
from udpstream.protocol import Result
from udpstream.scored import Scored

# What a session came to is said as long as its stream lasts: nobody answers a result, and
# senders let it go after two seconds.
_REMIND_S = 1.0
_FRAME_MASK = 0xFFFF_FFFF  # of what a datagram carries of a frame's number


class ScoreReplies:
    """Sends each result to the stream's sender: a `scored.ScoreSink`.

    Sinks are made before the receiver that they send through: until `connect` is called,
    nothing is sent.
    """

    def __init__(self) -> None:
        self._send: Callable[[Stream, Result], object] | None = None
        self._lock = threading.Lock()
        # Of sessions whose reference has ended: what was said then, and when it was last
        # said, by the frames' own times; guarded by the lock.
        self._final: ByStream[tuple[Result, float]] = ByStream()

    def connect(self, send: Callable[[Stream, Result], object]) -> None:
        """Send through this from now on; `Receiver.send_result` is the real one."""
        self._send = send

    def scored(self, scored: Scored) -> None:
        """Send what is said of a frame."""
        if self._send is None:
            return
        reply = reply_of(scored)
        self._send(scored.stream, reply)
        if reply.ended:
            with self._lock:
                self._final.put(scored.stream, (reply, -math.inf))

    def remind(self, frame: Frame) -> None:
        """Say once a second what the session came to, where it is over and frames still come."""
        if self._send is None:
            return
        with self._lock:
            final = self._final.get(frame.stream)
            if final is None or frame.received_at - final[1] < _REMIND_S:
                return
            # Of this frame: a sender takes a result only if it is of a later one.
            reply = replace(final[0], frame=frame.number & _FRAME_MASK)
            self._final.put(frame.stream, (reply, frame.received_at))
        self._send(frame.stream, reply)

    def ended(self, stream: Stream, summary: Summary) -> None:
        """Do nothing: the last result has been sent."""


def reply_of(scored: Scored) -> Result:
    """Return what the performer is to know of a scored frame."""
    result, hint = scored.result, scored.result.hint
    epoch, frame = scored.stream.epoch, scored.frame & _FRAME_MASK
    if scored.final is not None and scored.final.mean_score is not None:
        mean = scored.final.mean_score
        return Result(
            epoch,
            frame,
            score=mean,
            verdict=verdict_of(mean),
            grade=grade_of(mean),
            mirrored=result.mirrored,
            ended=True,
        )
    return Result(
        epoch,
        frame,
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


def words_of_reply(reply: Result) -> Words:
    """Return in words what a receiver said."""
    if reply.ended and reply.score is not None:
        return final_words(reply.score, reply.verdict, reply.grade)
    return words_of(result_of(reply))


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
