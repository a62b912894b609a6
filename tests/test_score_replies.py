from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.recording_tools import make_frame, make_stream
from udpstream import scoring
from udpstream.adapters.score_replies import ScoreReplies, reply_of, result_of, words_of_reply
from udpstream.adapters.score_words import Words
from udpstream.core.pose.limbs import Hint
from udpstream.core.pose.scale import GRADES
from udpstream.core.pose.tally import Summary
from udpstream.frame import Stream
from udpstream.protocol import Result, pack_control, parse_control
from udpstream.scored import Scored, ScoreSink

STREAM = Stream(id=1, camera="cam", address="192.0.2.7:40001", epoch=0x1234, wire="indexed")
REASONS = (
    scoring.NOBODY, scoring.TOO_LITTLE, scoring.TOO_FEW, scoring.NO_REFERENCE, scoring.WAITING,
    scoring.ENDED,
)  # fmt: skip


def scored_of(result: scoring.Result, frame: int = 7, final: Summary | None = None) -> Scored:
    return Scored(
        stream=STREAM, frame=frame, time_s=result.time_s, size_wh=(2, 2),
        picture=lambda: np.zeros((2, 2, 3), np.uint8), landmarks=None, result=result, final=final,
        reference=None, reference_aspect=1.0, seconds=0.01,
    )  # fmt: skip


def over_the_wire(result: scoring.Result) -> Result:
    received = parse_control(pack_control(reply_of(scored_of(result))))
    assert isinstance(received, Result)
    return received


def test_it_is_a_score_sink() -> None:
    sink: ScoreSink = ScoreReplies()
    sink.scored(scored_of(scoring.Result(0.0)))  # nobody to send to yet


def test_what_the_performer_is_told() -> None:
    result = scoring.Result(
        2.5, score=42.5, verdict=scoring.NOT_CORRECT, grade="off",
        hint=Hint("left forearm", 38.0, "too low"), lag_s=-0.25, reference_s=12.25, mirrored=True,
    )  # fmt: skip
    told = over_the_wire(result)
    assert result_of(told) == replace(result, time_s=0.0)
    assert told == Result(
        0x1234, 7, score=42.5, verdict="NOT CORRECT STEPS", grade="off", limb="left forearm",
        degrees=38.0, direction="too low", lag_s=-0.25, reference_s=12.25, mirrored=True,
    )  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_reaches_the_performer(reason: str) -> None:
    told = over_the_wire(scoring.Result(2.5, reason=reason))
    assert told == Result(0x1234, 7, reason=reason, ended=reason == scoring.ENDED)
    assert result_of(told) == scoring.Result(0.0, reason=reason)


@pytest.mark.parametrize("grade", [grade for _, grade in GRADES])
@pytest.mark.parametrize("verdict", [scoring.CORRECT, scoring.NOT_CORRECT])
def test_every_verdict_and_grade_has_a_code(verdict: str, grade: str) -> None:
    told = over_the_wire(scoring.Result(2.5, score=1.0, verdict=verdict, grade=grade))
    assert (told.verdict, told.grade) == (verdict, grade)


@pytest.mark.parametrize("limb", scoring.LIMBS)
def test_every_limb_fits(limb: str) -> None:
    hint = Hint(limb, 180.0, "too far forward")
    assert result_of(over_the_wire(scoring.Result(2.5, score=1.0, hint=hint))).hint == hint


def test_what_a_later_version_may_leave_out() -> None:
    assert result_of(Result(1, 7)).reason == "no reason was given"
    assert result_of(Result(1, 7, reason="an end", ended=True)).ended
    assert result_of(Result(1, 7, score=50.0, reason="stray")).reason is None


FINAL = Summary(300, 280, 83.4, 0.98, {}, {}, (), 0.1, mirrored=True)


def sent_by(replies: ScoreReplies) -> list[tuple[Stream, Result]]:
    sent: list[tuple[Stream, Result]] = []
    replies.connect(lambda stream, result: sent.append((stream, result)))
    return sent


def test_each_result_is_sent_once() -> None:
    replies = ScoreReplies()
    sent = sent_by(replies)
    replies.scored(scored_of(scoring.Result(0.0, score=50.0), frame=2**32 + 1))
    for number in range(90):
        replies.remind(make_frame(STREAM, number))
    assert [(stream, result.frame, result.ended) for stream, result in sent] == [(STREAM, 1, False)]


def test_the_last_result_is_that_of_the_session_and_is_said_again_while_frames_come() -> None:
    replies = ScoreReplies()
    sent = sent_by(replies)
    ended = scoring.Result(10.0, reason=scoring.ENDED, mirrored=True)
    replies.scored(scored_of(ended, frame=7, final=FINAL))
    for number in range(8, 98):  # three seconds
        replies.remind(make_frame(STREAM, number))
        replies.remind(make_frame(make_stream(2), number))
    frames = [result.frame for _, result in sent]
    assert frames == [7, 8, 38, 68]
    for stream, result in sent:
        assert stream == STREAM
        told = parse_control(pack_control(result))
        assert told == Result(
            0x1234, result.frame, score=83.4, verdict=scoring.CORRECT, grade="great",
            mirrored=True, ended=True,
        )  # fmt: skip
        assert words_of_reply(told) == Words("83", "CORRECT STEPS", "ended   great")


def test_the_end_of_a_session_without_a_score_is_told_too() -> None:
    ended = scored_of(
        scoring.Result(10.0, reason=scoring.ENDED), final=replace(FINAL, scored=0, mean_score=None)
    )
    assert words_of_reply(reply_of(ended)) == Words(reason="the reference has ended")
