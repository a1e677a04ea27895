"""Uploads until somebody wants it no more: here until a time is up.

    python examples/cancel.py SECONDS SRC... s3://BUCKET/PREFIX

Anything may call `cancel`, from any thread.  Multipart uploads that were begun are aborted: nothing is left
in the bucket that costs money and shows nowhere.
"""

import sys
import threading

from s3_upload import start_upload


def main() -> int:
    seconds, (*sources, destination) = float(sys.argv[1]), sys.argv[2:]
    with start_upload(sources, destination) as running:
        timer = threading.Timer(seconds, running.cancel)
        timer.start()
        try:
            summary = running.wait()
        finally:
            timer.cancel()
    print(f"{'cancelled' if running.cancelled else 'done'}: {summary}")
    return 1 if running.cancelled or summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
