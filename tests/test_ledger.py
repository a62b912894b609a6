from __future__ import annotations

import json
from collections import Counter

from udpstream.core.ledger import Ledger, Loss, StreamReport
from udpstream.core.stream import Stream
from udpstream.protocol import StageTimes


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
    assert form["datagrams"] == {
        "received": 9, "lost": 0, "loss_runs": 0, "reordered": 0, "duplicate": 0,
        "kernel_dropped": 4,
    }  # fmt: skip
    assert set(form["stages_ms"]) == {"capture", "encode", "network", "reassemble"}
    assert form["stages_ms"]["capture"]["p50"] is None  # the sender has not told


def test_repair_and_the_senders_stages_are_told() -> None:
    stream = Stream(1, "192.0.2.7", "192.0.2.7:40001", 7, "indexed")
    ledger = Ledger(sent=3, delivered=3, repaired_by_parity=2, repaired_by_nack=1)
    ledger.wire_bytes, ledger.parity_bytes, ledger.repair_bytes = 5000, 1000, 200
    stages = StageTimes(100, 200, 300), StageTimes(1500, 1600, 2000)
    report = StreamReport(
        stream, ledger, "jpeg", (640, 480), 1.0, 2.0, 30.0, 0.0005, 4, sender_stages=stages
    )
    form = json.loads(json.dumps(report.as_dict()))
    assert form["frames"]["repaired"] == {"parity": 2, "nack": 1}
    assert form["bytes"] == {"payload": 0, "wire": 5000, "parity": 1000, "repair": 200}
    assert form["stages_ms"]["encode"] == {"p50": 1.5, "p95": 1.6, "p99": 2.0}
    assert (form["size"], form["clock_error_ms"]) == ([640, 480], 0.5)


def test_a_report_before_the_first_frame_has_no_figures() -> None:
    stream = Stream(1, "h", "h:1", 0, "classic")
    form = StreamReport(stream, Ledger(), None, None, 1.0, 1.0, None, None, 0).as_dict()
    assert (form["size"], form["codec"], form["clock_error_ms"]) == (None, None, None)
