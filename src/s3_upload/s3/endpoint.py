"""Where the requests for one bucket go: host, port, Host header and the path in front of the key.

Pure: no name is resolved here.  S3 has two ways of naming a bucket in a URL,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html:

* virtual-hosted-style, `https://bucket.s3.region.amazonaws.com/key`: what AWS wants;
* path-style, `https://s3.region.amazonaws.com/bucket/key`: what every other store understands, and
  the only way for a bucket whose name is not a DNS name, or has dots while TLS is used (AWS's wildcard
  certificate covers one label).

`auto` takes the first for AWS where it can, and the second for a custom endpoint, unless its URL has the
bucket in front of the host or is one of AWS's accelerate endpoints, which know no other.

Names that say themselves where their bucket is (ARNs of access points, directory buckets) are
`bucket_kinds.py`'s; AWS's endpoints of a region are `variant.py`'s.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from s3_upload.errors import ConfigError
from s3_upload.s3.bucket_kinds import ARN, S3, Place, is_label, place_of
from s3_upload.s3.bucket_url import without_bucket
from s3_upload.s3.variant import STANDARD, Variant
from s3_upload.urls import is_host, is_ip, shown

AddressingStyle = Literal["auto", "path", "virtual"]
ADDRESSING_STYLES: tuple[AddressingStyle, ...] = ("auto", "path", "virtual")
DEFAULT_PORTS = {"http": 80, "https": 443}

_ACCELERATE = re.compile(r"s3-accelerate(?:\.dualstack)?\.amazonaws\.com(?:\.cn)?")
_AWS_REGION = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_ANY_REGION = re.compile(r"[A-Za-z0-9._-]{1,64}")  # of another store: part of the signature, not of a name
# Lenient: names from before 2018 may have upper case and underscores.
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,63}")
_DNS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_PATH = re.compile(r"(?:[A-Za-z0-9._~/!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where the requests for one bucket go.

    `host` is what to connect to (an IPv6 address without brackets) and what a certificate must name;
    `host_header` has the brackets, and the port unless it is the scheme's own.  `base_path` is what
    precedes `/key` in the request target: empty or starting with a slash, never ending with one,
    percent-encoded already.  `region` and `service` are those of the signature; `session`: which is made
    with the credentials of a session with the bucket.
    """

    scheme: str
    host: str
    port: int
    host_header: str
    base_path: str
    region: str = ""
    service: str = S3
    session: bool = False

    def of_region(self, region: str) -> Endpoint:
        """The same place, for requests signed for another region."""
        return msgspec.structs.replace(self, region=region)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host_header}"

    @property
    def url(self) -> str:
        return f"{self.origin}{self.base_path}"


def endpoint_for(
    bucket: str,
    region: str,
    endpoint_url: str | None = None,
    addressing_style: AddressingStyle = "auto",
    variant: Variant = STANDARD,
    *,
    arn_region: bool = True,
) -> Endpoint:
    """The endpoint of `bucket`: AWS's in `region`, of the kind `variant`, or the one at `endpoint_url`,
    which may name the bucket already.  `arn_region`: the region in an ARN counts, and not `region`.

    Raises `ConfigError` when a name or the URL is not usable or names another bucket, or when
    virtual-hosted-style was asked for, or is what acceleration needs, and cannot work.
    """
    if addressing_style not in ADDRESSING_STYLES:
        raise ConfigError(
            f"addressing_style = {addressing_style!r}: must be one of {', '.join(ADDRESSING_STYLES)}"
        )
    check_region(region, endpoint_url)
    place = place_of(bucket, region, variant, arn_region=arn_region, own_url=endpoint_url is not None)
    if place is not None:
        return _at_place(bucket, place, endpoint_url)
    check_bucket(bucket)
    if endpoint_url is not None:
        base = check_endpoint_url(endpoint_url)
        host, path, in_host = without_bucket(
            bucket, base.hostname or "", base.path.rstrip("/"), path_style=addressing_style == "path"
        )
        fits = _is_dns_name(bucket) and (base.scheme == "http" or _fits_a_label(bucket))
        auto = fits and (in_host or _ACCELERATE.fullmatch(host) is not None)
    else:
        host, path = variant.of_region(region), ""
        fits = auto = _fits_a_label(bucket)
        base = urlsplit(f"https://{host}")
        if variant.accelerate:
            _check_accelerate(bucket, addressing_style)
    # At a store "virtual" is a wish, as for botocore: an address has no subdomains, not every bucket is a DNS
    # name, and a certificate does not cover a bucket's dots.
    can = endpoint_url is None or (fits and not is_ip(host))
    virtual = (addressing_style == "virtual" and can) or (addressing_style == "auto" and auto)
    if virtual:
        if endpoint_url is None:
            _check_virtual(bucket)
        host = f"{bucket}.{host.rstrip('.')}"
    return endpoint_at(base, host, path if virtual else f"{path}/{bucket}", region)


