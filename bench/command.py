"""What every command of the bench has in common: its end, its files and its table of results.

What is measured is kept as soon as it is known: a run of an hour that fails in its last minute, or that is
interrupted, leaves what it had so far, with --json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.measure import FailedUploadError, RunError
from bench.nginx import SinkError
from bench.table import surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RAM_DISK = Path("/dev/shm")
FAILED, MISSED, INTERRUPTED = 1, 3, 130
"""Exit codes: it could not measure, it measured that a target was missed, it was interrupted."""


@dataclass
class Findings:
    """What a command has measured so far: `data` is what --json writes. `judged`: how many rows were held
    against targets, of which `missed` were; `unjudged`: how many targets had nothing to be held against."""

    data: dict[str, Any] = field(default_factory=dict)
    judged: int = 0
    missed: int = 0
    unjudged: int = 0

    def add(self, kind: str, measured: Any, missed: int) -> None:
        """One more of a kind ("rows") is measured and judged."""
        self.data.setdefault(kind, []).append(measured)
        self.judged += 1
        self.missed += missed

    @property
    def verdict(self) -> str:
        """The last line of a run that came to its end."""
        if self.missed:
            return f"{self.missed} targets missed"
        if not self.judged:
            return "no target was judged"
        return "all targets reached" + (f", but {self.unjudged} not judged" if self.unjudged else "")


Measure = Callable[[Findings], None]
"""Measures, printing as it goes, and puts each thing into what it is given as soon as that is measured."""


def parser_of(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Of the options of `python -m bench.NAME`, whose module says `doc`: so far --json, where it writes."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.{name}",
        description=(doc or "").partition(": ")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json", metavar="FILE", type=output_file, help="also write everything measured to FILE"
    )
    return parser


def output_file(text: str) -> Path:
    """Where --json writes: looked at before anything is measured, since that takes long."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: its folder is missing")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: is a folder")
    return path


def check_patterns(option: str, patterns: str, names: Sequence[str]) -> None:
    """Raises `RunError` where one of the patterns, with commas between, matches none of the names."""
    for one in patterns.split(","):
        if not any(fnmatch(name, one) for name in names):
            raise RunError(f"{option} {one}: there are {', '.join(names)}")


def run_command(measure: Measure, json_file: Path | None) -> int:
    """Has `measure` measure, and writes down what it found, however it ends. The exit code."""
    signal.signal(signal.SIGTERM, stop)  # so that stores and files go, too
    findings = Findings()
    about: dict[str, Any] = {}
    problem = "it ended with an error of its own"
    try:
        about = surroundings()
        python = f"Python {about['python']} ({about['python_ns']:.0f} ns for a step of a plain loop)"
        print(f"{about['usable_cores']} cores, load {about['load_average']:.1f}, {python}")
        measure(findings)
        problem = ""
    except FailedUploadError as error:
        problem = str(error)
        findings.missed += 1
    except (SinkError, RunError) as error:
        print(f"bench: {error}", file=sys.stderr)
        problem = str(error)
        return FAILED
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        problem = "interrupted"
        return INTERRUPTED
    finally:
        if json_file is not None and findings.data:
            ended = {"problem": problem} if problem else {}
            kept = {"machine": about, **findings.data, "missed": findings.missed, **ended}
            json_file.write_text(json.dumps(kept, indent=2) + "\n")
    if problem:
        print(f"bench: {problem}", file=sys.stderr)
    print(findings.verdict)
    return MISSED if findings.missed else 0


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
