"""The suite's rows, files, processes and what is checked of the outputs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bench import contenders as lineup
from bench import sinks
from bench.floor import requests_per_s
from bench.gostore import Stored
from bench.measure import Workload, last_record, run_apart, run_process
from bench.rows import MIX_RANGE, ROWS, chosen, is_complete, mix
from bench.sinks import wrong
from bench.suite import rounds_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# --- rows -----------------------------------------------------------------------------------------


def test_a_usual_run_has_all_rows_but_the_huge_one() -> None:
    usual = [row.name for row in chosen("", quick=False, huge=False)]
    assert is_complete(usual)
    assert not is_complete(usual[1:])
    assert [row.name for row in ROWS if row.name not in usual] == ["huge"]
    assert "huge" in [row.name for row in chosen("", quick=False, huge=True)]


def test_rows_are_chosen_by_pattern() -> None:
    assert [row.name for row in chosen("one,small*", quick=False, huge=False)] == [
        "small",
        "small-tls",
        "one",
    ]
    assert chosen("none", quick=False, huge=False) == []


def test_a_quick_row_has_fewer_files_and_says_so() -> None:
    (row,) = chosen("small", quick=True, huge=False)
    assert row.title == f"{row.count:,} files of 4 KiB"
    assert row.count < chosen("small", quick=False, huge=False)[0].count


def test_the_mix_is_the_same_at_every_call_and_fits_a_ram_disk() -> None:
    sizes = mix(4_000)
    assert sizes == mix(4_000)
    assert sizes[:400] == mix(400)
    assert min(sizes) == MIX_RANGE[0]
    assert max(sizes) == MIX_RANGE[1]
    assert 1e9 < sum(sizes) < 4e9


@pytest.mark.parametrize(("wall_s", "rounds"), [(1.0, 5), (24.0, 5), (40.0, 3), (300.0, 2)])
def test_who_needs_long_takes_part_in_fewer_rounds(wall_s: float, rounds: int) -> None:
    assert rounds_for(5, wall_s) == rounds
    assert rounds_for(1, wall_s) == 1


# --- files and outputs ----------------------------------------------------------------------------


def files(folder: Path) -> Workload:
    return Workload("files", 2, 0, folder / "files", (3, 5)).create()


def stored(workload: Workload) -> dict[str, Stored]:
    bodies = {key: (workload.directory / key).read_bytes() for key in workload.keys}
    return {key: Stored(len(body), hashlib.md5(body).hexdigest(), 0) for key, body in bodies.items()}


def test_files_have_the_sizes_of_the_mix(tmp_path: Path) -> None:
    workload = files(tmp_path)
    assert workload.total_bytes == 8
    sizes = [(workload.directory / key).stat().st_size for key in sorted(workload.keys)]
    assert sizes == [3, 5]


def test_what_a_store_holds_is_compared_by_key_size_and_content(tmp_path: Path) -> None:
    workload = files(tmp_path)
    right = stored(workload)
    first, second = sorted(right)
    assert wrong(workload, right, contents=True) == ""
    others = {**right, second: right[second]._replace(etag="0" * 32)}
    assert wrong(workload, others, contents=False) == ""
    assert wrong(workload, others, contents=True) == f"1 object(s) with wrong bytes, the first is {second}"
    short = {**right, first: right[first]._replace(size=2)}
    assert wrong(workload, short, contents=False) == f"1 object(s) of wrong size, the first is {first}"
    assert wrong(workload, {**right, "x": right[first]}, contents=False) == (
        "1 object(s) not asked for, the first is x"
    )
    assert wrong(workload, {second: right[second]}, contents=False) == (
        f"1 object(s) missing, the first is {first}"
    )


# --- processes ------------------------------------------------------------------------------------


def test_a_run_tells_its_end_and_the_peak_of_its_own_memory(tmp_path: Path) -> None:
    held = b"x" * (64 << 20)  # this process is large, and what it starts is not
    code = "import sys; sys.stderr.write('no store'); sys.exit(3)"
    ended = run_apart([sys.executable, "-I", "-S", "-c", code], os.environ, 60.0, tmp_path)
    assert (ended.returncode, ended.complaint, ended.late) == (3, "no store", False)
    assert 0 < ended.run.peak_bytes < len(held)


def test_a_run_has_a_folder_for_its_state_whatever_the_user_has_set(tmp_path: Path) -> None:
    code = "import os, sys; sys.stderr.write(os.environ['XDG_STATE_HOME'])"
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    ended = run_process([sys.executable, "-I", "-S", "-c", code], env)
    assert ended.complaint not in {"", str(tmp_path)}


def test_what_minio_keeps_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def minio(folder: Path) -> Iterator[SimpleNamespace]:
        (folder / "kept").write_bytes(b"x")
        folder.with_name("certificates").mkdir()
        client = SimpleNamespace(create_bucket=lambda Bucket: None)
        yield SimpleNamespace(client=client, endpoint_url="", access_key="", secret_key="")

    monkeypatch.setattr("tests.stores.servers.minio", minio)
    with sinks.target(sinks.MINIO, tmp_path, tls=False, delay_ms=0, md5=False):
        assert [path.name for path in tmp_path.rglob("kept")] == ["kept"]
    assert list(tmp_path.iterdir()) == []


def test_a_last_line_that_was_cut_off_is_no_record() -> None:
    assert last_record('{"type": "upload"}\n{"type": "summary", "sources": 3}\n')["sources"] == 3
    assert last_record('{"type": "upload"}\n{"type": "summ') == {}
    assert last_record("") == last_record("[1]") == {}


def test_a_peer_that_is_not_installed_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineup, "PEERS", tmp_path)
    ours, *peers = lineup.contenders()
    assert ours.ours
    assert len(peers) == 6
    for peer in peers:
        assert peer.missing.endswith("is not in .venv/peers: `make .venv/for-peers` puts it there")


def test_nothing_of_the_users_settings_reaches_a_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "S3_ENDPOINT_URL", "RCLONE_TRANSFERS", "PYTHONPATH"):
        monkeypatch.setenv(name, "theirs")
    assert "theirs" not in lineup.environment(None).values()


# --- the floor ------------------------------------------------------------------------------------


def test_the_floor_is_what_wrk_reports() -> None:
    assert requests_per_s("  100 requests in 2.00s\nRequests/sec:  24310.52\nTransfer/sec: 3MB\n") == 24310.52


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Requests/sec: 100.0\n  Non-2xx or 3xx responses: 7\n", "wrk: Non-2xx or 3xx responses: 7"),
        ("unable to connect\n", "wrk: unable to connect"),
        ("", "wrk: it said nothing"),
    ],
)
def test_a_floor_that_failed_is_none(said: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        requests_per_s(said)
