"""What every command of the bench has in common: its end, its files and its table of results."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.measure import RunError
from bench.nginx import SinkError
from bench.table import surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

RAM_DISK = Path("/dev/shm")
FAILED, MISSED, INTERRUPTED = 1, 3, 130
"""Exit codes: it could not measure, it measured that a target was missed, it was interrupted."""

Measure = Callable[[], dict[str, Any]]
"""Measures, printing as it goes; gives everything measured, and as "missed" how many targets were."""


def parser_of(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Of the options of `python -m bench.NAME`, whose module says `doc`: so far --json, where it writes."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.{name}",
        description=(doc or "").partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write everything measured to FILE")
    return parser


def run_command(measure: Measure, json_file: Path | None) -> int:
    """Has `measure` measure and writes down what it found. The exit code."""
    signal.signal(signal.SIGTERM, stop)  # so that stores and files go, too
    try:
        about = surroundings()
        python = f"Python {about['python']} ({about['python_ns']:.0f} ns for a step of a plain loop)"
        print(f"{about['usable_cores']} cores, load {about['load_average']:.1f}, {python}")
        found = measure()
    except (SinkError, RunError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return INTERRUPTED
    if json_file is not None:
        json_file.write_text(json.dumps({"machine": about, **found}, indent=2) + "\n")
    print("all targets reached" if not found["missed"] else f"{found['missed']} targets missed")
    return MISSED if found["missed"] else 0


@contextlib.contextmanager
def files_home() -> Iterator[Path]:
    """A folder on the RAM disk for the files to be uploaded. Raises `SinkError`."""
    if not RAM_DISK.is_dir():
        raise SinkError(f"{RAM_DISK} is missing: the files lie on a RAM disk (tmpfs) there")
    home = Path(tempfile.mkdtemp(prefix="bench-source-", dir=RAM_DISK))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def stop(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
