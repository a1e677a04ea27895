"""Uploads, waits, and tries once more what has failed.

    python examples/failed_once_more.py SRC... s3://BUCKET/PREFIX

A run has tried each object nine times already.  What is worth a second run is what a change may have helped:
a file that was being written, a right that was missing.  A report leads back to its source, whatever that is.
"""

import sys
import time
from urllib.parse import urlsplit

from s3_upload import upload

PAUSE_S = 1.0


def main() -> int:
    *sources, destination = sys.argv[1:]
    summary = upload(sources, destination)
    print(summary)
    again = [report.object for report in summary.failed if report.object is not None]
    if not again:
        return 0
    time.sleep(PAUSE_S)
    summary = upload(again, f"s3://{urlsplit(destination).netloc}")  # they have their whole keys
    for report in summary.failed:
        print(report, file=sys.stderr)
    print(f"once more: {summary}")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
