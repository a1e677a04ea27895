"""What some tests need of the system: where it is not to be had they are skipped, and say why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

needs_any_name = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no names that are no UTF-8")
needs_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is Linux's")
