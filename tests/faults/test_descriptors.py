"""Uploads with nearly no file descriptor left: all succeed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer

PROBE = Path(__file__).parents[1] / "e2e" / "descriptor_probe.py"
DIRECTORIES, FILES = 40, 100


@pytest.mark.parametrize(
    ("limit", "taken", "how"), [(1_024, 900, "before"), (1_024, 990, "before"), (256, 0, "meanwhile")]
)
def test_all_files_are_uploaded_though_others_have_taken_the_descriptors(
    fault_server: StartFaultServer, tmp_path: Path, limit: int, taken: int, how: str
) -> None:
    server = fault_server(record=False, keep_bodies=False)
    for directory in range(DIRECTORIES):
        (tmp_path / str(directory)).mkdir()
        for number in range(FILES):
            (tmp_path / str(directory) / str(number)).write_bytes(b"")
    done = subprocess.run(
        [sys.executable, str(PROBE), server.url, str(tmp_path), str(limit), str(taken), how],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (str(DIRECTORIES * FILES), "")
