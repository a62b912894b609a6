"""`udpstream bench loss`: trials, tables and files."""

from __future__ import annotations

import csv
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.cli_tools import commands_in
from udpstream.bench.loss import Method, Setting, Trial, run_trial
from udpstream.cli import bench_loss as face
from udpstream.cli.app import app
from udpstream.errors import UdpStreamError

SETTING = Setting(frames=150)


def trials_at(loss: float, burst: float, setting: Setting = SETTING) -> dict[Method, Trial]:
    return {method: run_trial(setting, method, loss, burst) for method in Method}


def test_where_nothing_is_lost_all_is_whole_and_costs_headers_only() -> None:
    for method, trial in trials_at(0.0, 1.0, replace(SETTING, frames=30)).items():
        assert trial.intact == trial.frames == (5 if method is Method.CLASSIC else 30)
        assert 1 < trial.wire_by_payload < 1.02
        assert (trial.by_parity, trial.by_nack, trial.left_out) == (0, 0, 0)
        paced_ms = 19 * 0.75 / 20 / 30 * 1e3 if method is Method.CLASSIC else 0.0
        assert trial.p50_ms == pytest.approx(1 + paced_ms, abs=0.01)


def test_at_5_percent_both_do_what_none_does_alone() -> None:
    trials = trials_at(0.05, 1.0)
    shares = {method: trial.intact_share for method, trial in trials.items()}
    assert shares[Method.BOTH] == max(shares.values()) == 1
    assert shares[Method.PARITY] > 0.97
    assert shares[Method.REPAIR] > 0.97
    assert shares[Method.INDEXED] == pytest.approx(0.95**43, abs=0.06)
    assert shares[Method.CLASSIC] == 0
    both, repair = trials[Method.BOTH], trials[Method.REPAIR]
    assert both.p99_ms is not None
    assert repair.p99_ms is not None
    assert both.p99_ms < repair.p99_ms  # what parity restores waits for nobody
    assert repair.wire_by_payload < both.wire_by_payload < 1.35
    assert both.by_parity > 0.8 * both.frames
    assert repair.by_nack > 0.8 * repair.frames
    assert trials[Method.PARITY].by_nack == repair.by_parity == 0


def test_bursts_take_no_more_than_one_frame_in_200_from_both() -> None:
    trial = run_trial(Setting(frames=600), Method.BOTH, 0.05, 8.0)
    assert trial.intact_share >= 0.995
    bare = run_trial(SETTING, Method.INDEXED, 0.05, 8.0)
    assert bare.intact_share < 0.85


def test_the_same_seed_gives_the_same_figures() -> None:
    setting = Setting(frames=60, reorder=3, duplicate=0.01, seed=5)
    for method in Method:
        first, again = (run_trial(setting, method, 0.01, 8.0) for _ in range(2))
        assert first == again
    other = run_trial(replace(setting, seed=6), Method.REPAIR, 0.01, 8.0)
    assert other != run_trial(setting, Method.REPAIR, 0.01, 8.0)


def test_parity_can_be_fixed() -> None:
    trial = run_trial(Setting(frames=60, fec_percent=30), Method.PARITY, 0.05, 1.0)
    assert trial.wire_by_payload == pytest.approx(1.018 * 56 / 43, abs=0.005)  # 43 and 13
    assert trial.intact_share == 1


def test_a_narrow_link_delays_and_spreads() -> None:
    wide = run_trial(Setting(frames=60), Method.INDEXED, 0.0, 1.0)
    narrow = run_trial(Setting(frames=60, rate_bytes_per_s=3e6), Method.INDEXED, 0.0, 1.0)
    assert narrow.intact_share == 1
    assert wide.p50_ms is not None
    assert narrow.p50_ms is not None
    assert narrow.p50_ms >= wide.p50_ms + 58_000 / 3e6 * 1e3


def test_cases_are_each_loss_and_again_in_bursts() -> None:
    setting = Setting(losses=(0.0, 0.1), burst=4.0)
    assert setting.cases() == [(0.0, 1.0), (0.1, 1.0), (0.1, 4.0)]
    assert replace(setting, burst=1.0).cases() == [(0.0, 1.0), (0.1, 1.0)]


# -- the command line --------------------------------------------------------------


def test_the_files_hold_what_the_table_shows(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        command = commands.start(
            "bench", "loss", "--loss", "0,5%", "--frames", "40", "--seed", "3",
            "--json", "figures.json", "--csv", "figures.csv",
        )  # fmt: skip
        assert command.end() == 0, command.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["setting"]["losses"] == [0.0, 0.05]
    assert figures["setting"]["seed"] == 3
    trials = figures["trials"]
    assert [(t["loss"], t["burst"]) for t in trials[::5]] == [(0, 1), (0.05, 1), (0.05, 8)]
    assert [t["method"] for t in trials[:5]] == [method.value for method in Method]
    with (tmp_path / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {name: "" if value is None else str(value) for name, value in t.items()} for t in trials
    ]
    lines = command.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for burst, title in ((1, "each lost independently"), (8, "lost in bursts, 8 on average")):
        start = lines.index(f"{title}: frames intact, %")
        (row,) = [line for line in lines[start : start + 6] if line.strip().startswith("5 %")]
        shown = [t for t in trials if t["burst"] == burst and t["loss"] == 0.05]
        assert row.split()[2:] == [f"{100 * t['intact_share']:.2f}" for t in shown]
        start = lines.index(f"{title}: latency, capture to whole, ms: p50 / p99")
        (row,) = [line for line in lines[start : start + 6] if line.strip().startswith("5 %")]
        assert row.replace(" / ", "/").split()[2:] == [
            f"{t['p50_ms']:.1f}/{t['p99_ms']:.1f}" if t["intact"] else "-" for t in shown
        ]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--loss", "1,many"], 2, "write percents from 0 to 90 with commas"),
        (["--loss", "1,,5"], 2, "write percents from 0 to 90 with commas"),
        (["--loss", "95"], 2, "write percents from 0 to 90 with commas"),
        (["--fec", "much"], 2, "write auto, off, or percent"),
        (["--burst", "0.5"], 2, "--burst"),
        (["--los", "1"], 2, "No such option"),
        (["--seed"], 2, "requires an argument"),
        (["--json", "nowhere/figures.json"], 2, "name a file that can be written"),
        (
            ["--datagram", "25", "--frame-bytes", "9000000", "--frames", "10"],
            1,
            "use larger datagrams",
        ),
    ],
)
def test_wrong_options_say_what_is_right(options: list[str], code: int, message: str) -> None:
    result = CliRunner().invoke(app, ["bench", "loss", *options])
    assert result.exit_code == code
    said = result.stderr if code == 2 else str(result.exception)
    assert code == 2 or isinstance(result.exception, UdpStreamError)
    assert message in " ".join(said.replace("│", " ").split())


def test_ctrl_c_ends_it_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_and_stop(*case: Any) -> Trial:
        os.kill(os.getpid(), signal.SIGINT)
        return run_trial(*case)

    monkeypatch.setattr("udpstream.bench.loss.run_trial", run_and_stop)
    with pytest.raises(UdpStreamError, match="stopped before all trials were run"):
        face._run(Setting(losses=(0.0, 0.01), frames=10))
