"""Where the requests for one bucket go: host, port, Host header and the path in front of the key.

Pure: no name is resolved here.  S3 has two ways of naming a bucket in a URL,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html:

* virtual-hosted-style, `https://bucket.s3.region.amazonaws.com/key`: what AWS wants;
* path-style, `https://s3.region.amazonaws.com/bucket/key`: what every other store understands, and
  the only way for a bucket whose name is no DNS name, or has dots while TLS is used (AWS's wildcard
  certificate covers one label).

`auto` takes the first for AWS where it can, and the second for a custom endpoint, unless its URL has the
bucket in front of the host or is one of AWS's accelerate endpoints, which know no other.

AWS has three more kinds of endpoint (`Variant`):
https://docs.aws.amazon.com/general/latest/gr/s3.html lists them.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from s3_upload.errors import ConfigError
from s3_upload.s3.bucket_url import without_bucket
from s3_upload.urls import is_host, is_ip, shown

AddressingStyle = Literal["auto", "path", "virtual"]
ADDRESSING_STYLES: tuple[AddressingStyle, ...] = ("auto", "path", "virtual")
DEFAULT_PORTS = {"http": 80, "https": 443}

# Prefix of the region -> DNS suffix of its partition, as in botocore's partitions.json.
_DNS_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eu-isoe-": "cloud.adc-e.uk",
    "us-isof-": "csp.hci.ic.gov",
    "eusc-": "amazonaws.eu",
}
_NO_ACCELERATE = "cn-"  # the partitions without, as in botocore's endpoint rules for S3
_NO_FIPS = "cn-"
_ACCELERATE = re.compile(r"s3-accelerate(?:\.dualstack)?\.amazonaws\.com(?:\.cn)?")
_GLOBAL = {"aws-global": "us-east-1"}
_OTHER_PROTOCOL = re.compile(r".*--(?:x|xa|op|table)-s3")
_AWS_REGION = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_ANY_REGION = re.compile(r"[A-Za-z0-9._-]{1,64}")  # of another store: part of the signature, not of a name
# Lenient: names from before 2018 may have upper case and underscores.
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,63}")
_DNS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_PATH = re.compile(r"(?:[A-Za-z0-9._~/!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")


def real_region(name: str) -> tuple[str, bool]:
    """The region that a pseudo-region of AWS's stands for, and whether that asks for FIPS, as in botocore:
    "aws-global" is us-east-1, "fips-us-east-1" and "us-east-1-fips" are us-east-1 with FIPS."""
    real = name.replace("fips-", "").replace("-fips", "")
    return _GLOBAL.get(real, real), real != name


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where the requests for one bucket go.

    `host` is what to connect to (an IPv6 address without brackets) and what a certificate must name;
    `host_header` has the brackets, and the port unless it is the scheme's own.  `base_path` is what
    precedes `/key` in the request target: empty or starting with a slash, never ending with one,
    percent-encoded already.
    """

    scheme: str
    host: str
    port: int
    host_header: str
    base_path: str

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host_header}"

    @property
    def url(self) -> str:
        return f"{self.origin}{self.base_path}"


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """Which of AWS's endpoints of a region: by default the standard one, IPv4 alone.

    `accelerate`: at the edge location nearest to here, for a bucket that has acceleration switched on.
    `dualstack`: IPv4 and IPv6. `fips`: cryptography as validated under FIPS 140-3.
    """

    accelerate: bool = False
    dualstack: bool = False
    fips: bool = False

    def __post_init__(self) -> None:
        if self.accelerate and self.fips:
            raise ConfigError("use_accelerate_endpoint and use_fips_endpoint: there is no such endpoint")

    def of_region(self, region: str) -> str:
        """The endpoint's host name. Raises `ConfigError` where AWS has none."""
        suffix = next(
            (s for prefix, s in _DNS_SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com"
        )
        dualstack = ".dualstack" if self.dualstack else ""
        if self.accelerate:
            if region.startswith(_NO_ACCELERATE):
                raise ConfigError(f"use_accelerate_endpoint: there is none in region {region}")
            return f"s3-accelerate{dualstack}.{suffix}"
        if self.fips and region.startswith(_NO_FIPS):
            raise ConfigError(f"use_fips_endpoint: there is none in region {region}")
        return f"s3{'-fips' if self.fips else ''}{dualstack}.{region}.{suffix}"


STANDARD = Variant()


def endpoint_for(
    bucket: str,
    region: str,
    endpoint_url: str | None = None,
    addressing_style: AddressingStyle = "auto",
    variant: Variant = STANDARD,
) -> Endpoint:
    """The endpoint of `bucket`: AWS's in `region`, of the kind `variant`, or the one at `endpoint_url`,
    which may name the bucket already.

    Raises `ConfigError` when a name or the URL is not usable or names another bucket, or when
    virtual-hosted-style was asked for, or is what acceleration needs, and cannot work.
    """
    check_bucket(bucket)
    if addressing_style not in ADDRESSING_STYLES:
        raise ConfigError(
            f"addressing_style = {addressing_style!r}: must be one of {', '.join(ADDRESSING_STYLES)}"
        )
    _check_region(region, endpoint_url)
    if endpoint_url is not None:
        base = check_endpoint_url(endpoint_url)
        host, path, in_host = without_bucket(
            bucket, base.hostname or "", base.path.rstrip("/"), path_style=addressing_style == "path"
        )
        fits = _is_dns_name(bucket) and (base.scheme == "http" or _fits_a_label(bucket))
        auto = fits and (in_host or _ACCELERATE.fullmatch(host) is not None)
    else:
        _check_protocol(bucket)
        host, path, auto = variant.of_region(region), "", _fits_a_label(bucket)
        base = urlsplit(f"https://{host}")
        if variant.accelerate:
            _check_accelerate(bucket, addressing_style)
    # An address has no subdomains: as for botocore, "virtual" is a wish there.
    virtual = (addressing_style == "virtual" and not is_ip(host)) or (addressing_style == "auto" and auto)
    if virtual:
        host = host.rstrip(".")
        _check_virtual(bucket, aws=endpoint_url is None)
        host = f"{bucket}.{host}"
    return _endpoint(base, host, path if virtual else f"{path}/{bucket}")


def service_endpoint(region: str, endpoint_url: str | None = None, variant: Variant = STANDARD) -> Endpoint:
    """Where a request goes that names no bucket. AWS accelerates none of these."""
    _check_region(region, endpoint_url)
    standard = msgspec.structs.replace(variant, accelerate=False)
    base = check_endpoint_url(endpoint_url or f"https://{standard.of_region(region)}")
    return _endpoint(base, base.hostname or "", base.path.rstrip("/"))


def _endpoint(base: SplitResult, host: str, base_path: str) -> Endpoint:
    port = base.port or DEFAULT_PORTS[base.scheme]
    return Endpoint(
        scheme=base.scheme,
        host=host,
        port=port,
        host_header=host_header(base.scheme, host, port),
        base_path=base_path,
    )


def _check_region(region: str, endpoint_url: str | None) -> None:
    if not (_AWS_REGION if endpoint_url is None else _ANY_REGION).fullmatch(region):
        raise ConfigError(f"region = {region!r}: is no region name; use one like eu-central-1")


def check_bucket(bucket: str) -> None:
    """Raises `ConfigError` unless `bucket` can be a bucket's name.

    Looser than https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, since
    old buckets and other stores are: 3 to 63 letters, digits, dots, hyphens and underscores.
    """
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(
            f"bucket = {bucket[:80]!r}: must be 3 to 63 letters, digits, dots, hyphens or underscores "
            "(the bucket's name alone: no s3://, no slash, no ARN)"
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
        raise wrong("is no URL; use one like https://host:port") from None
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


def _check_protocol(bucket: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-differences.html, for one."""
    if _OTHER_PROTOCOL.fullmatch(bucket):
        raise ConfigError(
            f"bucket = {bucket!r}: names a directory bucket, an Outpost or a table, which are not spoken to "
            "as S3 buckets are; use a general purpose bucket"
        )


def _check_accelerate(bucket: str, style: AddressingStyle) -> None:
    if style == "path":
        raise ConfigError("use_accelerate_endpoint: works with virtual-hosted-style only, not with 'path'")
    if not _fits_a_label(bucket):
        raise ConfigError(
            f"use_accelerate_endpoint: bucket {bucket!r} must be a DNS name without dots for it"
        )


def _check_virtual(bucket: str, *, aws: bool) -> None:
    why = ""
    if not _is_dns_name(bucket):
        why = f"bucket {bucket!r} is no DNS name"
    elif aws and "." in bucket:
        why = f"AWS's certificates do not cover the dots of bucket {bucket!r}"
    if why:
        raise ConfigError(f"addressing_style = 'virtual': {why}; use 'path'")


def host_header(scheme: str, host: str, port: int) -> str:
    """What the Host header says."""
    name = f"[{host}]" if ":" in host else host
    return name if port == DEFAULT_PORTS[scheme] else f"{name}:{port}"
