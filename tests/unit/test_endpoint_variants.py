"""AWS's endpoints, beside what botocore's own endpoint rules make of the same bucket and region."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import Loader

from s3_upload.errors import ConfigError
from s3_upload.s3.endpoint import endpoint_for
from s3_upload.s3.variant import Variant

if TYPE_CHECKING:
    from s3_upload.s3.endpoint import AddressingStyle

BUCKETS = ("photos", "my-photos-2", "www.example.org", "Old_Photos", "-photos", "192.168.5.4", "a-s3alias")
STYLES: tuple[AddressingStyle, ...] = ("auto", "path", "virtual")
ODD = ("ap-nowhere-9", "cn-nowhere-9", "us-gov-nowhere-9", "us-iso-nowhere-9")
"""Regions that no file of ours or botocore's lists; their beginnings place them."""


@cache
def partitions() -> Any:
    return Loader().load_data("partitions")


@cache
def rules() -> Any:
    return EndpointProvider(Loader().load_service_model("s3", "endpoint-rule-set-1"), partitions())


def regions(of_each_partition: int | None = None) -> list[str]:
    """All that botocore knows, but its pseudo-regions, which are another spelling of real ones."""
    found: list[str] = []
    for partition in partitions()["partitions"]:
        real = sorted(region for region in partition["regions"] if not region.endswith("-global"))
        found += real[-of_each_partition:] if of_each_partition else real
    return [*found, *ODD]


def botocore_says(bucket: str, region: str, style: AddressingStyle, asked: dict[str, bool]) -> str:
    """The URL, or "" where its rules refuse."""
    try:
        endpoint = rules().resolve_endpoint(
            Bucket=bucket,
            Region=region,
            UseFIPS=asked["fips"],
            UseDualStack=asked["dualstack"],
            Accelerate=asked["accelerate"],
            ForcePathStyle=style == "path",
            UseGlobalEndpoint=False,
            DisableMultiRegionAccessPoints=False,
            UseArnRegion=True,
        )
    except EndpointProviderError:
        return ""
    return str(endpoint.url)


def we_say(bucket: str, region: str, style: AddressingStyle, asked: dict[str, bool]) -> str:
    try:
        return endpoint_for(bucket, region, None, style, Variant(**asked)).url
    except ConfigError:
        return ""


@pytest.mark.parametrize("bucket", BUCKETS)
@pytest.mark.parametrize("style", STYLES)
def test_each_endpoint_is_botocores(bucket: str, style: AddressingStyle) -> None:
    """But that virtual-hosted-style where it cannot work is refused, and not left out in silence."""
    seen = set()
    some = regions(None if bucket == "photos" else 1)
    for region, switches in itertools.product(some, itertools.product((False, True), repeat=3)):
        asked = dict(zip(("accelerate", "dualstack", "fips"), switches, strict=True))
        ours = we_say(bucket, region, style, asked)
        if ours or style != "virtual":
            assert ours == botocore_says(bucket, region, style, asked), (region, asked)
        seen.add(ours)
    assert len(seen) > 1 or style == "virtual"


def test_the_comparison_covers_what_it_should() -> None:
    assert {"us-east-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1"} <= set(regions())
    asked = {"accelerate": True, "dualstack": True, "fips": False}
    assert botocore_says("photos", "us-east-1", "auto", asked) == (
        "https://photos.s3-accelerate.dualstack.amazonaws.com"
    )


@pytest.mark.parametrize(
    ("variant", "url"),
    [
        ({"accelerate": True}, "https://photos.s3-accelerate.amazonaws.com"),
        ({"accelerate": True, "dualstack": True}, "https://photos.s3-accelerate.dualstack.amazonaws.com"),
        ({"dualstack": True}, "https://photos.s3.dualstack.eu-west-1.amazonaws.com"),
        ({"fips": True}, "https://photos.s3-fips.eu-west-1.amazonaws.com"),
        ({"fips": True, "dualstack": True}, "https://photos.s3-fips.dualstack.eu-west-1.amazonaws.com"),
    ],
)
def test_the_names_as_amazon_lists_them(variant: dict[str, bool], url: str) -> None:
    assert endpoint_for("photos", "eu-west-1", variant=Variant(**variant)).url == url


@pytest.mark.parametrize(
    ("bucket", "region", "style", "reason"),
    [
        ("www.example.org", "us-east-1", "auto", "bucket 'www.example.org' must be a DNS name without dots"),
        ("Old_Photos", "us-east-1", "auto", "bucket 'Old_Photos' must be a DNS name without dots"),
        (
            "www.example.org",
            "us-east-1",
            "virtual",
            "bucket 'www.example.org' must be a DNS name without dots",
        ),
        ("photos", "us-east-1", "path", "works with virtual-hosted-style only"),
        ("photos", "cn-north-1", "auto", "there is none in region cn-north-1"),
        ("b--use1-az4--x-s3", "us-east-1", "auto", "there is none for directory buckets$"),
        (
            "arn:aws:s3:us-east-1:12:accesspoint/x",
            "us-east-1",
            "auto",
            "there is none for access points' ARNs$",
        ),
    ],
)
def test_acceleration_where_it_cannot_work(
    bucket: str, region: str, style: AddressingStyle, reason: str
) -> None:
    with pytest.raises(ConfigError, match=f"^use_accelerate_endpoint: {reason}"):
        endpoint_for(bucket, region, None, style, Variant(accelerate=True))


def test_what_amazon_does_not_have() -> None:
    with pytest.raises(ConfigError, match="there is no such endpoint"):
        Variant(accelerate=True, fips=True)
    with pytest.raises(ConfigError, match="use_fips_endpoint: there is none in region cn-north-1"):
        endpoint_for("photos", "cn-north-1", variant=Variant(fips=True))
