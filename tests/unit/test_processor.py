"""For how long threads were on a processor, or waited for one."""

from __future__ import annotations

import threading
import time

from s3_upload.processor import all_busy_s

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
