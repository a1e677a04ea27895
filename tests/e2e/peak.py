"""The most memory that a process of the tests' has had: probes print their own, tests ask for it.

`python -m tests.e2e.peak` is the smallest of these probes: it does nothing else.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120


def peak_bytes() -> int:
    """Of this process.

    Not ru_maxrss, where the kernel can say it otherwise: Linux counts into that what the process had that
    started this one, and a test run has had more than any probe.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        from bench.million import peak_in  # after the look: what it imports is not the probe's

        return peak_in(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_of(probe: str, *words: str) -> int:
    """What the module `probe` of this folder prints as its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.e2e.{probe}", *words],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return int(done.stdout)


if __name__ == "__main__":
    print(peak_bytes())
