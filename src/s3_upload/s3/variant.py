"""AWS's partitions, and which of its endpoints of a region (`Variant`).

https://docs.aws.amazon.com/general/latest/gr/s3.html lists them.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from s3_upload.errors import ConfigError


class Partition(NamedTuple):
    """One of AWS's clouds, which know nothing of each other."""

    name: str
    dns_suffix: str


# Prefix of the region -> its partition, as in botocore's partitions.json.
_PARTITIONS = {
    "cn-": Partition("aws-cn", "amazonaws.com.cn"),
    "us-gov-": Partition("aws-us-gov", "amazonaws.com"),
    "us-iso-": Partition("aws-iso", "c2s.ic.gov"),
    "us-isob-": Partition("aws-iso-b", "sc2s.sgov.gov"),
    "eu-isoe-": Partition("aws-iso-e", "cloud.adc-e.uk"),
    "us-isof-": Partition("aws-iso-f", "csp.hci.ic.gov"),
    "eusc-": Partition("aws-eusc", "amazonaws.eu"),
}
_AWS = Partition("aws", "amazonaws.com")
_NO_ACCELERATE = "cn-"  # the partitions without, as in botocore's endpoint rules for S3
_NO_FIPS = "cn-"
_CALLED = {
    "s3express": "directory buckets",
    "s3-accesspoint": "access points' ARNs",
    "s3-outposts": "Outposts",
}
AWS_GLOBAL = "aws-global"
GLOBAL_REGION = "us-east-1"


def partition_of(region: str) -> Partition:
    """The partition of a region, by its beginning: new regions need no new version."""
    return next((p for prefix, p in _PARTITIONS.items() if region.startswith(prefix)), _AWS)


def real_region(name: str) -> tuple[str, bool]:
    """The region that a pseudo-region of AWS's stands for, and whether that asks for FIPS, as in botocore:
    "aws-global" is us-east-1, "fips-us-east-1" and "us-east-1-fips" are us-east-1 with FIPS."""
    real = name.replace("fips-", "").replace("-fips", "")
    return GLOBAL_REGION if real == AWS_GLOBAL else real, real != name


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """Which of AWS's endpoints of a region: by default the standard one, IPv4 alone.

    `accelerate`: at the edge location nearest to here, for a bucket that has acceleration switched on.
    `dualstack`: IPv4 and IPv6. `fips`: cryptography as validated under FIPS 140-3.  `is_global`: of us-east-1
    the endpoint that names no region, where it has one.
    """

    accelerate: bool = False
    dualstack: bool = False
    fips: bool = False
    is_global: bool = False

    def __post_init__(self) -> None:
        if self.accelerate and self.fips:
            raise ConfigError("use_accelerate_endpoint and use_fips_endpoint: there is no such endpoint")

    def of_region(self, region: str) -> str:
        """The endpoint's host name. Raises `ConfigError` where AWS has none."""
        if not self.accelerate:
            if self.is_global and region == GLOBAL_REGION and not (self.dualstack or self.fips):
                return f"s3.{partition_of(region).dns_suffix}"
            return self.of_service("s3", region)
        if region.startswith(_NO_ACCELERATE):
            raise ConfigError(f"use_accelerate_endpoint: there is none in region {region}")
        dualstack = ".dualstack" if self.dualstack else ""
        return f"s3-accelerate{dualstack}.{partition_of(region).dns_suffix}"

    def of_service(self, service: str, region: str, zone: str = "") -> str:
        """The host name of another service than S3 proper: `zone` is the end of its first label.

        Raises `ConfigError` where AWS has none, as it has none that is accelerated.
        """
        if self.accelerate:
            raise ConfigError(f"use_accelerate_endpoint: there is none for {_CALLED.get(service, service)}")
        if self.fips and region.startswith(_NO_FIPS):
            raise ConfigError(f"use_fips_endpoint: there is none in region {region}")
        fips, dualstack = "-fips" if self.fips else "", ".dualstack" if self.dualstack else ""
        return f"{service}{fips}{zone}{dualstack}.{region}.{partition_of(region).dns_suffix}"


STANDARD = Variant()
