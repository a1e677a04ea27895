"""`python -m bench.screen`: whether the screen tells the truth, and what it costs.

*Truth*: the s3-upload command sends 2 GB in four files to `bench/store`, over a link of 100 MB/s
(`bench/proxy`); what its terminal shows is read, and compared with the bytes that the store has received at
the same moments and with when the upload ended.  *Cost*: 20,000 files of 4 KiB with the screen on and off in
turns; processor time of the whole process.

Targets: bytes move within 0.5 s of the first that arrives; the rate is within 5 % of the store's over five
seconds; from 20 % on, but for the last three seconds, the time left is within 20 % of the truth, or a second;
the screen costs at most 3 % more processor time.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.command import Findings, files_home, parser_of, run_command
from bench.contenders import environment, ours_command
from bench.gostore import GoStore, Link
from bench.measure import RUN_TIMEOUT_S, Ended, FailedUploadError, RunError, Workload, run_process
from bench.received import Received, looking_at
from bench.sinks import wrong_sizes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BIG_FILES, BIG_BYTES = 4, 500_000_000
LINK_BYTES_PER_S = 100_000_000
SMALL_FILES, SMALL_BYTES = 20_000, 4 << 10
ROUNDS = 7
ROWS, COLUMNS = 24, 80
RATE_S, MAX_RATE_ERROR = 5.0, 0.05
FROM_SHARE, MAX_LEFT_ERROR, LEFT_ROUNDING_S = 20, 0.2, 1.0
LAST_S = 3.0
"""Of the run, in which whole seconds are too coarse to be judged."""
MAX_FIRST_S = 0.5
MAX_COST = 1.03
UNITS = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_FRAME = re.compile(
    r"(\d+) %.*?([\d.]+) of ~?([\d.]+) (kB|MB|GB)(?:\s+(\d+):(\d\d) left)?.*?([\d.,]+) ([kM]?)B/s", re.DOTALL
)
_STYLE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


@dataclass(frozen=True)
class Frame:
    """What the terminal showed from `at_s` on."""

    at_s: float
    percent: int
    sent: float
    rate: float
    left_s: float | None


def frames_of(shown: Sequence[tuple[float, str]]) -> list[Frame]:
    """The frames in what was written to a terminal, with the moments."""
    found = []
    for at_s, text in shown:
        plain = _STYLE.sub("", text)
        for match in _FRAME.finditer(plain):
            percent, sent, _, unit, minutes, seconds, rate, thousands = match.groups()
            left_s = None if minutes is None else 60.0 * int(minutes) + int(seconds)
            found.append(
                Frame(
                    at_s,
                    int(percent),
                    float(sent) * UNITS[unit],
                    float(rate.replace(",", "")) * UNITS[f"{thousands}B"],
                    left_s,
                )
            )
    return found


def judge(frames: Sequence[Frame], sink: Received, end_s: float) -> dict[str, float]:
    """How far what was shown is from the truth."""
    moved_s = next((frame.at_s for frame in frames if frame.sent > 0), end_s)
    begun_s = sink.first_s
    rates = [
        abs(frame.rate / sink.per_s(frame.at_s - RATE_S, frame.at_s) - 1.0)
        for frame in frames
        if frame.at_s >= begun_s + RATE_S + 1.0 and frame.at_s <= end_s - 0.5
    ]
    lefts = [
        max(0.0, abs(frame.left_s - (end_s - frame.at_s)) - LEFT_ROUNDING_S) / (end_s - frame.at_s)
        for frame in frames
        if frame.left_s is not None and frame.percent >= FROM_SHARE and frame.at_s < end_s - LAST_S
    ]
    return {
        "first_s": moved_s - begun_s,
        "rate_error": max(rates, default=1.0),
        "left_error": max(lefts, default=1.0),
    }


def on_a_terminal(argv: Sequence[str], shown: list[tuple[float, str]]) -> Ended:
    """Runs a command whose stderr is a terminal, and takes down what it writes there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def read() -> None:
        while True:
            try:
                text = os.read(ours, 1 << 16)
            except OSError:  # nobody writes any more
                return
            shown.append((time.monotonic(), text.decode(errors="replace")))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        # With a session of its own: who is left of one that was ended would keep the terminal open.
        return run_process(argv, environment(None) | {"TERM": "xterm"}, stderr=theirs, session=True)
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)