def _at_place(bucket: str, place: Place, endpoint_url: str | None) -> Endpoint:
    """Such a bucket has its name in front of the host, whatever style is asked for, as with botocore."""
    base = check_endpoint_url(endpoint_url or f"https://{place.host}")
    host, path = (base.hostname or "").rstrip(".").removeprefix(f"{place.label}."), base.path.rstrip("/")
    if not is_ip(host):
        if not (bucket.startswith(ARN) or is_label(bucket)):
            raise ConfigError(f"bucket = {bucket!r}: is no name that could stand in front of {host}")
        host = f"{place.label}.{host}"
    elif bucket.startswith(ARN):
        raise ConfigError(
            f"endpoint_url = {shown(endpoint_url or '')!r}: an address has no subdomains, and an access "
            "point is one; use a host name"
        )
    else:
        check_bucket(bucket)
        path = f"/{bucket}{path.removesuffix(f'/{bucket}')}"
    return endpoint_at(base, host, path, place.region, place.service, session=place.session)


def service_endpoint(region: str, endpoint_url: str | None = None, variant: Variant = STANDARD) -> Endpoint:
    """Where a request goes that names no bucket. AWS accelerates none of these."""
    check_region(region, endpoint_url)
    standard = msgspec.structs.replace(variant, accelerate=False)
    base = check_endpoint_url(endpoint_url or f"https://{standard.of_region(region)}")
    return endpoint_at(base, base.hostname or "", base.path.rstrip("/"), region)


def endpoint_at(
    base: SplitResult, host: str, base_path: str, region: str, service: str = S3, *, session: bool = False
) -> Endpoint:
    name, usual_port = f"[{host}]" if ":" in host else host, DEFAULT_PORTS[base.scheme]
    port = base.port or usual_port
    return Endpoint(
        scheme=base.scheme,
        host=host,
        port=port,
        host_header=name if port == usual_port else f"{name}:{port}",
        base_path=base_path,
        region=region,
        service=service,
        session=session,
    )


def check_region(region: str, endpoint_url: str | None, where: str = "region") -> None:
    """Raises `ConfigError` unless `region` can be a region's name. `where`: where it came from."""
    if not (_AWS_REGION if endpoint_url is None else _ANY_REGION).fullmatch(region):
        raise ConfigError(f"{where} = {region!r}: is no region name; use one like eu-central-1")


def check_bucket(bucket: str) -> None:
    """Raises `ConfigError` unless `bucket` can be a bucket's name.

    Looser than https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, since
    old buckets and other stores are: 3 to 63 letters, digits, dots, hyphens and underscores.
    """
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(
            f"bucket = {bucket[:80]!r}: must be 3 to 63 letters, digits, dots, hyphens or underscores "
            "(the bucket's name alone: no s3://, no slash; or the ARN of an access point)"
        )


def check_endpoint_url(url: str, name: str = "endpoint_url") -> SplitResult:
    """`url` taken apart, if it can be an endpoint: http(s)://host[:port][/base/path].

    Raises `ConfigError` that calls the setting `name` and shows no password that the URL may hold.
    """

    def wrong(why: str) -> ConfigError:
        return ConfigError(f"{name} = {shown(url)!r}: {why}")

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong("is not a valid URL; use one like https://host:port") from None
    # urlsplit drops line breaks and tabs silently.
    if not url.isascii() or not url.isprintable() or " " in url:
        raise wrong("has spaces, control characters or characters outside ASCII")
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        raise wrong("must start with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise wrong("must have no user name or password; give credentials as such")
    if not host or not is_host(host):
        raise wrong("has no valid host")
    if port == 0:
        raise wrong("port must be from 1 to 65535")
    if "?" in url or "#" in url:
        raise wrong("must have no query and no fragment")
    if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise wrong("has a path that cannot be used; percent-encode it, without . and .. parts")
    return parts


def _is_dns_name(bucket: str) -> bool:
    return _DNS_NAME.fullmatch(bucket) is not None and not is_ip(bucket)


def _fits_a_label(bucket: str) -> bool:
    return _is_dns_name(bucket) and "." not in bucket


def _check_accelerate(bucket: str, style: AddressingStyle) -> None:
    if style == "path":
        raise ConfigError("use_accelerate_endpoint: works with virtual-hosted-style only, not with 'path'")
    if not _fits_a_label(bucket):
        raise ConfigError(
            f"use_accelerate_endpoint: bucket {bucket!r} must be a DNS name without dots for it"
        )


def _check_virtual(bucket: str) -> None:
    why = ""
    if not _is_dns_name(bucket):
        why = f"bucket {bucket!r} is not a DNS name"
    elif "." in bucket:
        why = f"AWS's certificates do not cover the dots of bucket {bucket!r}"
    if why:
        raise ConfigError(f"addressing_style = 'virtual': {why}; use 'path'")
