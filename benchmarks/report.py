"""What was measured, on what: tables for the terminal, for Markdown and as JSON."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

import rich
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.peer_gstreamer import version as gstreamer_version

Value: TypeAlias = int | float | str | None

_PACKAGES = ("udpstream", "numpy", "opencv-python", "av", "imagezmq", "pyzmq")
progress = Console(stderr=True)


@dataclass
class Table:
    """One measurement: every row has the same keys, which are the columns' headings."""

    title: str
    note: str
    rows: list[dict[str, Value]] = field(default_factory=list)


def machine(command: str, seed: int) -> dict[str, str]:
    """What a reader must know to judge or repeat the figures."""
    versions = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if gstreamer := gstreamer_version():
        versions.append(gstreamer)
    return {
        "command": command,
        "machine": f"{_cpu()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "net.core.rmem_max": _read(Path("/proc/sys/net/core/rmem_max"), "not known"),
        "versions": ", ".join(versions),
        "seed": str(seed),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }


def publish(
    module: str, seed: int, tables: list[Table], json_file: Path | None, *, as_markdown: bool
) -> None:
    """Print a benchmark's tables, headed by its command, and write them where asked."""
    head = machine(shlex.join(["python", "-m", module, *sys.argv[1:]]), seed)
    if json_file is not None:
        write_json(json_file, head, tables)
    if as_markdown:
        print(markdown(head, tables))
    else:
        show(head, tables)


def show(head: dict[str, str], tables: list[Table]) -> None:
    """Print for a person."""
    for key, text in head.items():
        rich.print(f"[bold]{key}[/]: {text}")
    for table in tables:
        drawn = RichTable(title=table.title, caption=table.note, title_justify="left")
        for column, value in table.rows[0].items():
            drawn.add_column(column, justify="left" if isinstance(value, str) else "right")
        for row in table.rows:
            drawn.add_row(*map(_text, row.values()))
        rich.print(drawn)


def markdown(head: dict[str, str], tables: list[Table]) -> str:
    """The same for a page."""
    lines = [f"- {key}: `{value}`" for key, value in head.items()]
    for table in tables:
        columns = list(table.rows[0])
        lines += ["", f"## {table.title}", "", table.note, ""]
        lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        lines += [f"| {' | '.join(map(_text, row.values()))} |" for row in table.rows]
    return "\n".join(lines)


def write_json(path: Path, head: dict[str, str], tables: list[Table]) -> None:
    """The same for a program, figures unrounded."""
    path.write_text(json.dumps({**head, "tables": [asdict(table) for table in tables]}, indent=2))


def _text(value: Value) -> str:
    match value:
        case None:
            return "-"
        case str():
            return value
        case int():
            return f"{value:,}"
        case _ if abs(value) >= 100:
            return f"{value:,.0f}"
        case _:
            return f"{value:.2f}"


def _cpu() -> str:
    for line in _read(Path("/proc/cpuinfo"), "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(path: Path, otherwise: str) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return otherwise
