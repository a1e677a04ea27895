"""What `.ci/run` and `make check` do side by side, and what becomes of it; the programs only pretend."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60
MISSING = sys.platform == "win32" or not (shutil.which("bash") and shutil.which("make"))
pytestmark = pytest.mark.skipif(MISSING, reason="needs bash and make")

MAKE = """
case "$1" in
    check) for _ in $(seq 1000); do [ -e begun ] && break; sleep 0.01; done ;;
    test) touch tested ;;
    test-stores) [ -e over ] || { echo "$1 is not alone"; exit 1; } ;;
esac
echo "$1"
[ "$1" != "$FAILS" ]
"""
"""The stores are tested alone."""
BUILDS = {
    "well": "touch begun; until [ -e tested ]; do sleep 0.01; done; touch over",
    "in vain": "touch begun; until [ -e tested ]; do sleep 0.01; done; touch over; exit 1",
    "for ever": "trap 'touch over; exit 1' TERM; touch begun; while :; do sleep 0.01; done",
}


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def ci(folder: Path, builds: str, fails: str = "") -> tuple[int, list[str]]:
    """Its code and what it says, where the builds end so and that target fails."""
    program(folder / "bin" / "make", MAKE)
    program(folder / ".venv" / "bin" / "python", BUILDS[builds])
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci")
    done = subprocess.run(
        [folder / ".ci" / "run"],
        env={"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "FAILS": fails},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("builds", ["well", "in vain"])
def test_builds_beside_the_tests_fail_nothing_and_are_over_before_the_stores_are_tested(
    tmp_path: Path, builds: str
) -> None:
    code, (_, *targets, closing_line) = ci(tmp_path, builds)
    assert targets == ["check", "test-page", "test-settings", "test", "test-stores"]
    assert closing_line == "test", "what the tests ended with"
    assert code == 0


@pytest.mark.parametrize("target", ["check", "test"])
def test_a_target_that_fails_ends_all_and_the_builds(tmp_path: Path, target: str) -> None:
    code, (_, *targets) = ci(tmp_path, "for ever", fails=target)
    assert code
    assert targets[-1] == target
    assert (tmp_path / "over").exists()


@pytest.mark.parametrize(("mypy", "basedpyright"), [(0, 0), (1, 0), (0, 1), (2, 1)])
def test_both_checks_of_types_are_shown_and_either_may_fail(
    tmp_path: Path, mypy: int, basedpyright: int
) -> None:
    for name, code in {"python": 0, "ruff": 0, "mypy": mypy, "basedpyright": basedpyright}.items():
        program(tmp_path / "bin" / name, f"echo {name} said {code}; exit {code}")
    (tmp_path / "for-check").touch()
    done = subprocess.run(
        ["make", "check", f"VENV={tmp_path}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},  # and nothing of a make that runs this
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    said = done.stdout.splitlines()
    assert said.count(f"mypy said {mypy}") == said.count(f"basedpyright said {basedpyright}") == 1
    assert (done.returncode != 0) == bool(mypy or basedpyright)
