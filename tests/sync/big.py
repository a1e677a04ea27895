"""A bucket of any size that is not there: its listing is made up, page by page, as it is asked for."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Any

from s3_upload.http import Response
from s3_upload.parts import StoreParts
from s3_upload.s3.checksum import Digests
from tests.faults.listing import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_upload.s3.operations import Operation

WHEN = "2030-01-01T00:00:00.000Z"
EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


class BigBucket:
    """Objects of no bytes with these `keys`, which are sorted. A `Client`, as far as listings need one.

    `answer_s`: how long each answer takes.
    """

    endpoint = "nowhere"

    def __init__(self, keys: Sequence[str], answer_s: float = 0.0) -> None:
        self._keys = keys
        self._answer_s = answer_s
        self.parts = StoreParts()
        self.digests = Digests()
        self.asked: Counter[str] = Counter()

    def page(self, prefix: str, after: str, delimiter: str, most: int = 1_000) -> bytes:
        keys = self._keys
        entries: list[str] = []
        prefixes: list[str] = []
        at = bisect_right(keys, after) if after >= prefix else bisect_right(keys, prefix)
        if after < prefix and at and keys[at - 1] == prefix:
            at -= 1
        last = after
        while at < len(keys) and keys[at].startswith(prefix) and len(entries) + len(prefixes) < most:
            key = keys[at]
            name, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if found:
                last = f"{prefix}{name}{delimiter}\U0010ffff"
                prefixes.append(prefix + name + delimiter)
                at = bisect_right(keys, last)
            else:
                last = key
                entries.append(
                    f"<Contents><Key>{key}</Key><LastModified>{WHEN}</LastModified><ETag>&quot;{EMPTY_MD5}"
                    "&quot;</ETag><Size>0</Size><StorageClass>STANDARD</StorageClass></Contents>"
                )
                at += 1
        more = at < len(keys) and keys[at].startswith(prefix)
        return page(entries, prefixes, last if more else "")

    async def send(self, operation: Operation, trace: Any) -> Response:
        """See `transfer.client.Client`."""
        self.asked[operation.name] += 1
        asked = operation.page
        assert asked is not None
        await asyncio.sleep(self._answer_s)
        after = asked.token or asked.after
        return Response(200, {}, self.page(asked.prefix, after, asked.delimiter, asked.max_keys))

    async def correct(self, operation: Operation, failure: object, trace: object) -> bool:
        """See `transfer.client.Client`."""
        return False

    def remark(self, failure: object, trace: object) -> str:
        """See `transfer.client.Client`."""
        return ""


def keys_like(directories: int, files: int) -> list[str]:
    """So many keys in each of so many directories."""
    return [f"d{number:05}/image-{file:05}.jpg" for number in range(directories) for file in range(files)]
