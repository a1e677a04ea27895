"""`python -m lab`: what uploads do to others on the same link, in network namespaces; needs root on Linux."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lab.check import RATES_MBPS, as_data, check
from lab.matrix import RTTS_MS, duration_s, full_matrix, grid, quick_matrix, run_matrix
from lab.network import ROOT, LabError, algorithms, sweep
from lab.results import Results
from lab.scenario import BULK, FILE_BYTES, FILES, NOTHING, VIDEO, Scenario, with_baselines
from lab.tables import check_table, page, summary, write
from lab.uploaders import MODES, PEERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOCUMENT = ROOT / "docs" / "shared-network.md"
RESULTS = ROOT / "docs" / "shared-network" / "results.json"
FOREGROUNDS = (*BULK, VIDEO, NOTHING)
QUICK_RUNS = 1
MISSED = 3
"""The exit code where an upload of ours failed, as of the bench."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    if not options.render and (missing := unable()):
        print(f"lab: skipped: {missing}", file=sys.stderr)
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):  # so that the namespaces go, too
        signal.signal(number, _stop)
    try:
        failed = run(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; what is measured so far is kept", file=sys.stderr)
        return 130
    return MISSED if failed else 0


def unable() -> str:
    """Why this machine cannot run the lab; "" if it can."""
    if sys.platform != "linux":
        return "it needs Linux's network namespaces"
    if os.geteuid() != 0:
        return "it makes network namespaces and so needs root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun (modprobe tun)"
    return ""


def run(options: argparse.Namespace) -> bool:
    """Whether an upload of ours failed. Raises `LabError`."""
    results = Results(None if options.quick else options.results)
    scenarios = [] if options.render else chosen(options)
    runs = QUICK_RUNS if options.quick else options.runs
    if options.dry_run:
        for scenario in scenarios:
            print(scenario.key)
    if scenarios:
        needed_h = duration_s(scenarios, runs) / 3600
        _say(f"{len(scenarios)} scenarios, {runs} run(s) each: at most {needed_h:.2f} h")
    if options.dry_run:
        return False
    if not options.render:
        sweep()
    if options.all and not options.resume:
        results.forget_all()
    if options.check or (options.all and not options.resume):
        measure_check(results, runs)
    if scenarios:
        run_matrix(scenarios, runs=runs, seed=options.seed, results=results, say=_say, resume=options.resume)
    if options.quick:
        print(f"\n{summary(results)}")
    else:
        write_page(results, options.document)
    return any(results.failed(scenario) for scenario in scenarios if scenario.is_ours)


def write_page(results: Results, document: Path) -> None:
    from lab.plots import draw

    write(document, page(results, draw(results, document.with_suffix(""))))
    _say(f"{document} is written")


def chosen(options: argparse.Namespace) -> list[Scenario]:
    """What the arguments ask for: everything if nothing, only the check if only that."""
    asked = any(getattr(options, name) is not None for name in AXES)
    options.all = not asked and not options.check and not options.quick
    if options.quick:
        return quick_matrix()
    if options.all:
        return full_matrix()
    if not asked:
        return []
    uploaders = [*(options.modes or ()), *(options.peers or ())]
    if options.modes is None and options.peers is None:
        uploaders = [*MODES, *PEERS]
    return with_baselines(
        grid(
            uploaders, options.foreground or ["cubic"], options.rtt or RTTS_MS,
            algorithms=options.algorithm or ["cubic"], queues=options.queue or ["fifo"],
            losses=options.loss or [0.0], files=options.files, file_bytes=options.file_bytes,
        )
    )  # fmt: skip


def measure_check(results: Results, runs: int) -> None:
    agreements = [
        as_data(check(algorithm, rate, runs))
        for rate in RATES_MBPS
        for algorithm in algorithms()
        if algorithm in BULK
    ]
    results.check(agreements)
    _say(check_table(agreements))


AXES = ("rtt", "modes", "peers", "foreground", "algorithm", "queue", "loss")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m lab", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog="Lists are separated by commas. Without any, all of docs/shared-network.md is run.",
    )  # fmt: skip
    add = parser.add_argument
    add("--rtt", type=_numbers, help="base round-trip times in ms")
    add("--modes", type=_words(MODES), help=f"of s3-upload: {','.join(MODES)}; more flags may follow a mode")
    add("--peers", type=_words(PEERS), help=f"of {','.join(PEERS)}")
    add("--foreground", type=_words(FOREGROUNDS), help=f"of {','.join(FOREGROUNDS)}")
    add("--algorithm", type=_words(BULK), help="congestion control of the uploads: cubic,bbr")
    add("--queue", type=_words(("fifo", "drr")), help="of the link: fifo,drr")
    add("--loss", type=_numbers, help="share of packets lost at random in each direction: 0,0.001")
    add("--runs", type=int, default=5, help="of each scenario")
    add("--seed", type=int, default=1, help="of the first run; the next has the next")
    add("--files", type=int, default=FILES, help="how many files the uploaders are given")
    add("--file-bytes", type=int, default=FILE_BYTES, help="their size")
    add("--quick", action="store_true", help="a two-minute subset, printed")
    add("--check", action="store_true", help="compare the emulator with TBF")
    add("--resume", action="store_true", help="run only what the results lack")
    add("--render", action="store_true", help="only write the page anew from the results")
    add("--dry-run", action="store_true", help="only say what would be run, and how long it takes")
    add("--results", type=Path, default=RESULTS, help="the JSON file of all measurements")
    add("--document", type=Path, default=DOCUMENT, help="the page with the tables")
    parser.set_defaults(all=False)
    return parser.parse_args(argv)


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: must be numbers separated by commas") from None


def _words(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """A list of what is known; only the first word of each counts, more flags may follow it."""

    def parse(text: str) -> list[str]:
        words = text.split(",")
        for word in words:
            if word.partition(" ")[0] not in known:
                raise argparse.ArgumentTypeError(f"{word!r}: must be of {', '.join(known)}")
        return words

    return parse


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _stop(number: int, frame: object) -> NoReturn:
    """Once: an impatient second Ctrl-C would stop the cleaning up."""
    for impatient in (signal.SIGINT, signal.SIGTERM):
        signal.signal(impatient, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
