"""For how long threads were on a processor, or waited for one; and how many processors there are."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from s3_upload import processor
from s3_upload.processor import all_busy_s, processors

BUSY_S, DEADLINE_S = 0.2, 60.0


def test_the_work_of_other_threads_counts_for_all() -> None:
    before_s, end_s = all_busy_s(), time.monotonic() + DEADLINE_S
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while all_busy_s() - before_s < BUSY_S:
            assert time.monotonic() < end_s, f"after {DEADLINE_S} s of work"
            time.sleep(0.01)
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("files", "most"),
    [
        (["50000 100000"], 1),
        (["150000 100000"], 2),
        (["max 100000"], 64),
        (["400000", "100000"], 4),
        (["-1", "100000"], 64),
        (["nonsense"], 64),
        ([], 64),
    ],
)
def test_a_container_has_no_more_processors_than_its_quota_is_worth(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: list[str], most: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    paths = [tmp_path / str(number) for number in range(len(files))]
    for path, text in zip(paths, files, strict=True):
        path.write_text(text + "\n")
    monkeypatch.setattr(processor, "_QUOTAS", ((tmp_path / "none",), tuple(map(str, paths)) or ("none",)))
    assert processors() == most
