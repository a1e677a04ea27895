"""Where a redirect leads: to the same store under another name, or elsewhere. Pure.

A request is signed for its host and carries what the user uploads, so it follows a redirect only where all
of this holds:

1. The scheme is the same.  From http to https the user may go himself; from https to http nobody goes.
2. The place is that of the same bucket and key, with no user and password in it.  It names the bucket: at
   the end of the path before the key, or in front of the host, where the bucket is there already or what
   follows is a host like the one in use (minio.eu.example.com names no bucket "minio").
3. The host is the same, at whatever port; or lies below it; or it serves the same (the first label is the
   same, or both are S3's: "s3", "s3-…") at the same end: its last two labels or, where the last but one is
   no name of anybody's ("co.uk"), three.  The bucket's name before either does not count.  So
   s3.example.com may send to s3.eu.example.com and to bucket.s3.eu.example.com, not to login.example.com.
   Who asked for FIPS endpoints stays with those.  Of an IP address only the address itself is the same.

Certificates are verified for the new name like for any other.
"""

from __future__ import annotations

from urllib.parse import SplitResult, unquote

from s3_upload.errors import ConfigError
from s3_upload.s3.endpoint import Endpoint, check_endpoint_url, endpoint_at
from s3_upload.s3.sigv4 import encode_path
from s3_upload.urls import is_ip

MAX_SUFFIX_CHARS = 3
"""Of the last but one label, before one of two letters, that belongs to a country: co.uk, com.au."""


def redirected(used: Endpoint, location: str, *, bucket: str, key: str) -> Endpoint | None:
    """Where the bucket's requests go that went to `used`, by `location`; None if that is not followed.

    A `location` that is "//" and a host has no scheme and path of its own: an <Endpoint> in an answer.
    """
    if location.startswith("//"):
        base = "" if _is_in_host(used, location[2:], bucket) else f"/{bucket}"
        location = f"{used.scheme}:{location}{base}/{encode_path(key)}"
    place = _parsed(location)
    if place is None:
        return None
    host, base_path = place.hostname or "", _base_path(place.path, key)
    in_host = _is_in_host(used, host, bucket)
    if place.scheme != used.scheme or base_path is None or not _is_same_store(used, host, bucket, in_host):
        return None
    if not base_path.endswith(f"/{bucket}") and not (in_host and base_path in ("", used.base_path)):
        return None
    found = endpoint_at(place, host, base_path, used.region, used.service, session=used.session)
    return None if found == used else found


def is_upgrade(used: Endpoint, location: str) -> bool:
    """Whether `location` is the same place over https."""
    place = _parsed(location)
    return place is not None and (used.scheme, place.scheme, place.hostname) == ("http", "https", used.host)


def _parsed(location: str) -> SplitResult | None:
    try:
        return check_endpoint_url(location.partition("#")[0].partition("?")[0])
    except ConfigError:
        return None


def _base_path(path: str, key: str) -> str | None:
    """What precedes the key, None if `path` does not end with it."""
    segments = path.split("/")
    of_key = key.count("/") + 1
    base, last = segments[:-of_key], segments[-of_key:]
    return "/".join(base) if base and unquote("/".join(last)) == key else None


def _is_in_host(used: Endpoint, host: str, bucket: str) -> bool:
    """Whether the bucket, or its access point, stands in front of `host`."""
    name, front = used.host, f"{bucket}."
    if not used.base_path.endswith(f"/{bucket}"):  # it stands in front of the host in use
        return host.startswith(front if name.startswith(front) else f"{_first(name)}.")
    rest = host.removeprefix(front)
    return rest != host and _service(_first(rest)) in ("s3", _service(_first(name)))


def _is_same_store(used: Endpoint, host: str, bucket: str, in_host: bool) -> bool:
    ours, theirs = used.host.lower().rstrip("."), host.lower().rstrip(".")
    if not used.base_path.endswith(f"/{bucket}"):
        ours = ours.removeprefix(f"{bucket}.")
    if in_host:
        theirs = theirs.removeprefix(f"{bucket}.")
    if ours == theirs:
        return True
    if is_ip(ours) or is_ip(theirs) or ("fips" in ours) != ("fips" in theirs):
        return False
    if "." in ours and theirs.endswith(f".{ours}"):
        return True
    a, b = ours.split("."), theirs.split(".")
    end = 3 if len(a[-1]) == 2 and len(a[-2:][0]) <= MAX_SUFFIX_CHARS else 2
    return min(len(a), len(b)) > end and a[-end:] == b[-end:] and _service(a[0]) == _service(b[0])


def _service(label: str) -> str:
    return "s3" if label.startswith("s3-") else label


def _first(host: str) -> str:
    return host.partition(".")[0]
