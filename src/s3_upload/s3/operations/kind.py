"""`OperationKind`: what there is to know about one of S3's operations. Pure.

Each operation has a module beside this one, and each module has a `KIND`.  Whoever encodes a request, judges
an answer or calls an SDK reads it there; nobody else tells operations apart by their names.  What a kind
leaves out is the usual case, so a module says only what is special about its operation.

A kind is data, and functions where data is not enough.  The hot path (one PutObject) looks its kind up once,
by name in a dict; sets of names (`CARRIES_DATA` and the like) are made of the kinds when they are imported.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from s3_upload.errors import FailureKind
from s3_upload.http import Response
from s3_upload.s3.operations.operation import Operation
from s3_upload.s3.xml import Xml

FieldGroup = Literal["object", "condition", "customer key", "request"]
"""What a request field is about: the object to be (its type, its metadata), whether there may be one already,
the key of SSE-C, or the request itself (who pays, whose bucket it is)."""


class Twice(enum.Enum):
    """What may come of sending an operation a second time."""

    DIFFERS = enum.auto()
    """Two of it do something else than one: it is a POST (RFC 9110 §9.2.2, "idempotent")."""
    SAME = enum.auto()
    """The same as of one: it may be sent again."""
    HEDGED = enum.auto()
    """The same even while the first is under way: a late one may be sent on a second connection, too."""


class Proof(msgspec.Struct, frozen=True):
    """What an answer has to carry beyond a status of success. `what` names it ("an ETag"); `find` gives it,
    or "" where it is missing."""

    what: str
    find: Callable[[Response, Xml], str]


class SdkCall(msgspec.Struct, frozen=True):
    """How boto3 and aiobotocore do it.

    `arguments`: those beyond Bucket, Key, Body and what the fields say.  `answer`: the part of the SDK's
    answer that is read back here, as the XML it came from; None where only status and headers are.
    """

    method: str
    arguments: Callable[[Operation], dict[str, Any]] = lambda operation: {}
    answer: Callable[[Mapping[str, Any]], bytes] | None = None


class OperationKind(msgspec.Struct, frozen=True, kw_only=True):
    """One of S3's operations.

    The request: `name` and `method`; `names_key`: its path names an object, else the bucket alone; `query`
    builds what follows the "?"; `headers` are those of its own, which are signed if SigV4 says so, and
    `headers_of` those that each request has besides; `fields`:
    which of the request fields it takes; `carries_data`: its body is an object's bytes (so there are many of
    it that differ in little, its answer has no body, and an SDK takes `Body`).

    The answer: `bodiless`: it has no body, whatever its headers say; `proof`: what makes a 2xx a success,
    None where the status is enough; `refusals`: what a 400 means whose code is unknown, by a pattern of its
    code and message.

    What may be done with it: `asks`: it sends nothing of an object but finds something out, or tidies up;
    `twice`; `sdk`.
    """

    name: str
    method: str
    names_key: bool = True
    query: Callable[[Operation], str] | None = None
    headers: Mapping[str, str] = {}
    headers_of: Callable[[Operation], Mapping[str, str]] | None = None
    fields: frozenset[FieldGroup] = frozenset()
    carries_data: bool = False
    bodiless: bool = False
    proof: Proof | None = None
    refusals: tuple[tuple[str, FailureKind], ...] = ()
    asks: bool = False
    twice: Twice = Twice.SAME
    sdk: SdkCall
