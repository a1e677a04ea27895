"""The keys of one run whose objects are under way: never two of one key at a time.

A store keeps the object whose request came last, and of two that are under way at once that is chance.  So
the second source of a key fails, with the name of the first.  One that comes when the first is done and
reported overwrites it, as the last writer does in S3.  A run may be told to upload a key again, and to
remember all keys would cost memory for every file.
"""

from __future__ import annotations

from s3_upload.errors import FailureKind, SourceError
from s3_upload.sources.source import ObjectSource


class Keys:
    def __init__(self) -> None:
        self._taken: dict[str, ObjectSource] = {}

    def take(self, source: ObjectSource) -> None:
        """From now on `source` has its key. Raises `SourceError` where another one has it."""
        key = source.key
        if key in self._taken:
            first = self._taken[key].name
            raise SourceError(
                f"{source.name}: {first} has the same key and is still being uploaded", FailureKind.SAME_KEY
            )
        self._taken[key] = source

    def free(self, key: str) -> None:
        """What had `key` is uploaded, or has failed."""
        del self._taken[key]
