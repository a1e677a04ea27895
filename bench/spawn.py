"""Runs a command from a small process, and writes what it took as JSON: `spawn.py FILE ARGV...`.

Linux counts into a process' peak memory (ru_maxrss) what the process had that started it.  A bench with its
tables of a million files would be the peak of every small contender; this is smaller than all of them.
"""

import os
import sys
import time


def main(result: str, *argv: str) -> None:
    started_s = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ)
    _, status, used = os.wait4(pid, 0)
    wall_s = time.perf_counter() - started_s
    took = {"wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * 1024}
    with open(result, "w") as file:  # noqa: PTH123 - pathlib and json alone would double what this holds
        file.write(str(took).replace("'", '"'))
    sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    main(*sys.argv[1:])
