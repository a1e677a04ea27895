"""Whether a request that came is signed as botocore would have signed it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore.auth
import botocore.credentials
from botocore.awsrequest import AWSRequest

if TYPE_CHECKING:
    from tests.faults.actions import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<names>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)


class Scope(NamedTuple):
    """What a signature names: whose key, and for what it is good."""

    key: str
    region: str
    service: str


def scope_of(request: Request) -> Scope:
    return Scope(*_parts(request).group("key", "region", "service"))


def is_signed_with(request: Request, secret: str) -> bool:
    """Whether the signature is what botocore makes of the same request with that secret key."""
    parts = _parts(request)
    signed = parts["names"].split(";")
    again = AWSRequest(
        request.method, f"https://{request.headers['host']}{request.target}", data=request.body
    )
    for name in signed:
        again.headers[name] = request.headers[name]
    again.context["timestamp"] = request.headers["x-amz-date"]
    key = botocore.credentials.Credentials(parts["key"], secret)
    auth: Any = botocore.auth.S3SigV4Auth(key, parts["service"], parts["region"])
    text = auth.string_to_sign(again, auth.canonical_request(again))
    return bool(auth.signature(text, again) == parts["signature"])


def _parts(request: Request) -> re.Match[str]:
    found = _AUTHORIZATION.fullmatch(request.headers["authorization"])
    assert found is not None
    return found
