"""How an object is cut into parts: how many, and how large each. Pure.

S3 takes at most 10,000 parts of 5 MiB to 5 GiB each, together 48.8 TiB
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).

Theory of operation.

1. Small parts are the better ones: more of them are in flight in the same memory, and less is sent again
   after a failure.  An object whose size is known has parts of one size: the one that was asked for, or the
   next whole MiB with which the object fits.
2. A stream tells its size at its end.  The first half of its parts are of one size, so that most streams
   have parts like those of a file; then the size doubles with every 1/25 of the number of parts, up to the
   largest.  With 5 MiB at first that is 26 GB without growth, and 8.9 TiB in all.
3. Not every store is like S3.  Some take fewer parts, some want all of them alike (all but the last).
   `KNOWN` has those that say so in their documentation; how many a store takes shows, too, when it refuses
   one (`StoreParts.refused`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from s3_upload.config import GIB, MIB

MAX_PARTS = 10_000
MAX_PART_BYTES = 5 * GIB
FLAT_SHARE = 2
"""1 / FLAT_SHARE of a stream's parts are of one size."""
DOUBLINGS = 25
"""After them the size doubles with every 1 / DOUBLINGS of the number of parts."""


class PartRules(msgspec.Struct, frozen=True):
    """What a store takes: at most `max_count` parts; `alike`: all of one size, but for the last."""

    max_count: int = MAX_PARTS
    alike: bool = False


KNOWN: dict[str, PartRules] = {
    # https://www.scaleway.com/en/docs/object-storage/api-cli/multipart-uploads/
    ".scw.cloud": PartRules(max_count=1_000),
    # https://developers.cloudflare.com/r2/objects/multipart-objects/#limitations
    ".r2.cloudflarestorage.com": PartRules(alike=True),
}
"""By the end of the endpoint's host name."""


class StoreParts:
    """What is known of one store's `rules`: kept by a client, for all of its runs."""

    def __init__(self, endpoint_url: str | None = None) -> None:
        self.rules = known_rules(endpoint_url or "")

    def refused(self, number: int, taken: int) -> bool:
        """The store has refused the part `number` for its number, and has taken one with the number `taken`.

        Whether an object can do with fewer parts than `number`: `taken`, from now on.
        """
        if not 1 <= taken < number:
            return False
        if number <= self.rules.max_count:  # else another upload has found it out before
            self.rules = msgspec.structs.replace(self.rules, max_count=taken)
        return True


def known_rules(endpoint_url: str) -> PartRules:
    """The rules of the store at `endpoint_url`, as far as they can be known before it was asked."""
    host = urlsplit(endpoint_url).hostname or ""
    return next((rules for end, rules in KNOWN.items() if host.endswith(end)), PartRules())


class PartSizes(msgspec.Struct, frozen=True):
    """The sizes of an object's parts: `first`, and where it `grows` up to `largest` (see the theory)."""

    first: int
    max_count: int = MAX_PARTS
    largest: int = MAX_PART_BYTES
    grows: bool = False

    def size_of(self, number: int) -> int:
        """Of the part `number`, from 1; the last one of an object may be smaller."""
        if not self.grows or number <= self._flat:
            return self.first
        doublings = 1 + (number - 1 - self._flat) // self._step
        return max(self.first, min(self.first << min(doublings, self.max_count), self.largest))

    def offset_of(self, number: int) -> int:
        """Where the part `number` begins."""
        before = number - 1
        if not self.grows or before <= self._flat:
            return before * self.first
        offset, at = self._flat * self.first, self._flat + 1
        while at < number:
            alike = min(self._step, number - at)
            offset += alike * self.size_of(at)
            at += alike
        return offset

    @property
    def most_bytes(self) -> int:
        """What an object can have."""
        return self.offset_of(self.max_count + 1)

    @property
    def _flat(self) -> int:
        return self.max_count // FLAT_SHARE

    @property
    def _step(self) -> int:
        return max(1, self.max_count // DOUBLINGS)


def part_size_for(size: int, part_size: int, max_count: int = MAX_PARTS) -> int:
    """`part_size`, or the next whole MiB with which `size` bytes fit into `max_count` parts."""
    needed = -(-size // max_count)
    return part_size if needed <= part_size else -(-needed // MIB) * MIB


def sizes_for(size: int | None, part_size: int, rules: PartRules, largest: int = MAX_PART_BYTES) -> PartSizes:
    """For an object of `size` bytes (None: a stream), whose parts are to be of `part_size` if possible.

    `largest`: how far those of a stream may grow.  Where `first` exceeds `MAX_PART_BYTES` the object is too
    large for the store.
    """
    if size is None:
        return PartSizes(part_size, rules.max_count, largest, grows=not rules.alike)
    return PartSizes(part_size_for(size, part_size, rules.max_count), rules.max_count)
