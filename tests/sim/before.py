"""What is in the bucket before a world begins: other bytes under some of its keys, or the very same ones."""

from __future__ import annotations

import base64
import hashlib

from tests.faults.model import DIGESTS, StoredObject
from tests.sim.disk import PATTERN
from tests.sim.server import EPOCH_UTC_S
from tests.sim.world import World

CRC32 = "x-amz-checksum-crc32"


def objects_before(world: World) -> dict[str, StoredObject]:
    """By their keys: of the size that will be sent or of another, with the checksum that we ask about or
    without one, and written seconds or months ago."""
    rng = world.rng("before")
    found = {}
    for spec in world.objects:
        if rng.random() >= world.overwrites:
            continue
        size = spec.size if rng.random() < 0.6 else rng.randint(0, 2 * spec.size + 10)
        # The same bytes are told apart by their age alone.
        start = spec.start + rng.choice((0, 2, 2))
        body = bytes(PATTERN[start : start + size])
        found[spec.key] = StoredObject(
            body,
            len(body),
            hashlib.md5(body, usedforsecurity=False).hexdigest(),
            checksums={CRC32: base64.b64encode(DIGESTS[CRC32](body)).decode()} if rng.random() < 0.5 else {},
            modified_s=EPOCH_UTC_S - 10 ** rng.uniform(1, 7),
        )
    return found
