"""Whether a bucket has what is at the source: a mark for every key, as `rclone check` writes them.

Rules:

* Nothing is known of what lies at, and below, a source that was passed over (a link, a pipe) or that could
  not be looked at (a directory that cannot be listed): what the bucket has there is not told as its alone.
* Such a source comes before, or right where, the keys below it come, since both sides are in order.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal, NamedTuple

from s3_upload.bucket.compare import CANNOT_BE_READ, NEW, NOT_PROVEN, Decision
from s3_upload.bucket.comparison import Compared
from s3_upload.bucket.sync import Files, Sync
from s3_upload.s3.operations.list_objects_v2 import ListedObject
from s3_upload.sources.source import ObjectSource
from s3_upload.threads import DaemonThreads
from s3_upload.transfer.client import Client

Mark = Literal["=", "-", "+", "*", "!"]
SAME: Mark = "="
ONLY_THERE: Mark = "-"
ONLY_HERE: Mark = "+"
DIFFERENT: Mark = "*"
UNREADABLE: Mark = "!"


class Verified(NamedTuple):
    """What was found out about one key.

    `mark`: "=" the same; "*" different; "+" only at the source; "-" only in the bucket; "!" one of them
    cannot be read.  `source`: its path, or what reports call it; "" where there is none.  `reason`: in words,
    "" where there is nothing to say; of "=", why only size and time could be compared.
    """

    mark: Mark
    key: str
    source: str = ""
    reason: str = ""


class Unseen:
    """Sources of which nothing could be compared, and what lies below them."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._passed_over = 0
        self._first = ""

    def add(self, sources: Iterable[ObjectSource]) -> None:
        for source in sources:
            self._keys.add(source.key.removesuffix("/"))
            if source.skip_reason:
                self._passed_over += 1
                self._first = self._first or f"{source.name}: {source.skip_reason}"

    def hides(self, key: str) -> bool:
        """Whether the key is one of theirs, or lies below."""
        if not self._keys:
            return False
        steps = (at for at, char in enumerate(key) if char == "/")
        return key in self._keys or "" in self._keys or any(key[:at] in self._keys for at in steps)

    def notes(self) -> list[str]:
        """What is to be known of those that have no mark."""
        if not self._passed_over:
            return []
        count = self._passed_over
        whose = "source was passed over, and nothing is told of its keys: "
        if count > 1:
            whose = "sources were passed over, and nothing is told of their keys; the first: "
        return [f"{count:,} {whose}{self._first}"]


async def verified(
    sync: Sync,
    client: Client,
    files: Files,
    would_take: Callable[[str], bool] | None = None,
    unseen: Unseen | None = None,
) -> AsyncGenerator[Verified, None]:
    """All of it, as it is found out: in the order of the keys, but for what takes longer to find out.

    `would_take`: says of a key that only the bucket has whether it had been selected; may block.
    `unseen`: learns of sources without a mark.
    """
    unseen = unseen or Unseen()
    found, threads = sync.compared(client, files), DaemonThreads(1, "s3-upload-select")
    try:
        async for compared in found:
            unseen.add(compared.aside)
            seen = [one for one in compared.only_there if not unseen.hides(one.key)]
            if would_take is not None and seen:
                seen = await threads.call(partial(_selected, seen, would_take))
            for one in _marks(compared._replace(only_there=seen), downloads=sync.downloads):
                yield one
    finally:
        await found.aclose()
        threads.close()


def _selected(objects: Sequence[ListedObject], takes: Callable[[str], bool]) -> list[ListedObject]:
    return [found for found in objects if takes(found.key)]


def _marks(compared: Compared, *, downloads: bool) -> Iterator[Verified]:
    for source in compared.aside:
        if not source.skip_reason:
            yield Verified(UNREADABLE, source.key, source.name, str(source.problem or "cannot be read"))
    for decision in compared.decisions:
        yield _mark(decision, downloads=downloads)
    for found in compared.only_there:
        yield Verified(ONLY_THERE, found.key, "", "only in the bucket")


def _mark(decision: Decision, *, downloads: bool) -> Verified:
    local, reason = decision.local, decision.reason
    key, name = local.key, local.source.name
    if reason == CANNOT_BE_READ:
        return Verified(UNREADABLE, key, name, decision.because)
    if downloads and decision.because:
        return Verified(UNREADABLE, key, name, f"{name}: {decision.because}")
    if not reason:
        return Verified(SAME, key, name, decision.because)
    return Verified(ONLY_HERE if reason == NEW else DIFFERENT, key, name, _words(decision))


def _words(decision: Decision) -> str:
    if decision.reason == NOT_PROVEN:
        return f"{NOT_PROVEN}: {decision.because}"
    return "only at the source" if decision.reason == NEW else decision.reason
