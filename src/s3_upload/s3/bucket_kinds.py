"""Names of buckets that say themselves where their requests go, and how these are signed. Pure.

* `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`, or with `accesspoint:NAME`: an access point of a bucket, at
  a host of its own in its own region:
  https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-access-points.html
* `NAME--ZONE--x-s3`: a directory bucket (S3 Express One Zone), in one zone of a region; `--xa-s3` is an
  access point of one.  Its requests are signed with the credentials of a session:
  https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-APIs.html
* `…--op-s3`: the alias of an access point of S3 on Outposts.

Any other name, the aliases `…-s3alias` and `…--ol-s3` among them, is that of a bucket like others.  What is
not supported is refused, with a line that says what to use instead: a Multi-Region Access Point wants
signatures of another kind (SigV4A); the ARNs of Outposts and Object Lambda have aliases, which are bucket
names.

The rules are those of botocore's endpoint rule set; `tests/endpoint_rules.py` compares both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from s3_upload.errors import ConfigError
from s3_upload.s3.variant import Variant, partition_of

S3 = "s3"
S3_EXPRESS = "s3express"
ARN = "arn:"
ACCESS_POINT = "arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME"
# Compiled by whoever needs them first: most runs need none.
_LABEL = r"(?!-)[a-zA-Z0-9-]{1,63}(?<!-)"
_RESOURCE = r"(?:accesspoint[:/][^:/]*|outpost[:/][^:/]*[:/]accesspoint[:/][^:/]*)"
_ARN = rf"(?s)(?P<bucket>arn:[^:/]*:[^:/]*:[^:/]*:[^:/]*:{_RESOURCE})(?:/(?P<key>.*))?"
_DIRECTORY = r"(?P<name>.+)--(?P<zone>[a-z0-9-]{4,30})--xa?-s3"
_OUTPOST = r".*(?P<kind>[eo])(?P<id>.{17}).{20}(?!beta).{5}--op-s3"
_OUTPOST_CHARS = 50
"""What an alias has at least; its kind of hardware, Outpost and region stand at fixed places of its end."""


class Place(NamedTuple):
    """`label` stands in front of the host; `host` is AWS's.  `service` and `region` are those of the
    signature; `session`: which is made with the credentials of a session."""

    label: str
    host: str
    region: str
    service: str = S3
    session: bool = False


def split_arn(text: str) -> tuple[str, str] | None:
    """The ARN of an access point at the start of `text`, and what follows behind a slash; None where there
    is none."""
    found = re.fullmatch(_ARN, text)
    return None if found is None else (found["bucket"], found["key"] or "")


def is_directory(bucket: str) -> bool:
    """Whether it is a directory bucket, or an access point of one."""
    return bucket.endswith(("--x-s3", "--xa-s3"))


def place_of(bucket: str, region: str, variant: Variant, *, arn_region: bool, own_url: bool) -> Place | None:
    """Where a bucket of such a name is, None for one like others.

    `arn_region`: an ARN's region counts, and not `region`; else they must be the same.  `own_url`: an
    endpoint URL is given, which takes the place of `Place.host`.  Raises `ConfigError` for a name that
    cannot be, or cannot be spoken to.
    """
    if bucket.startswith(ARN):
        return _of_arn(bucket, region, variant, arn_region=arn_region)
    if is_directory(bucket):
        return _of_directory(bucket, region, variant, own_url=own_url)
    if bucket.endswith("--op-s3") and len(bucket) >= _OUTPOST_CHARS:
        return _of_outpost(bucket, region, variant, own_url=own_url)
    return None


def check_arn(arn: str) -> tuple[str, str, str]:
    """Region, account and name of an access point. Raises `ConfigError` for any other ARN."""

    def wrong(why: str) -> ConfigError:
        return ConfigError(f"bucket = {arn[:200]!r}: {why}")

    parts = arn.split(":", 5)
    if len(parts) < 6 or not all((parts[1], parts[2], parts[5])):
        raise wrong(f"is not an ARN; that of an access point is {ACCESS_POINT}")
    _, _, service, region, account, resource = parts
    kind, *names = re.split("[:/]", resource)
    if service == "s3" and not region and not account and not names:
        raise wrong(f"is the ARN of a bucket; use its name: {resource.partition('/')[0]}")
    if service == "s3-outposts":
        raise wrong("is S3 on Outposts; use the alias of the access point (…--op-s3) as the bucket")
    if service == "s3-object-lambda":
        raise wrong(
            "is S3 Object Lambda; use as the bucket its alias (…--ol-s3), or the access point behind it "
            "(…-s3alias)"
        )
    if service != "s3" or kind != "accesspoint" or len(names) != 1 or not names[0]:
        raise wrong(f"is not the ARN of an access point, {ACCESS_POINT}")
    if not region:
        raise wrong(
            "is a Multi-Region Access Point, which needs signatures (SigV4A) that are not made here; use one "
            "of its buckets, or an access point of one (its ARN, or its alias, …-s3alias)"
        )
    whole = f"{names[0]}-{account}"
    for what, label in (("region", region), ("account", account), ("name", names[0]), ("name", whole)):
        if not re.fullmatch(_LABEL, label):
            raise wrong(f"has no valid {what}; the ARN of an access point is {ACCESS_POINT}")
    return region, account, names[0]


def _of_arn(arn: str, client_region: str, variant: Variant, *, arn_region: bool) -> Place:
    region, account, name = check_arn(arn)
    if not arn_region and region != client_region:
        raise ConfigError(
            f"bucket = {arn!r}: is in {region}, the region is {client_region}, and use_arn_region = false: "
            "set the region, or leave that out"
        )
    ours, theirs = partition_of(client_region).name, partition_of(region).name
    if ours != theirs:
        raise ConfigError(
            f"bucket = {arn!r}: is in the partition {theirs}, the region {client_region} is in {ours}: set "
            f"the region to {region}"
        )
    return Place(f"{name}-{account}", variant.of_service("s3-accesspoint", region), region)


def _of_directory(bucket: str, region: str, variant: Variant, *, own_url: bool) -> Place:
    """Where there is a URL, which zone it is says the URL."""
    found = re.fullmatch(_DIRECTORY, bucket)
    if not own_url and (found is None or not is_label(bucket)):
        raise ConfigError(
            f"bucket = {bucket!r}: is no name of a directory bucket: NAME--ZONE--x-s3, in lower case and "
            "without dots, as in photos--use1-az4--x-s3"
        )
    zone = f"-{found['zone']}" if found is not None else ""
    return Place(bucket, variant.of_service(S3_EXPRESS, region, zone), region, S3_EXPRESS, session=True)


def _of_outpost(bucket: str, region: str, variant: Variant, *, own_url: bool) -> Place:
    found = re.fullmatch(_OUTPOST, bucket)
    if found is None or not is_label(bucket):
        raise ConfigError(f"bucket = {bucket!r}: is no alias of an access point of S3 on Outposts")
    if own_url or variant.accelerate or variant.dualstack or variant.fips:
        raise ConfigError(
            f"bucket = {bucket!r}: S3 on Outposts has endpoints of one kind: leave out endpoint_url, "
            "accelerate, dualstack and fips"
        )
    place = "ec2" if found["kind"] == "e" else f"op-{found['id']}"
    return Place(bucket, f"{place}.{variant.of_service('s3-outposts', region)}", region, "s3-outposts")


def is_label(bucket: str) -> bool:
    """Whether it can be a label of a host name."""
    return re.fullmatch(_LABEL, bucket) is not None and bucket == bucket.lower()
