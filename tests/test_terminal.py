"""What is printed: lines that fit a terminal, and a console whose reader may leave."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.recording_tools import make_report, make_stream
from udpstream.adapters.recorder import RecordingSummary
from udpstream.cli import terminal
from udpstream.cli.terminal import (
    StatusLine,
    complain,
    print_lines,
    recording_summary,
    say,
    stream_status,
    stream_summary,
)
from udpstream.core.ledger import Ledger, Loss, StreamReport
from udpstream.errors import UdpStreamError

STAGES_MS: dict[str, dict[str, float | None]] = {
    "capture": {"p50": 0.07, "p95": 0.1, "p99": 0.2},
    "network": {"p50": 1.26, "p95": 2.0, "p99": 3.0},
    "decode": {"p50": None, "p95": None, "p99": None},
}


def busy_report() -> StreamReport:
    ledger = Ledger(
        sent=1_234_567, delivered=1_234_500, payload_bytes=10**12, wire_bytes=2 * 10**12
    )
    ledger.lost[Loss.MISSING] = 66
    ledger.lost[Loss.UNSEEN] = 1
    for latency_ms in range(1, 101):
        ledger.latency.add(latency_ms / 1e3)
    report = make_report(make_stream(camera="198.51.100.100"), 1)
    return replace(report, ledger=ledger, size_wh=(1920, 1080), frames_per_second=59.94)


def test_the_status_keeps_what_matters_within_80_columns() -> None:
    line = stream_status(busy_report())
    assert line.startswith("198.51.100.100  1920x1080 jpeg  59.9 fps  loss 0.01%  latency 49.8 ms")
    assert line.index(" frames") > line.index("latency")  # the first to be cut off
    assert len(line[: line.index("  1,234,500")]) <= 80


def test_the_status_of_a_stream_of_which_little_is_known() -> None:
    report = replace(
        make_report(make_stream(), 0), codec=None, size_wh=None, frames_per_second=None
    )
    assert stream_status(report) == ("192.0.2.7  - None  - fps  loss 0.00%  latency -  0 frames")


def test_the_summary_names_each_loss() -> None:
    lines = stream_summary(replace(busy_report(), kernel_dropped=5), STAGES_MS)
    text = "\n".join(lines)
    assert "1,234,567 sent, 1,234,500 delivered, 67 lost (" in text
    assert "missing 66" in text
    assert "unseen 1" in text
    assert "late" not in text.replace("latency", "")
    assert "  latency   p50 49." in text
    assert "  stages    p50 in ms: capture 0.1, network 1.3\n" in text
    assert "5 datagrams found no room" in text
    assert max(map(len, lines)) <= 80


def test_the_summary_fits_80_columns_with_all_stages() -> None:
    report = busy_report()
    report.ledger.repaired_by_nack = 1
    report.ledger.lost |= dict.fromkeys(Loss, 1_234_567)
    names = ("capture", "encode", "network", "reassemble", "decode", "display")
    lines = stream_summary(report, {name: {"p50": 123.4} for name in names})
    assert max(map(len, lines)) <= 80
    text = " ".join(line.strip() for line in lines)
    assert "reassemble 123.4, decode 123.4, display 123.4 data" in text
    assert "repaired  1 frame: 0 by parity" in text
    assert all(line.startswith("  ") for line in lines[1:])


def test_the_summary_tells_what_repair_did_and_cost() -> None:
    report = busy_report()
    report.ledger.repaired_by_parity, report.ledger.repaired_by_nack = 1_200, 34
    report.ledger.parity_bytes, report.ledger.repair_bytes = 2 * 10**11, 10**10
    link = report.ledger.link
    link.expected, link.received, link.runs = 2_000_000, 1_900_000, 50_000
    text = " ".join(line.strip() for line in stream_summary(report, {}))
    assert "100,000 of 2,000,000 datagrams did not come (5.0%), 2.0 in a row" in text
    assert "1,234 frames: 1,200 by parity (10.0% of the bytes), 34 by asking again (0.5%" in text
    assert "(1,234 repaired)" in stream_status(report)


def test_without_losses_the_summary_tells_the_wires_own_share() -> None:
    ledger = Ledger(sent=10, delivered=10, payload_bytes=1000, wire_bytes=1018)
    report = replace(make_report(make_stream(), 10), ledger=ledger)
    assert "1.8% more on the wire" in stream_summary(report, {})[-1]


def test_a_recordings_files_and_what_is_not_in_them(tmp_path: Path) -> None:
    (tmp_path / "output.avi").touch()
    missed = {"queue_full": 3, "bad_picture": 0, "no_slot": 1, "not_writable": 0}
    recording = RecordingSummary(
        tmp_path, make_stream(), ("output.avi", "output-2.avi"), 7, missed, None, True
    )
    assert recording_summary(recording) == [
        f"  recorded  {tmp_path / 'output.avi'}",
        f"  recorded  {tmp_path / 'output-2.avi'}, which somebody removed",
        "            4 frames not written (queue full 3, no slot 1)",
    ]


def test_a_recording_of_nothing_names_no_file(tmp_path: Path) -> None:
    missed = {"queue_full": 0, "bad_picture": 0, "no_slot": 0, "not_writable": 61}
    recording = RecordingSummary(tmp_path, make_stream(), ("output.avi",), 0, missed, "full", True)
    assert recording_summary(recording) == [
        "  recorded  nothing",
        "            61 frames not written (not writable 61)",
    ]


def test_results_and_messages_go_to_different_places(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines(["a result", "[not markup]"])
    say("a message of " + 20 * "more than eighty columns ")
    complain("a complaint")
    printed = capsys.readouterr()
    assert printed.out == "a result\n[not markup]\n"
    assert printed.err.splitlines() == [
        "a message of " + 20 * "more than eighty columns ",
        "udpstream: error: a complaint",
    ]


def test_there_is_no_status_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with StatusLine() as status:
        status.show(["something"])
    assert capsys.readouterr() == ("", "")


class _Broken(io.TextIOWrapper):
    """A stream that cannot be written, over a file that can be silenced."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(path.open("wb"))
        self._problem = error

    def write(self, text: str, /) -> int:
        raise self._problem


@pytest.fixture
def silenceable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh consoles: one that fell silent stays so."""
    monkeypatch.setattr(terminal, "_out", terminal._Console())
    monkeypatch.setattr(terminal, "_err", terminal._Console(stderr=True))


@pytest.mark.usefixtures("silenceable")
def test_a_reader_that_left_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = BrokenPipeError(32, os.strerror(32))
    with _Broken(tmp_path / "out", gone) as out, _Broken(tmp_path / "err", gone) as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        say("one")
        print_lines(["two", "three"])
        say("four")


@pytest.mark.usefixtures("silenceable")
def test_no_room_is_an_error_for_results_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(28, "No space left on device")
    with _Broken(tmp_path / "out", full) as out, _Broken(tmp_path / "err", full) as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        say("one")
        complain("two")
        with pytest.raises(UdpStreamError, match="cannot print the result: No space left"):
            print_lines(["three"])
