from __future__ import annotations

import json
from collections import Counter

from udpstream.core.ledger import Ledger, Loss, StreamReport
from udpstream.core.stream import Stream


def test_what_is_neither_delivered_nor_lost_is_in_flight() -> None:
    ledger = Ledger(sent=10, delivered=6, lost=Counter({Loss.UNSEEN: 2, Loss.LATE: 1}))
    assert (ledger.total_lost, ledger.in_flight) == (3, 1)
    assert ledger.lost_share == 3 / 9
    assert Ledger().lost_share == 0.0


def test_a_copy_goes_its_own_way() -> None:
    ledger = Ledger(sent=1)
    twin = ledger.copy()
    ledger.sent += 1
    ledger.lost[Loss.TORN] += 1
    ledger.latency.add(1.0)
    assert (twin.sent, twin.total_lost, len(twin.latency)) == (1, 0, 0)


def test_a_report_as_json_names_every_loss() -> None:
    stream = Stream(1, "192.0.2.7", "192.0.2.7:40001", 7, "indexed")
    ledger = Ledger(sent=5, delivered=3, lost=Counter({Loss.MISSING: 1}), datagrams=9)
    report = StreamReport(stream, ledger, "jpeg", (640, 480), 1.0, 2.0, 30.0, 0.0005, 4)
    form = json.loads(json.dumps(report.as_dict()))
    frames = form["frames"]
    assert set(frames["lost"]) == {loss.value for loss in Loss}
    assert (
        frames["sent"] == frames["delivered"] + sum(frames["lost"].values()) + frames["in_flight"]
    )
    assert form["datagrams"] == {"received": 9, "duplicate": 0, "kernel_dropped": 4}
    assert (form["size"], form["clock_error_ms"]) == ([640, 480], 0.5)


def test_a_report_before_the_first_frame_has_no_figures() -> None:
    stream = Stream(1, "h", "h:1", 0, "classic")
    form = StreamReport(stream, Ledger(), None, None, 1.0, 1.0, None, None, 0).as_dict()
    assert (form["size"], form["codec"], form["clock_error_ms"]) == (None, None, None)
