"""The longer examples as their readers run them: processes against a real store."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.store import Store

ROOT = Path(__file__).parents[2]
EXAMPLES = ("simple.py", "live_progress.py", "perf_data.py")
TIMEOUT_S = 60  # bounds a hang
COLUMNS = "attempts bytes success_ms total_ms MBps MBps est"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a" * 30_000)
    (tmp_path / "photos" / "2024" / "ä b.jpg").write_bytes(b"b" * 70_000)
    (tmp_path / "photos" / "empty").write_bytes(b"")
    return tmp_path / "photos"


@pytest.fixture
def expected(src: Path) -> dict[str, bytes]:
    """Objects by key, below the prefix `lala`."""
    files = (path for path in src.rglob("*") if path.is_file())
    return {f"lala/{path.relative_to(src).as_posix()}": path.read_bytes() for path in files}


def python(store: Store, *words: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs Python with the environment of one who has an account with `store`."""
    account = {
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_ENDPOINT_URL_S3": store.endpoint_url,
    }
    return subprocess.run(
        [sys.executable, "-W", "error", *words],
        env=os.environ | account,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_simple(store: Store, bucket: str, src: Path, expected: dict[str, bytes]) -> None:
    done = python(store, "examples/simple.py", src, bucket, "lala")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"3 files, 100000 bytes, \d+\.\d\d MB/s\n", done.stdout)
    assert store.objects(bucket) == expected


def test_live_progress(store: Store, bucket: str, src: Path, expected: dict[str, bytes]) -> None:
    done = python(store, "examples/live_progress.py", src, bucket, "lala")
    assert (done.returncode, done.stderr) == (0, "")
    *lines, blank, last = done.stdout.splitlines()
    assert (blank, last) == ("", "3 files uploaded, 0 failed")
    percents = [float(line.split()[0]) for line in lines]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert sorted(line.split("files  ")[1] for line in lines) == sorted(expected)
    assert store.objects(bucket) == expected


def test_live_progress_of_files_that_are_all_empty(store: Store, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "nothing").touch()
    done = python(store, "examples/live_progress.py", tmp_path, bucket)
    assert done.returncode == 0
    assert done.stdout.startswith("100.0 %")


def test_perf_data(store: Store, bucket: str, src: Path, expected: dict[str, bytes]) -> None:
    done = python(store, "examples/perf_data.py", "-n", "2", src, bucket, "lala")
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = done.stdout.splitlines()
    assert " ".join(head.split()) == COLUMNS
    assert len(head) == len(rows[0])
    assert sorted(int(row.split()[1]) for row in rows) == [0, 0, 30_000, 30_000, 70_000, 70_000]
    assert all(int(row.split()[0]) >= 1 and float(row.split()[2]) > 0 for row in rows)
    assert store.objects(bucket) == expected


def test_the_endpoint_may_be_a_flag(store: Store, bucket: str, src: Path, expected: dict[str, bytes]) -> None:
    elsewhere = "import os, runpy, sys; del os.environ['AWS_ENDPOINT_URL_S3']; sys.argv[:1] = []; "
    run = elsewhere + "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = python(
        store, "-c", run, "examples/simple.py", src, bucket, "lala", "--endpoint-url", store.endpoint_url
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert store.objects(bucket) == expected


@pytest.mark.parametrize("example", EXAMPLES)
def test_bad_input_is_one_line(store: Store, bucket: str, tmp_path: Path, example: str) -> None:
    done = python(store, f"examples/{example}", tmp_path / "missing", bucket, "lala")
    assert done.returncode == 2
    assert done.stderr == f"{example}: {tmp_path / 'missing'}: no such directory\n"


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_file_that_fails_is_told(store: Store, bucket: str, src: Path, example: str) -> None:
    (src / "dangling").symlink_to("nowhere")
    done = python(store, f"examples/{example}", src, bucket, "lala")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "dangling: the link leads to nothing" in done.stderr
    assert len(store.objects(bucket)) == 3
