"""ListObjectsV2 as the fault server's model of S3 answers it; and pages by hand, for tests of odd ones."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from tests.faults.actions import Request
    from tests.faults.model import StoredObject


def page_of(
    objects: Mapping[str, StoredObject], request: Request, most: int, *, raw_tokens: bool = False
) -> bytes:
    """The page that `request` asks for; at most `most` keys and common prefixes are on one. `raw_tokens`: a
    page begins behind the key that its token is, as by Ceph."""
    query = request.query
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token = query.get("continuation-token", "")
    after = (token if raw_tokens else bytes.fromhex(token).decode()) or query.get("start-after", "")
    keys = sorted((key for key in objects if key.startswith(prefix) and key > after), key=str.encode)
    named = ((_common(key, prefix, delimiter), key) for key in keys)
    items = [
        (group, next(members)[1])
        for group, members in itertools.groupby(named, key=lambda one: one[0] or one[1])
        if not after.startswith(group) or not delimiter or not group.endswith(delimiter)
    ]
    limit = min(most, int(query.get("max-keys", "1000")))
    shown = items[:limit]
    entries = [entry(key, objects[key]) for group, key in shown if group == key]
    prefixes = [group for group, key in shown if group != key]
    # All that is behind a common prefix comes behind the token, too.
    token = f"{shown[-1][0]}\U0010ffff" if shown and shown[-1][0] != shown[-1][1] else ""
    token = token or (shown[-1][1] if shown else "")
    shown_token = _as_text(token) if raw_tokens else token.encode().hex()
    return page(entries, prefixes, shown_token if len(items) > limit else "")


def _as_text(key: str) -> str:
    """As Ceph writes it."""
    return "".join(
        f"&#x{ord(char):02x};" if char < " " or char == "\x7f" else html.escape(char) for char in key
    )


def _common(key: str, prefix: str, delimiter: str) -> str:
    rest = key[len(prefix) :]
    return prefix + rest.partition(delimiter)[0] + delimiter if delimiter and delimiter in rest else ""


def entry(key: str, stored: StoredObject) -> str:
    when = datetime.fromtimestamp(stored.modified_s, UTC).isoformat(timespec="milliseconds")
    name = next(iter(stored.checksums), "").rpartition("-")[2].upper()
    checksum = f"<ChecksumAlgorithm>{name}</ChecksumAlgorithm>" if name else ""
    return (
        f"<Contents><Key>{quote_plus(key, safe='/')}</Key><LastModified>{when}</LastModified>"
        f"<ETag>&quot;{stored.etag}&quot;</ETag>{checksum}<Size>{stored.size}</Size></Contents>"
    )


def page(
    entries: Iterable[str], prefixes: Iterable[str] = (), token: str = "", encoding: str = "url"
) -> bytes:
    """A page of these entries, and how it goes on."""
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    common = "".join(
        f"<CommonPrefixes><Prefix>{quote_plus(one, safe='/')}</Prefix></CommonPrefixes>" for one in prefixes
    )
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult><IsTruncated>{str(bool(token)).lower()}'
        f"</IsTruncated>{more}{''.join(entries)}{common}<EncodingType>{encoding}</EncodingType></ListBucketResult>"
    )
    return text.encode()
