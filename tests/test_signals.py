from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from udpstream.cli.signals import StopSignals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_that_comes_twice_at_once_is_one(name: str) -> None:
    """As timeout(1) sends it: to the process, and to its group."""
    with StopSignals() as signals:
        assert not signals.event.is_set()
        signal.raise_signal(signal.Signals[name])
        assert signals.event.is_set()
        signal.raise_signal(signal.Signals[name])
    signal.raise_signal(signal.Signals[name])  # and while the summary is printed


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_one_more_has_its_usual_effect(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number = signal.Signals[name]
    raised: list[int] = []
    with StopSignals():
        signal.raise_signal(number)
        real = signal.raise_signal
        now_s = time.monotonic()
        monkeypatch.setattr("time.monotonic", lambda: now_s + 1.0)
        monkeypatch.setattr("signal.raise_signal", raised.append)
        if name == "SIGINT":
            with pytest.raises(KeyboardInterrupt):
                real(number)
        else:
            real(number)
            assert raised == [number]
    assert signal.getsignal(number) is signal.SIG_DFL


def test_without_a_signal_all_is_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
