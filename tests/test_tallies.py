from __future__ import annotations

from collections import Counter

from udpstream.core.stream import Stream
from udpstream.core.tallies import MAX_KEPT, ByStream, Tallies


def stream(id_: int) -> Stream:
    return Stream(id_, "192.0.2.7", "192.0.2.7:40001", 7, "indexed")


def test_what_is_kept_is_counted_up_and_what_is_looked_at_is_not_kept() -> None:
    tallies: Tallies[Counter[str]] = Tallies(Counter)
    tallies.keep(stream(1))["shown"] += 2
    assert tallies.look(stream(1)) == {"shown": 2}
    assert tallies.look(stream(2)) == {}
    assert len(tallies) == 1


def test_the_oldest_are_let_go() -> None:
    tallies: Tallies[Counter[str]] = Tallies(Counter)
    for id_ in range(MAX_KEPT + 3):
        tallies.keep(stream(id_))["shown"] += 1
    assert len(tallies) == MAX_KEPT
    assert tallies.look(stream(2)) == {}
    assert tallies.look(stream(3)) == {"shown": 1}


def test_what_is_put_again_is_kept_longer() -> None:
    kept: ByStream[str] = ByStream()
    for id_ in range(MAX_KEPT):
        kept.put(stream(id_), "first")
    kept.put(stream(0), "again")
    kept.put(stream(MAX_KEPT), "one too many")
    assert len(kept) == MAX_KEPT
    assert kept.get(stream(0)) == "again"
    assert kept.get(stream(1)) is None
    assert kept.pop(stream(0)) == "again"
    assert kept.pop(stream(0)) is None
