from __future__ import annotations

import pytest

from udpstream.core.ledger import Ledger
from udpstream.core.pool import BufferPool
from udpstream.core.reassembly import Reassembler
from udpstream.core.streams import MAX_ENDED, MAX_PROVISIONAL, StreamState, StreamTable
from udpstream.protocol import Hello


def make_state(host: str = "192.0.2.7", port: int = 1, epoch: int = 0, at: float = 0.0
               ) -> StreamState:  # fmt: skip
    ledger = Ledger()
    reassembler = Reassembler(ledger, pool=BufferPool(), max_frame_bytes=1000)
    return StreamState(((host, port), epoch), reassembler, ledger, at, at, 0)


def hello(interval_us: int = 0, session: int = 1) -> Hello:
    return Hello(0, session, 0, 0, interval_us)


def test_of_too_many_provisional_streams_the_one_heard_longest_ago_goes() -> None:
    table = StreamTable()
    states = [make_state(epoch=number, at=float(number)) for number in range(MAX_PROVISIONAL + 1)]
    states[0].last_at = 100.0
    for state in states:
        table.add(state)
    assert table.get(states[0].key) is states[0]
    assert table.get(states[1].key) is None
    assert len(list(table)) == MAX_PROVISIONAL


def test_names_are_given_once_and_given_back() -> None:
    table = StreamTable()
    states = [make_state(port=port) for port in range(3)]
    for state in states:
        table.add(state)
    assert [table.establish(state, None).camera for state in states] == [
        "192.0.2.7",
        "192.0.2.7-2",
        "192.0.2.7-3",
    ]
    table.remove(states[1])
    again = make_state(port=9)
    table.add(again)
    assert table.establish(again, None) == again.stream
    assert again.stream is not None
    assert (again.stream.camera, again.stream.id) == ("192.0.2.7-2", 4)


def test_the_only_and_the_latest_stream_are_forgotten_when_they_go() -> None:
    table = StreamTable()
    first, second = make_state(port=1), make_state(port=2)
    assert table.only() is None
    table.add(first)
    assert table.only() is first
    table.add(second)
    assert table.only() is None
    table.latest = second
    table.remove(first)
    assert table.only() is second
    assert vars(table)["latest"] is second
    table.remove(second)
    assert table.only() is None
    assert vars(table)["latest"] is None


def test_removing_a_stream_leaves_the_name_to_its_successor() -> None:
    table = StreamTable()
    old, new = make_state(epoch=1), make_state(epoch=2)
    for state in (old, new):
        table.add(state)
        table.establish(state, "camera")
    table.remove(old)
    assert table.predecessor(make_state(), now=0.0) is new


@pytest.mark.parametrize(
    ("stated_us", "frame_interval_s", "allowed_s"),
    [
        (33_333, 1 / 30, 0.3),
        (0, 1 / 30, 0.3),
        (500_000, 0.5, 1.5),
        (0, 0.5, 1.5),
        (33_333, 0.5, 1.5),  # the camera is slower than was said
        (0, None, 3.0),  # nothing is known yet
        (33_333, None, 0.3),
    ],
)
def test_how_long_a_camera_may_be_silent(
    stated_us: int, frame_interval_s: float | None, allowed_s: float
) -> None:
    state = make_state()
    state.hello = hello(stated_us)
    if frame_interval_s is not None:
        for number in range(5):
            state.rate.add(number * frame_interval_s)
    assert state.silence_allowed_s() == pytest.approx(allowed_s)


def test_only_the_same_host_has_predecessors() -> None:
    table = StreamTable()
    state = make_state()
    state.hello = hello(33_333)
    table.add(state)
    table.establish(state, None)
    assert table.predecessor(make_state(host="192.0.2.8"), now=1e9) is None
    assert table.predecessor(make_state(port=2), now=0.2) is None
    assert table.predecessor(make_state(port=2), now=0.4) is state
    assert table.predecessor(make_state(port=1, epoch=5), now=0.0) is state


def test_the_ended_are_remembered_within_bounds() -> None:
    table = StreamTable()
    states = [make_state(epoch=number) for number in range(MAX_ENDED + 1)]
    for state in states:
        state.hello = hello(session=4)
        table.add(state)
        table.bury(state)
    assert list(table) == []
    assert not table.is_over(states[0].key)
    assert table.is_over(states[1].key)
    assert table.is_over(states[1].key, session=4)
    assert not table.is_over(states[1].key, session=5)
    assert not table.is_over(states[1].key)
