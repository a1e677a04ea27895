"""Feeds hostile answers to a connection and counts the outcomes; exit code 1 if any broke a rule.

Each answer is that of its number: `--first N --responses 1` replays one.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from random import Random

from tests.fuzz.answers import hostile
from tests.fuzz.rig import outcome_of

MAX_SHOWN = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--responses", type=int, default=10_000, help="how many answers (default 10000)")
    parser.add_argument("--first", type=int, default=0, help="the first one's number (default 0)")
    arguments = parser.parse_args()
    started_s = time.perf_counter()
    counts: Counter[str] = Counter()
    broken = 0
    for seed in range(arguments.first, arguments.first + arguments.responses):
        answer = hostile(Random(seed))
        try:
            counts[outcome_of(answer)] += 1
        except Exception as error:
            broken += 1
            if broken <= MAX_SHOWN:
                print(f"answer {seed} {str(answer.pieces)[:500]}")
                traceback.print_exception(error)
    took_s = time.perf_counter() - started_s
    for outcome, count in counts.most_common():
        print(f"{count:9,} {outcome}")
    print(f"{arguments.responses:,} answers in {took_s:.1f} s, {broken} broke a rule")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
