"""An endpoint URL that names the bucket already, as providers' consoles show it. Pure.

    https://photos.fra1.digitaloceanspaces.com     in the host, virtual-hosted-style
    http://localhost:9000/photos                   in the path, path-style

Taken for a plain endpoint, such a URL would have the bucket twice in every request, and the store would take
the second for a folder: all objects would be below `photos/` in `photos`.  So the URL is reduced to that of
the endpoint, and how requests name the bucket is decided as for any other.

What is evidence enough:

* The host of a service that is known (`_SERVICES`), with one name or more in front: that is a bucket.  If
  another than the destination's, objects would go to a bucket that nobody named: refused.  A path is the
  bucket's name or nothing: a service has no other.
* Of any other host, the bucket's name, then a label `s3`; unless path-style is asked for, then the host is
  taken as it is.  The bucket's name alone in front is none: a bucket `minio` may well be at minio.local.
* Of any other URL, a path whose last part is the bucket's name: what serves S3 below a path is rare (the path
  is signed), and there with a bucket of the path's name rarer.  One who has just that names it twice.
"""

from __future__ import annotations

import re

from s3_upload.errors import ConfigError

_NAME = r"[a-z0-9-]+"
_SERVICES = (
    # Not of access points, websites, Outposts, S3 control, nor behind a VPC endpoint.
    rf"s3(?!-(?:control|website|accesspoint|outposts|object-lambda))(?:-{_NAME})?(?:\.dualstack)?(?:\.{_NAME})?"
    r"\.amazonaws\.com(?:\.cn)?",
    r"[a-z]{3}\d\.digitaloceanspaces\.com",
    r"[a-z]{3}\d\.vultrobjects\.com",
    r"[a-z]{3}\d\.your-objectstorage\.com",  # Hetzner
    rf"[a-z]{{2}}-{_NAME}\.linodeobjects\.com",
    r"[0-9a-f]{32}(?:\.(?:eu|fedramp))?\.r2\.cloudflarestorage\.com",
    rf"s3(?:\.{_NAME})?\.wasabisys\.com",
    rf"s3\.{_NAME}\.backblazeb2\.com",
    rf"s3\.{_NAME}\.scw\.cloud",
    rf"s3\.{_NAME}(?:\.io|\.perf)?\.cloud\.ovh\.(?:net|us)",
    rf"s3[.-]{_NAME}\.ionoscloud\.com",
    rf"s3\.{_NAME}\.infomaniak\.cloud",
    rf"s3(?:\.private|\.direct)?\.{_NAME}\.cloud-object-storage\.appdomain\.cloud",  # IBM
    r"storage\.googleapis\.com",
    r"s3\.localhost\.localstack\.cloud",
    r"(?:s3|storage)\.yandexcloud\.net",
    r"gateway\.storjshare\.io",
    r"fly\.storage\.tigris\.dev|t3\.storage\.dev",
    r"sos-[a-z]{2}-[a-z]{3}-\d\.exo\.io",
    rf"objects-{_NAME}\.dream\.io",
    rf"oss-{_NAME}\.aliyuncs\.com",
    rf"obs\.{_NAME}\.myhuaweicloud\.(?:com|eu)",
    rf"cos\.{_NAME}\.myqcloud\.com",
)
_SERVICE = rf"(?:(?P<bucket>.+)\.)?(?P<service>{'|'.join(_SERVICES)})\.?"


def without_bucket(bucket: str, host: str, path: str, *, path_style: bool) -> tuple[str, str, bool]:
    """What is left of an endpoint's `host` and `path` (no slash at its end) when neither names `bucket`, and
    whether the host had it in front.

    `path_style`: that was asked for.  Raises `ConfigError` for one that names another.
    """
    is_name = "." in host and host.rstrip(".")[-1].isalpha()  # or it is an address, or of this machine
    known = re.fullmatch(_SERVICE, host) if is_name else None  # compiled here: that takes milliseconds
    if known is not None:
        return _of_service(bucket, known["bucket"] or "", known["service"], path)
    if path.endswith(f"/{bucket}"):
        return host, path.removesuffix(f"/{bucket}"), False
    if not path_style and host.startswith(f"{bucket}.s3."):
        return host.removeprefix(f"{bucket}."), path, True
    return host, path, False


def _of_service(bucket: str, named: str, service: str, path: str) -> tuple[str, str, bool]:
    if named not in {"", bucket}:
        raise ConfigError(
            f"endpoint_url: names the bucket {named!r}, and the destination is {bucket!r}; leave the bucket "
            f"out of the URL: https://{service}"
        )
    if path and (named or path != f"/{bucket}"):
        raise ConfigError(
            f"endpoint_url: ends in {path[:80]!r}, which is no part of the endpoint; use https://{service} "
            "(what keys begin with belongs into the destination)"
        )
    return service, "", bool(named)
