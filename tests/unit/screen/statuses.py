"""How made-up runs stand."""

from __future__ import annotations

from typing import Any

from s3_upload.observe.status import Status, Total


def status(**more: Any) -> Status:
    """Of a run in which nothing has happened, but for `more`."""
    values: dict[str, Any] = {
        "elapsed_s": 10.0,
        "files": 0,
        "bytes": 0,
        "failed": 0,
        "skipped": 0,
        "retried": 0,
        "done": more.get("files", 0),
        "rate_bytes_per_s": 0.0,
        "rate_files_per_s": 0.0,
    }
    total = more.get("total")
    if isinstance(total, Total):
        values["whole_bytes"] = total.bytes
    return Status(**(values | more))
