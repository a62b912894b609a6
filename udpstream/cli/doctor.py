"""``udpstream doctor``: what is wrong here and on the way to a receiver, and how to mend it."""

from __future__ import annotations

import textwrap

import typer
from rich.text import Text

from udpstream.adapters.address import split_host_port
from udpstream.bench.finding import Finding, Level
from udpstream.bench.machine import look_at_machine
from udpstream.bench.way import look_at_way
from udpstream.cli.terminal import COLUMNS, print_lines

_STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_INDENT = 26  # of what was found
_FIX_INDENT = 11


def doctor(address: str | None, *, datagram_bytes: int) -> None:
    """Look, and print each finding as it is made.

    Raises:
        AddressError: the address cannot be read.
        typer.Exit: with code 1 where there is a problem.
    """
    way = None if address is None else split_host_port(address, default_host="127.0.0.1")
    print_lines(["this machine"])
    findings = []
    for finding in look_at_machine(datagram_bytes):
        findings.append(finding)
        _print(finding)
    if way is not None:
        print_lines([f"the way to {address}"])
        for finding in look_at_way(*way, datagram_bytes):
            findings.append(finding)
            _print(finding)
    levels = [finding.level for finding in findings]
    problems, warnings = levels.count("problem"), levels.count("warning")
    print_lines([f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}"])
    if problems:
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    lines = textwrap.wrap(finding.text, COLUMNS - _INDENT, break_on_hyphens=False)
    first = Text.assemble(
        "  ", (f"{finding.level:9}", _STYLES[finding.level]), f"{finding.subject:15}", lines[0]
    )
    more = [" " * _INDENT + line for line in lines[1:]]
    fixes = [f"{' ' * _FIX_INDENT}fix: {fix}" for fix in finding.fixes]  # whole: to be copied
    print_lines([first, *more, *fixes])


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
