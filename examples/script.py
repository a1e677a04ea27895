"""Uploads files and directories: the shortest script.

python examples/script.py SRC... s3://BUCKET/PREFIX
"""

import sys

from s3_upload import S3UploadError, upload


def main() -> int:
    *sources, destination = sys.argv[1:]
    try:
        summary = upload(sources, destination, progress=True)
    except S3UploadError as error:
        print(f"script.py: {error}", file=sys.stderr)
        return 2
    print(summary)
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
