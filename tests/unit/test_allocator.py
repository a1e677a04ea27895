"""What the C library does with large blocks that are freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS_OF_BODIES = """
import resource, sys
from s3_upload.own_process import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def some():
    return [b"x" * (4 << 20) for _ in range(4)]
some()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    some()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_bodies_that_follow_each_other_find_their_pages_in_place() -> None:
    def faults(how: str) -> int:
        words = [sys.executable, "-c", FAULTS_OF_BODIES, how]
        return int(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout)

    assert faults("kept") < faults("given back") / 10
