"""The command where stdin, stdout or stderr is closed, as a daemon's are."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.e2e.test_cli import (
    COMMAND,
    TIMEOUT_S,
    account,  # noqa: F401 - fixtures
    env,  # noqa: F401
    src,  # noqa: F401
    store,  # noqa: F401
)

pytestmark = pytest.mark.usefixtures("src")


def with_closed(
    account: dict[str, str],  # noqa: F811
    closed: tuple[int, ...],
    *words: str,
) -> subprocess.CompletedProcess[bytes]:
    def close() -> None:
        for number in closed:
            os.close(number)

    return subprocess.run(
        [COMMAND, *words],
        env=account,
        capture_output=True,
        preexec_fn=close,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("words", [(), ("--json",), ("--progress", "bar", "-v")], ids=" ".join)
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)], ids=str)
def test_the_upload_is_made_and_what_cannot_be_said_is_not(
    account: dict[str, str],  # noqa: F811
    closed: tuple[int, ...],
    words: tuple[str, ...],
) -> None:
    """uvloop would abort the process."""
    result = with_closed(account, closed, "src", "s3://bucket/closed", *words)
    assert result.returncode == 0
    assert bool(result.stdout) == (1 not in closed)
    assert not result.stderr or 2 not in closed


def test_a_closed_stdout_is_no_terminal_for_rows(account: dict[str, str]) -> None:  # noqa: F811
    result = with_closed(account, (1,), "perf-data", "src", "bucket", "rows")
    assert result.returncode == 0
    assert b"error" not in result.stderr
