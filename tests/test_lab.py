"""The lab itself, and the figures that are drawn from it. Needs root, iproute2 and nftables."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.lab import SERVER_ADDRESS, Lab, LabError, LabUnavailable, Side, app, labs, main
from benchmarks.recovery import Arrival, Recovery, recovery_of, timeline
from benchmarks.repair import Case, loss_row
from tests.cli_tools import wait_until
from udpstream.adapters.udp import UdpReceiver, UdpSender
from udpstream.core.streams import Address

DATAGRAM_BYTES = 1400
ENOUGH_S = 0.2  # of silence: nothing is on its way any more


@pytest.fixture
def lab() -> Iterator[Lab]:
    it = Lab()
    try:
        it.up()
    except LabUnavailable as problem:
        pytest.skip(str(problem))
    try:
        yield it
    finally:
        it.down()


class Ends:
    """A sender at the camera's end and a receiver at the server's, both in this process."""

    def __init__(self, lab: Lab, host: str = SERVER_ADDRESS) -> None:
        with lab.inside(Side.SERVER):
            self.receiver = UdpReceiver("0.0.0.0", 0)
        with lab.inside(Side.CAMERA):
            self.sender = UdpSender(host, self.receiver.endpoint.sockaddr[1])
        self.first_s = self.last_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sender.close()
        self.receiver.close()

    def carry(self, count: int) -> list[int]:
        """Send so many datagrams at once; return the numbers of those that came."""
        datagrams = np.zeros((count, DATAGRAM_BYTES), np.uint8)
        datagrams.view(np.uint32)[:, 0] = np.arange(count)
        came: list[int] = []
        self.first_s = time.monotonic()
        self.sender.send_all(datagrams)
        while self.receiver.wait(ENOUGH_S):
            for batch in self.receiver.read():
                self.last_s = time.monotonic()
                came += batch.datagrams.view(np.uint32)[:, 0].tolist()
        return came


# -- loss -------------------------------------------------------------------------


@pytest.mark.parametrize("host", [SERVER_ADDRESS, "127.0.0.1"])
def test_datagrams_of_one_send_are_lost_one_by_one(lab: Lab, host: str) -> None:
    lab.loss(0.1)
    with Ends(lab, host) as ends:
        if not ends.sender.segments:
            pytest.skip("this kernel has no UDP_SEGMENT")
        came = ends.carry(6000)
        counts = lab.counts()
        assert counts.seen == 6000  # each by itself, and nothing else
        assert counts.udp_payload_bytes == 6000 * DATAGRAM_BYTES
        assert counts.lost == 6000 - len(came) - ends.receiver.kernel_dropped
    assert 0.05 < counts.lost / 6000 < 0.15
    lost = sorted(set(range(6000)) - set(came))
    runs = sum(later > earlier + 1 for earlier, later in itertools.pairwise(lost))
    assert runs > len(lost) / 2  # 540 of 600 are expected; of whole sends 13 would be


def test_what_comes_back_is_lost_too(lab: Lab) -> None:
    lab.loss(0.0, back=1.0)
    with Ends(lab) as ends:
        assert ends.carry(10) == list(range(10))
        for address in askers(ends):
            ends.receiver.send(b"heard", address)
        wait_until(lambda: lab.counts(Side.CAMERA).lost == 1, "the answer's loss")
        assert ends.sender.receive() is None
        lab.loss(0.0)
        for address in askers(ends):
            ends.receiver.send(b"heard", address)
        ends.sender.wait(5.0)
        assert ends.sender.receive() == b"heard"
    assert lab.counts(Side.CAMERA)[:2] == (2, 1)


def askers(ends: Ends) -> Iterator[Address]:
    ends.sender.send(b"is somebody there?")
    assert ends.receiver.wait(5.0)
    yield from [batch.source for batch in ends.receiver.read()]


def test_a_loss_that_is_none_is_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="give 0 to 1"):
        lab.loss(5)


# -- limit ------------------------------------------------------------------------


def test_a_limit_holds_back_and_drops(lab: Lab) -> None:
    lab.limit(mbit=4, queue_ms=1000)
    with Ends(lab) as ends:
        assert len(ends.carry(100)) == 100
        # 144,200 bytes at 4 Mbit/s take 288 ms; nothing makes them faster.
        assert ends.last_s - ends.first_s > 0.25
        lab.limit(mbit=4, queue_ms=50)
        # A queue of 25,000 bytes has no room for the 46 datagrams that go at once.
        assert 10 < len(ends.carry(100)) < 80
        lab.limit(None)
        assert len(ends.carry(100)) == 100


def has_netem() -> bool:
    line = ("tc", "qdisc", "add", "dev", "lo", "root", "netem")
    with Lab() as probe:
        return (
            subprocess.run(
                probe.command(Side.CAMERA, line), capture_output=True, check=False
            ).returncode
            == 0
        )


def test_a_delay_is_one_or_says_that_the_kernel_has_none(lab: Lab) -> None:
    lab.limit(mbit=4)
    if not has_netem():
        with pytest.raises(LabUnavailable, match="netem"):
            lab.delay(150.0)
        return
    lab.delay(150.0)
    with Ends(lab) as ends:
        assert ends.carry(1) == [0]
        assert ends.last_s - ends.first_s > 0.15
        lab.delay(0)
        assert ends.carry(1) == [0]


# -- up and down --------------------------------------------------------------------


def test_nothing_is_left_of_a_lab(lab: Lab) -> None:
    other = Lab()
    with other:
        assert {lab.name, other.name} <= set(labs())
        program = other.popen(Side.CAMERA, ["sleep", "60"])
    assert program.returncode == -signal.SIGTERM
    assert other.name not in labs()
    assert lab.name in labs()
    with pytest.raises(LabError, match=f"no lab {other.name}"):
        other.loss(0.1)


OWNER = """
import time
from benchmarks.lab import Lab
lab = Lab().up()
print(lab.name, lab.popen("server", ["sleep", "60"]).pid, flush=True)
time.sleep(60)
"""


def test_what_a_killed_owner_left_is_removed(lab: Lab) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        name, program = owner.stdout.readline().split()
        assert name in labs()
        owner.kill()
    with Lab():
        assert name not in labs()
    assert lab.name in labs()  # its owner lives
    wait_until(lambda: not is_running(int(program)), "the end of what ran in it")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sys.platform", "win32", "another system"),
        ("os.geteuid", lambda: 1000, "run it as root"),
        ("shutil.which", lambda name: None, "apt install iproute2 nftables"),
    ],
)
def test_what_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, said: str
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(name, value)
    with pytest.raises(LabUnavailable, match=said) as problem:
        Lab().up()
    assert "\n" not in str(problem.value)
    monkeypatch.setattr(sys, "argv", ["lab", "up"])
    with pytest.raises(SystemExit, match=f"lab: error: .*{said}"):
        main()


# -- the command ----------------------------------------------------------------------


def command(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command(lab: Lab) -> None:
    name = command("up", "--owner", str(os.getpid())).strip()
    try:
        assert {name, lab.name} <= set(labs())
        command("loss", "100", "--back", "0", "--lab", name)
        with Ends(Lab(name)) as ends:
            assert ends.carry(5) == []
            assert "to server: 5 packets, 5 lost (100.00%)" in command("count", "--lab", name)
            command("loss", "0", "--lab", name)
            command("limit", "4", "--lab", name)
            assert len(ends.carry(100)) < 80
            command("limit", "0", "--lab", name)
            assert len(ends.carry(100)) == 100
        assert lab.counts() == (0, 0, 0)
    finally:
        command("down", "--lab", name)
    assert name not in labs()
    with pytest.raises(LabError, match=r"name one with --lab|bring one up"):
        command("count", "--lab", name)


def test_the_command_runs_a_program_in_its_place(lab: Lab) -> None:
    line = ["run", "server", "--lab", lab.name, "--", "ip", "-brief", "address", "show", "wire"]
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks.lab", *line], capture_output=True, text=True, check=True
    )
    assert SERVER_ADDRESS in shown.stdout


# -- the link over it -------------------------------------------------------------------


def test_the_command_line_over_a_link_that_loses(lab: Lab) -> None:
    row = loss_row(Case("small", 0.02, size="320x240"), seconds=1.0)
    assert row["frames"] == 30
    assert isinstance(row["intact %"], float)
    assert isinstance(row["crossed"], int)
    assert isinstance(row["wire / payload"], float)
    assert row["intact %"] > 0
    assert row["crossed"] > 30
    assert row["wire / payload"] > 1.0


def test_a_command_that_fails_is_a_row(lab: Lab) -> None:
    row = loss_row(Case("none", 0.0, options=("--no-such-option",)), seconds=1.0)
    assert row["stream"] == "none: failed"
    assert row["intact %"] is None


# -- figures of a limit -------------------------------------------------------------------


def frames(first: int, count: int, from_s: float, size: int, fps: float = 30.0) -> list[Arrival]:
    return [Arrival(from_s + n / fps, first + n, size, (640, 480), 0.002) for n in range(count)]


def test_a_recovery_is_told_from_arrivals() -> None:
    before = frames(0, 120, from_s=0.0, size=60_000)
    broken = frames(150, 3, from_s=5.0, size=60_000)  # 30 lost before them, 7 after
    whole = frames(160, 60, from_s=5.5, size=20_000)
    stray = frames(221, 30, from_s=7.6, size=20_000)  # one more lost
    rising = frames(251, 30, from_s=8.7, size=30_000)
    back = frames(281, 30, from_s=9.7, size=60_000)
    arrivals = [*before, *broken, *whole, *stray, *rising, *back]
    recovery = recovery_of(arrivals, limited_s=4.0, lifted_s=8.6)
    assert recovery.whole_s == pytest.approx(1.5)
    assert recovery.lost_after == 1
    assert recovery.back_s == pytest.approx(1.1, abs=0.04)
    rows = timeline(arrivals, limited_s=4.0, lifted_s=8.6).rows
    assert [row["s"] for row in rows] == list(range(-4, 7))
    assert [row["lost"] for row in rows] == [0, 0, 0, 0, 0, 37, 0, 1, 0, 0, 0]
    assert [row["limit"] for row in rows] == ["off"] * 4 + ["on"] * 5 + ["off"] * 2


def test_a_stream_that_does_not_recover_has_no_time() -> None:
    before = frames(0, 120, from_s=0.0, size=60_000)
    assert recovery_of(before, 4.0, 9.0) == Recovery(None, None, None)
    stuttering = [frame for frame in frames(120, 150, 4.0, 60_000) if frame.number % 5]
    assert recovery_of([*before, *stuttering], 4.0, 9.0).whole_s is None
