"""`udpstream bench` and `udpstream doctor` as processes."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli_tools import Commands


@pytest.fixture
def run(run: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setitem(os.environ, "COLUMNS", "80")
    return run


def test_a_link_is_tried_and_something_recommended(run: Commands) -> None:
    run.receive("--no-record")
    bench = run.start(
        "bench", "link", run.address, "--seconds", "0.2", "--max-rate", "16", "--json", "f.json"
    )
    assert bench.end() == 0
    assert max(map(len, bench.stdout.splitlines())) <= 80
    assert "is the highest rate that arrived whole" in bench.stdout
    figures = json.loads((run.folder / "f.json").read_text())
    assert bench.stdout.rstrip().endswith(figures["recommended"]["options"])
    assert "--fps" in figures["recommended"]["options"]
    first = figures["steps"][0]
    assert first["sent"] >= first["received"] > 0
    assert first["latency_ms"]["p50"] <= first["latency_ms"]["p99"]


def test_a_link_without_a_receiver_is_an_error(run: Commands) -> None:
    bench = run.start("bench", "link", run.address)
    assert bench.end() == 1
    assert "no receiver answers" in bench.stderr
    assert "udpstream receive" in bench.stderr
    assert "Traceback" not in bench.stderr


def test_a_group_cannot_be_tried(run: Commands) -> None:
    bench = run.start("bench", "link", "239.1.2.3")
    assert bench.end() == 1
    assert "multicast group" in bench.stderr


def test_speed_in_a_few_seconds(run: Commands) -> None:
    bench = run.start("bench", "speed", "--seconds", "0.3", "--json", "f.json")
    assert bench.end() == 0, bench.stderr
    assert max(map(len, bench.stdout.splitlines())) <= 80
    figures = json.loads((run.folder / "f.json").read_text())
    for flow in (*figures["flat_out"].values(), figures["at_30_fps"]):
        assert flow["whole_fps"] > 0
        assert 0 < flow["whole_share"] <= 1
        assert flow["latency_ms"] == sorted(flow["latency_ms"])
    assert figures["bare_loop_bytes_per_second"] > 0
    assert {tuple(each["size_wh"]) for each in figures["work"]} == {(640, 480), (1920, 1080)}


def test_the_doctor_looks_at_this_machine(run: Commands) -> None:
    doctor = run.start("doctor")
    problems = "  problem  " in doctor_output(doctor.end(), doctor.stdout)
    assert doctor.popen.returncode == int(problems)
    for subject in ("programs", "receive buffer", "screen", "camera", "clock"):
        assert subject in doctor.stdout


def test_the_doctor_finds_a_receiver(run: Commands) -> None:
    run.receive("--no-record")
    doctor = run.start("doctor", run.address)
    way = doctor_output(doctor.end(), doctor.stdout).partition("the way to")[2]
    assert "a receiver answers" in way
    assert "  problem  " not in way


def test_the_doctor_finds_no_receiver(run: Commands) -> None:
    doctor = run.start("doctor", run.address)
    assert doctor.end() == 1
    assert "refused" in doctor.stdout
    assert "fix: on that machine: udpstream receive" in doctor.stdout


def doctor_output(code: int, output: str) -> str:
    assert code in {0, 1}
    return output
