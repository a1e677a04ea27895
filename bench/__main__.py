"""`python -m bench`: s3-upload beside s5cmd and obstore, on small and on large files.

The sink is nginx on a RAM disk with one worker: beside a client on two cores, a second worker only
takes the client's core (`--sink-workers auto` shows what that does).
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.command import FAILED, INTERRUPTED, RAM_DISK, files_home, stop
from bench.contenders import Contender, contenders
from bench.measure import RunError, Workload, measure
from bench.nginx import Sink, SinkError
from bench.table import as_data, as_text, machine, machine_text

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    signal.signal(signal.SIGTERM, stop)  # so that nginx and the files go, too
    try:
        report = run(options)
    except (SinkError, RunError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return INTERRUPTED
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures, printing as it goes. Returns everything measured. Raises `SinkError`, `RunError`."""
    lineup = contenders()
    able = [c for c in lineup if not c.missing and _wanted(c, options.only)]
    if not able:
        raise RunError(
            "no contender can run: " + "; ".join(c.missing or f"{c.name} not chosen" for c in lineup)
        )
    with files_home() as home, Sink(RAM_DISK, workers=options.sink_workers, tls=options.tls) as sink:
        about = machine(sink.version, options.sink_workers, options.tls, lineup)
        print(machine_text(about), flush=True)
        tables = _measure_all(options, home, sink, able)
    return {"machine": about, "rounds": options.rounds, "workloads": tables}


def _measure_all(
    options: argparse.Namespace, source_home: Path, sink: Sink, lineup: list[Contender]
) -> list[dict[str, Any]]:
    tiny = Workload("one file", 1, 1, source_home / "tiny").create()
    tables = []
    for name, count, size in (
        ("small files", options.small_files, options.small_bytes),
        ("large files", options.large_files, options.large_bytes),
    ):
        if count == 0:
            continue
        workload = Workload(name, count, size, source_home / name.replace(" ", "-")).create()
        results = measure(workload, tiny=tiny, sink=sink, lineup=lineup, rounds=options.rounds, say=_say)
        tables.append(as_data(workload, results))
        print(f"\n{as_text(tables[-1])}", flush=True)
        shutil.rmtree(workload.directory)
    return tables


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("--rounds", type=_count(1), default=5, help="rounds counted, after one warm-up (5)")
    parser.add_argument("--small-files", type=_count(0), default=5_000, help="0: none (5000)")
    parser.add_argument("--small-bytes", type=_count(1), default=4 << 10, help="size of a small file (4 KiB)")
    parser.add_argument("--large-files", type=_count(0), default=64, help="0: none (64)")
    parser.add_argument("--large-bytes", type=_count(1), default=4 << 20, help="size of a large file (4 MiB)")
    parser.add_argument("--tls", action="store_true", help="HTTPS, with a certificate made for the run")
    parser.add_argument(
        "--sink-workers", default="1", choices=["1", "2", "4", "auto"], help="nginx workers (1)"
    )
    parser.add_argument("--only", metavar="NAMES", help="contenders whose names contain one of these")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write everything measured to FILE")
    return parser.parse_args(argv)


def _count(low: int) -> Any:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of at least {low}")
        return int(text)

    return parse


def _wanted(contender: Contender, only: str | None) -> bool:
    return only is None or any(name in contender.name for name in only.split(","))


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
