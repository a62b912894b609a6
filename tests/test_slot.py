from __future__ import annotations

import threading

import pytest

from udpstream.slot import LatestSlot


def test_the_latest_wins_and_is_taken_once() -> None:
    slot: LatestSlot[int] = LatestSlot()
    assert slot.put(1) is False
    assert slot.put(2) is True
    assert slot.take(0.0) == 2
    assert slot.take(0.0) is None
    assert slot.put(3) is False


def test_an_item_may_be_none() -> None:
    slot: LatestSlot[None] = LatestSlot()
    slot.put(None)
    assert slot.put(None) is True


def test_what_was_there_at_the_close_can_still_be_taken() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(1)
    slot.close()
    assert slot.put(2) is False
    assert (slot.closed, slot.take(), slot.closed) == (False, 1, True)
    assert slot.take() is None


@pytest.mark.parametrize("end", ["put", "close"])
def test_a_taker_without_a_time_limit_is_woken(end: str) -> None:
    slot: LatestSlot[int] = LatestSlot()
    taken: list[int | None] = []
    taker = threading.Thread(target=lambda: taken.append(slot.take()))
    taker.start()
    if end == "put":
        slot.put(7)
    else:
        slot.close()
    taker.join(10)
    assert taken == [7 if end == "put" else None]


def test_close_wakes_all_takers() -> None:
    slot: LatestSlot[int] = LatestSlot()
    takers = [threading.Thread(target=slot.take) for _ in range(3)]
    for taker in takers:
        taker.start()
    slot.close()
    slot.close()
    for taker in takers:
        taker.join(10)
    assert not any(taker.is_alive() for taker in takers)


def test_every_item_is_taken_or_counted_as_overwritten() -> None:
    slot: LatestSlot[int] = LatestSlot()
    taken: list[int] = []

    def take_all() -> None:
        while not slot.closed:
            item = slot.take(1.0)
            if item is not None:
                taken.append(item)

    takers = [threading.Thread(target=take_all) for _ in range(2)]
    for taker in takers:
        taker.start()
    overwritten = sum(slot.put(item) for item in range(5000))
    slot.close()
    for taker in takers:
        taker.join(10)
    assert len(taken) + overwritten == 5000
    assert len(set(taken)) == len(taken)
    assert 4999 in taken


def test_the_slot_keeps_no_hold_of_what_was_taken() -> None:
    import weakref

    class Item:
        pass

    slot: LatestSlot[Item] = LatestSlot()
    slot.put(Item())
    item = slot.take(0.0)
    gone = weakref.ref(item) if item is not None else None
    del item
    assert gone is not None
    assert gone() is None
