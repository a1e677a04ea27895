"""For how long threads were on a processor, or waited for one."""

from __future__ import annotations

import threading
import time

from s3_upload.processor import all_busy_s


def test_the_work_of_other_threads_counts_for_all() -> None:
    """It is waited for, however long that takes."""
    before_s = all_busy_s()
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while all_busy_s() - before_s < 0.2:
            time.sleep(0.01)
    finally:
        done.set()
        thread.join()
