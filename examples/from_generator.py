"""Uploads bytes as they are made: no file, no size known, no more memory than `max_in_flight_bytes`.

python examples/from_generator.py BUCKET KEY
"""

import gzip
import io
import sys
from collections.abc import Iterator

from s3_upload import ObjectSource, RequestFields, upload


def numbers(count: int) -> Iterator[bytes]:
    """Lines, compressed as they come."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as packed:
        for number in range(count):
            packed.write(b"%d\n" % number)
            if buffer.tell() > 1_000_000:
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue()


def main() -> int:
    bucket, key = sys.argv[1:]
    fields = RequestFields(content_type="text/plain", content_encoding="gzip")
    source = ObjectSource.stream(numbers(1_000_000), key, fields=fields)
    summary = upload(source, f"s3://{bucket}")
    print(summary)
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
