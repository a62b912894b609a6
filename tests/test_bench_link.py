"""Trials over real sockets on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.cli_tools import free_port
from udpstream.adapters.address import resolve
from udpstream.adapters.path import PathSocket, Silence
from udpstream.bench.finding import Finding, receive_buffer
from udpstream.bench.link import LinkTester
from udpstream.bench.reach import Reach, unreached
from udpstream.bench.way import look_at_way
from udpstream.core.ladder import Shape
from udpstream.receiver import Receiver

HOST = "127.0.0.1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(HOST, 0) as receiver:
        yield receiver


@pytest.mark.parametrize("shape", ["burst", "paced"])
@pytest.mark.parametrize("offload", ["auto", "off"])
def test_a_trial_on_loopback_arrives(receiver: Receiver, shape: Shape, offload: str) -> None:
    with LinkTester(
        resolve(HOST, receiver.port),
        datagram_bytes=1_400,
        receive_buffer_bytes=receiver.receive_buffer_bytes,
        offload=offload,  # type: ignore[arg-type]
    ) as tester:
        for bps in (2e6, 20e6):
            step = tester.run(bps, shape, 0.2, threading.Event())
            assert step is not None
            assert (step.frames, step.shape) == (6, shape)
            assert (step.tally.received, step.tally.whole, step.lost) == (step.sent, 6, 0)
            assert step.tally.wire_bytes == step.sent * 1_400
    assert not receiver.reports()
    assert not receiver.dropped.total()


def test_a_trial_ends_when_told(receiver: Receiver) -> None:
    stop = threading.Event()
    stop.set()
    with LinkTester(
        resolve(HOST, receiver.port), datagram_bytes=1_400, receive_buffer_bytes=1 << 20
    ) as tester:
        assert tester.run(2e6, "burst", 60.0, stop) is None


# -- reach ------------------------------------------------------------------------


def test_a_receiver_that_is_there_answers_with_its_clock(receiver: Receiver) -> None:
    with Reach(resolve(HOST, receiver.port)) as reach:
        assert reach.ask() is None
        assert reach.ask(1_400) is None
        assert reach.tally is not None
        assert reach.tally.receive_buffer_bytes == receiver.receive_buffer_bytes
        assert reach.clock is not None
        assert abs(reach.clock.offset_us) <= reach.clock.error_us + 1_000
    assert not receiver.reports()


def test_nobody_there_and_somebody_silent_are_told_apart() -> None:
    with Reach(resolve(HOST, free_port())) as reach:
        assert reach.ask() is Silence.REFUSED
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((HOST, 0))
        with Reach(resolve(HOST, deaf.getsockname()[1])) as reach:
            assert reach.ask() is Silence.NOTHING


@pytest.mark.parametrize("silence", Silence)
def test_each_silence_has_an_error_that_helps(silence: Silence) -> None:
    text = str(unreached(resolve(HOST, 9505), silence))
    assert text.startswith("no receiver answers at 127.0.0.1:9505: ")


def test_a_datagram_that_does_not_fit_is_told() -> None:
    path = PathSocket(resolve(HOST, free_port()))
    try:
        assert path.exchange(bytes(66_000), 0.1) is Silence.TOO_LARGE
        assert path.local == HOST
    finally:
        path.close()


# -- what the doctor finds ----------------------------------------------------------


def find(findings: list[Finding], subject: str) -> Finding:
    return next(each for each in findings if each.subject == subject)


def test_the_way_to_a_receiver_is_well(receiver: Receiver) -> None:
    findings = list(look_at_way(HOST, receiver.port, 1_400))
    assert {each.level for each in findings} <= {"ok", "warning"}
    assert find(findings, "port").level == "ok"
    assert find(findings, "its version").level == "ok"
    assert "1,400 bytes arrive" in find(findings, "packets").text


def test_the_way_to_nobody_has_a_problem_and_a_fix() -> None:
    findings = list(look_at_way(HOST, free_port(), 1_400))
    assert findings[-1].level == "problem"
    assert "refused" in findings[-1].text
    assert "udpstream receive" in findings[-1].fixes[0]


@pytest.mark.parametrize(("host", "anywhere"), [(HOST, "0.0.0.0"), ("::1", "[::]")])
def test_the_fix_is_of_the_addresss_own_kind(host: str, anywhere: str) -> None:
    port = free_port()
    finding = find(list(look_at_way(host, port, 1_400)), "port")
    assert finding.fixes == (f"on that machine: udpstream receive {anywhere}:{port}",)


def test_a_silent_machine_may_be_behind_a_firewall() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((HOST, 0))
        findings = list(look_at_way(HOST, deaf.getsockname()[1], 1_400))
    assert findings[-1].level == "problem"
    fixes = " ".join(findings[-1].fixes)
    assert all(word in fixes for word in ("ufw allow", "firewall-cmd", "netsh"))


def test_a_group_is_not_asked() -> None:
    findings = list(look_at_way("239.1.2.3", 9505, 1_400))
    assert [each.level for each in findings] == ["ok", "warning"]


@pytest.mark.parametrize(
    ("granted", "platform", "level", "fix"),
    [
        (212_992, "linux", "warning", "net.core.rmem_max="),
        (212_992, "darwin", "warning", "kern.ipc.maxsockbuf="),
        (65_536, "win32", "warning", "--receive-buffer"),
        (4 << 20, "linux", "ok", ""),
        (64 << 20, "linux", "ok", ""),
    ],
)
def test_a_receive_buffer_is_judged_by_the_frames_it_holds(
    granted: int, platform: str, level: str, fix: str
) -> None:
    found = receive_buffer(granted, 1_400, platform)
    assert found.level == level
    assert fix in " ".join(found.fixes)
    assert ("slower bursts" in found.text) == (granted < 16 << 20)