def check(ended: Ended, said: str, expected: Mapping[str, int], store: GoStore) -> None:
    """Raises `FailedUploadError` unless it is through, and all is stored."""
    problem = wrong_sizes(expected, store.objects())
    if ended.late:
        problem = f"not done after {RUN_TIMEOUT_S:.0f} s"
    elif ended.returncode:
        problem = f"exit {ended.returncode}: {said[-200:] or 'it said nothing'}"
    if problem:
        raise FailedUploadError(f"s3-upload: {problem}")


def truth(home: Path) -> dict[str, float]:
    """The big files, once."""
    folder = home / "big"
    folder.mkdir()
    sizes = {f"model-{number}.bin": BIG_BYTES for number in range(BIG_FILES)}
    for name, size in sizes.items():
        with (folder / name).open("wb") as file:
            file.truncate(size)
    shown: list[tuple[float, str]] = []
    with GoStore("--delay", "20ms") as store, Link(store, LINK_BYTES_PER_S) as link:
        with looking_at(store) as sink:
            argv = ours_command("--progress", "bar").command("", folder, link.url)
            ended = on_a_terminal(argv, shown)
            end_s = time.monotonic()
        check(ended, shown[-1][1] if shown else "", sizes, store)
    return judge(frames_of(shown), sink, end_s)


def cost(home: Path, rounds: int) -> dict[str, Any]:
    """The small files, with the screen and without in turns."""
    files = Workload("small files", SMALL_FILES, SMALL_BYTES, home / "small").create()
    sizes = dict(files.sizes_by_key())
    spent: dict[str, list[float]] = {"none": [], "bar": []}
    for number in range(rounds + 1):
        for kind in ("none", "bar") if number % 2 else ("bar", "none"):
            shown: list[tuple[float, str]] = []
            with GoStore() as store:
                argv = ours_command("--progress", kind).command("", files.directory, store.url)
                ended = on_a_terminal(argv, shown)
                check(ended, shown[-1][1] if shown else "", sizes, store)
            if number:  # the first round warms up
                spent[kind].append(ended.run.cpu_s)
    ratios = [bar / none for bar, none in zip(spent["bar"], spent["none"], strict=True)]
    return {"cpus_s": spent, "cost": median(ratios)}


def measure_all(options: argparse.Namespace, findings: Findings) -> None:
    """Measures, printing as it goes. Raises `SinkError`, `RunError`."""
    if problem := ours_command().missing:
        raise RunError(problem)

    def tell(what: str, figure: str, *, reached: bool) -> None:
        findings.judged += 1
        findings.missed += not reached
        print(f"{what:52} {figure:>8}  {'reached' if reached else 'MISSED'}", flush=True)

    with files_home() as home:
        found = truth(home)
        findings.data |= found
        first_s, rate, left = found["first_s"], found["rate_error"], found["left_error"]
        tell("bytes move after the first has arrived", f"{first_s:.2f} s", reached=first_s <= MAX_FIRST_S)
        tell("the rate is off the store's, at worst", f"{rate:.1%}", reached=rate <= MAX_RATE_ERROR)
        tell("the time left is off, at worst", f"{left:.1%}", reached=left <= MAX_LEFT_ERROR)
        if options.rounds:
            spent = cost(home, options.rounds)
            findings.data |= spent
            more = spent["cost"]
            tell("processor time with the screen, of that without", f"{more:.3f}", reached=more <= MAX_COST)
        else:
            findings.unjudged += 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_of("screen", __doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of the cost ({ROUNDS}; 0: not measured)")
    options = parser.parse_args(argv)
    if options.rounds < 0:
        parser.error("--rounds must be at least 0")
    return run_command(lambda findings: measure_all(options, findings), options.json)


if __name__ == "__main__":
    sys.exit(main())
