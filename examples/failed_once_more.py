"""Uploads, waits, and tries once more what has failed.

    python examples/failed_once_more.py SRC... s3://BUCKET/PREFIX

A run has tried up to nine times what may pass, once what the store rejects, and not at all what it cannot
read.  What is worth a second run is what a change may have helped: a file that was being written, a right
that was missing.  A report leads back to its source, whatever that is.  That of a directory that could not
be listed says what was wrong, and fails again: for what lies in it, give the whole command once more.
"""

import sys
import time

from s3_upload import upload

PAUSE_S = 1.0


def bucket_of(destination: str) -> str:
    """Of s3://BUCKET/PREFIX; the ARN of an access point has a slash before its name."""
    bucket, *rest = destination.partition("://")[2].split("/")
    return f"{bucket}/{rest[0]}" if bucket.endswith(":accesspoint") else bucket


def main() -> int:
    *sources, destination = sys.argv[1:]
    summary = upload(sources, destination)
    print(summary)
    again = [report.object for report in summary.failed if report.object is not None]
    if not again:
        return 1 if summary.failed else 0
    time.sleep(PAUSE_S)
    summary = upload(again, f"s3://{bucket_of(destination)}")  # they have their whole keys
    for report in summary.failed:
        print(report, file=sys.stderr)
    print(f"once more: {summary}")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
