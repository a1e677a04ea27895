"""Buckets that are named otherwise: by the ARN of an access point, with their zone, by an alias."""

from __future__ import annotations

import pytest

from s3_upload.errors import ConfigError
from s3_upload.s3.endpoint import endpoint_for
from s3_upload.s3.variant import Variant
from s3_upload.sources.mapping import Destination

ARN = "arn:aws:s3:eu-west-1:123456789012:accesspoint/photos"


@pytest.mark.parametrize("arn", [ARN, ARN.replace("/", ":")])
@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
def test_an_access_point_is_at_a_host_of_its_own_in_its_own_region(arn: str, style: str) -> None:
    endpoint = endpoint_for(arn, "us-east-1", None, style)  # type: ignore[arg-type]
    assert endpoint.url == "https://photos-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"
    assert (endpoint.region, endpoint.service, endpoint.session) == ("eu-west-1", "s3", False)


def test_its_fips_and_dualstack_endpoints() -> None:
    endpoint = endpoint_for(ARN, "us-east-1", variant=Variant(fips=True, dualstack=True))
    assert endpoint.host == "photos-123456789012.s3-accesspoint-fips.dualstack.eu-west-1.amazonaws.com"


def test_at_a_vpc_endpoint_its_name_stands_in_front_once() -> None:
    url = "https://accesspoint.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com"
    expected = "photos-123456789012.accesspoint.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com"
    assert endpoint_for(ARN, "us-east-1", url).host == expected
    assert endpoint_for(ARN, "us-east-1", f"https://{expected}").host == expected


def test_where_the_arns_region_is_not_to_count_it_must_be_the_same() -> None:
    with pytest.raises(ConfigError, match="is in eu-west-1, the region is us-east-1") as caught:
        endpoint_for(ARN, "us-east-1", arn_region=False)
    assert "\n" not in str(caught.value)
    assert endpoint_for(ARN, "eu-west-1", arn_region=False).region == "eu-west-1"


def test_another_partitions_is_refused_with_its_region() -> None:
    arn = ARN.replace("eu-west-1", "cn-north-1")
    with pytest.raises(ConfigError, match=r"partition aws-cn, .* in aws: set the region to cn-north-1"):
        endpoint_for(arn, "us-east-1")


def test_a_bucket_in_a_zone_is_at_the_zones_host() -> None:
    endpoint = endpoint_for("photos--use1-az4--x-s3", "us-east-1")
    assert endpoint.url == "https://photos--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com"
    assert (endpoint.region, endpoint.service, endpoint.session) == ("us-east-1", "s3express", True)


def test_aliases_are_buckets() -> None:
    alias = "photos-8tyekmigicmhun8n9kwpfurk5nrbcuse1a-s3alias"
    assert endpoint_for(alias, "us-east-1").host == f"{alias}.s3.us-east-1.amazonaws.com"
    alias = "photos-o0b1d075431d83bebd5rd4jhgcf8zyxwtb5puiuse10--op-s3"
    endpoint = endpoint_for(alias, "us-east-1")
    assert endpoint.host == f"{alias}.op-0b1d075431d83bebd.s3-outposts.us-east-1.amazonaws.com"
    assert endpoint.service == "s3-outposts"


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        ("arn:aws:s3::123456789012:accesspoint/x.mrap", ("Multi-Region", "SigV4A", "-s3alias")),
        (
            "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/photos",
            ("Outposts", "alias", "--op-s3"),
        ),
        (
            "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/photos",
            ("Object Lambda", "alias", "-s3alias"),
        ),
        ("arn:aws:s3:::photos", ("ARN of a bucket", "use its name: photos")),
        ("arn:aws:s3:eu-west-1:123456789012:bucket/a", ("not the ARN of an access point",)),
        ("arn:aws:s3:eu-west-1:123456789012:accesspoint/a.b", ("no valid name",)),
        ("arn:aws:s3", ("is not an ARN",)),
    ],
)
def test_what_cannot_be_spoken_to_says_in_one_line_what_can(arn: str, words: tuple[str, ...]) -> None:
    for refuse in (lambda: endpoint_for(arn, "us-east-1"), lambda: Destination.parse(f"s3://{arn}")):
        with pytest.raises(ConfigError) as caught:
            refuse()
        assert "\n" not in str(caught.value)
        assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("slash", ["/", ":"])
def test_a_destination_may_be_an_access_point(slash: str) -> None:
    """As the AWS CLI takes it: the key begins behind the name."""
    arn = f"arn:aws:s3:eu-west-1:123456789012:accesspoint{slash}photos"
    assert Destination.parse(f"s3://{arn}") == Destination(arn)
    assert Destination.parse(f"s3://{arn}/") == Destination(arn)
    assert Destination.parse(f"s3://{arn}/a/b/c") == Destination(arn, "a/b/c")
    assert Destination.parse(f"s3://{arn}/a:b") == Destination(arn, "a:b")
