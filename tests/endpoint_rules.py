"""Our endpoints beside those of botocore's own rule set, over all its parameters that an upload has.

    python -m tests.endpoint_rules

prints how many cases are the same, refused by both, refused by us alone or by the rules alone, and wrong:
another URL, region or name of the service in the signature, or another kind of signature.  What one side
alone refuses has a reason (`OUR_REASONS`, `THEIR_REASONS`).

The rules are asked as botocore's client asks them: where a URL is given, for path-style unless "virtual" is
asked for; of an ARN, for none.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections import Counter, defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import Loader

from s3_upload.errors import ConfigError
from s3_upload.s3.endpoint import ADDRESSING_STYLES, endpoint_for
from s3_upload.s3.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3_upload.s3.endpoint import AddressingStyle

ACCOUNT = "123456789012"
_ARN = f"arn:aws:s3:us-west-2:{ACCOUNT}:accesspoint"
_OUTPOST = f"arn:aws:s3-outposts:us-west-2:{ACCOUNT}:outpost"
_OUTPOST_END = "0b1d075431d83bebd5rd4jhgcf8zyxwtb5puiuse1"
BUCKETS = {
    "plain": ("photos", "my-photos-2", "a" * 63),
    "dots": ("www.example.org", "a.b"),
    "no DNS name": ("Old_Photos", "-photos", "photos-", "a_b", "a..b"),
    "like an address": ("192.168.5.4",),
    "no name": ("ab", "a" * 64, "a b", "a/b"),
    "alias": ("photos-8tyekmigicmhun8n9kwpfurk5nrbcuse1a-s3alias", f"photos-{'k' * 34}--ol-s3"),
    "table": ("0123456789abcdef0123456789abcdefabcdef01k4v8--table-s3",),
    "access point": (f"{_ARN}/photos", f"{_ARN}:photos"),
    "access point of other partitions": (
        f"arn:aws-cn:s3:cn-north-1:{ACCOUNT}:accesspoint/photos",
        f"arn:aws-us-gov:s3:us-gov-west-1:{ACCOUNT}:accesspoint/photos",
        f"arn:aws-iso:s3:us-iso-east-1:{ACCOUNT}:accesspoint/photos",
        f"arn:aws:s3:cn-north-1:{ACCOUNT}:accesspoint/photos",
    ),
    "malformed ARN": (
        "arn:aws:s3:::photos",
        "arn:aws:s3",
        "arn:aws:s3:us-west-2:123456789012:",
        f"{_ARN}",
        f"{_ARN}/",
        f"{_ARN}:",
        f"{_ARN}/photos/more",
        f"{_ARN}/my.photos",
        f"{_ARN}/my_photos",
        f"{_ARN}/-photos",
        "arn:aws:s3:us-west-2::accesspoint/photos",
        "arn:aws:s3:us-west-2:1.2:accesspoint/photos",
        f"arn:aws:s3:us_west:{ACCOUNT}:accesspoint/photos",
        f"arn:aws:s3:us-west-2:{ACCOUNT}:bucket/photos",
        f"arn:aws:sqs:us-west-2:{ACCOUNT}:accesspoint/photos",
        f"arn:aws:s3express:us-west-2:{ACCOUNT}:accesspoint/photos--usw2-az1--xa-s3",
        f"arn::s3:us-west-2:{ACCOUNT}:accesspoint/photos",
    ),
    "Multi-Region": (
        f"arn:aws:s3::{ACCOUNT}:accesspoint/mfzwi23gnjvgw.mrap",
        "arn:aws:s3:::accesspoint/x.mrap",
    ),
    "Outposts": (
        f"{_OUTPOST}/op-01234567890123456/accesspoint/photos",
        f"{_OUTPOST}:op-1:accesspoint:photos",
    ),
    "malformed Outposts": (f"{_OUTPOST}", f"{_OUTPOST}/op-1", f"{_OUTPOST}/op-1/bucket/photos"),
    "Outposts alias": (
        f"photos-o{_OUTPOST_END}10--op-s3",
        f"photos-e{_OUTPOST_END}10--op-s3",
        "photos--op-s3",
    ),
    "malformed Outposts alias": (
        f"photos-x{_OUTPOST_END}10--op-s3",
        f"photos.o{_OUTPOST_END}10--op-s3",
        f"photos-o{_OUTPOST_END[:-4]}beta10--op-s3"[:-9] + "x--op-s3",
    ),
    "Object Lambda": (f"arn:aws:s3-object-lambda:us-west-2:{ACCOUNT}:accesspoint/photos",),
    "directory": (
        "photos--use1-az4--x-s3",
        "photos--test-zone-ab1--x-s3",
        "photos--usw2-az12--x-s3",
        "my--photos--use1-az4--x-s3",
        "photos--usw2-lax1-az1--x-s3",
        "photos--usaz1--x-s3",
    ),
    "access point of a directory": ("photos--use1-az4--xa-s3", "photos--usw2-lax1-az1--xa-s3"),
    "malformed directory": (
        "photos--x-s3",
        "photos-use1-az4--x-s3",
        "my.photos--use1-az4--x-s3",
        "Photos--use1-az4--x-s3",
        "photos--az4--x-s3",
        "photos--use1-az4-more--x-s3",
        "--use1-az4--x-s3",
    ),
}
"""Kind -> names."""
REGIONS = (
    "us-west-2",
    "us-east-1",
    "cn-north-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "eu-isoe-west-1",
    "us-isof-south-1",
    "eusc-de-east-1",
)
"""Two of AWS's main partition, and one of each other."""
URLS = (
    None,
    "https://store.example",
    "http://store.example:9000",
    "http://127.0.0.1:9000",
    "https://store.example/base",
    "http://127.0.0.1:9000/base",
    "https://[2001:db8::1]",
)
OUR_REASONS = {
    r"Multi-Region": "SigV4A, which nothing else needs, is not made",
    r"is S3 on Outposts": "its alias, a bucket name, is taken",
    r"is S3 Object Lambda": "its alias, a bucket name, is taken",
    r"S3 on Outposts has endpoints of one kind": "the rules leave a URL, FIPS and dualstack out in silence",
    r"addressing_style = 'virtual'": "asked for, and it cannot be: the rules take path-style",
    r"must be 3 to 63": "no bucket has that name, here or elsewhere",
    r"is no alias of an access point of S3 on Outposts": "an alias of a region that is for tests",
    r"is not the ARN of an access point": "refused by the rules, too, but where the URL has an address",
    r"an address has no subdomains": "the rules put a name in front of an address: no host",
}
THEIR_REASONS = {
    r"Unrecognized S3Express bucket name format": "a zone may have another length than those of today",
    r"S3Express does not support Dual-stack": "it does by now: these rules are of an older botocore",
}
"""What a message of a refusal matches -> why that side alone refuses."""
NO_HOST = "a name in front of an address is no host: ours is the path-style URL"


class Case(NamedTuple):
    kind: str
    bucket: str
    region: str
    style: AddressingStyle
    url: str | None
    switches: tuple[bool, ...]
    """Accelerate, dualstack, FIPS."""
    arn_region: bool = True
    sessions: bool = True
    is_global: bool = False


class Answer(NamedTuple):
    """`refusal`: why there is none."""

    url: str = ""
    region: str = ""
    service: str = ""
    session: bool = False
    refusal: str = ""


@cache
def rules() -> Any:
    loader = Loader()
    return EndpointProvider(
        loader.load_service_model("s3", "endpoint-rule-set-1"), loader.load_data("partitions")
    )


def cases(regions: Iterable[str] = REGIONS) -> Iterator[Case]:
    """With a URL of one's own any switch is an error: there one at a time, and of one URL, will do."""
    every = tuple(itertools.product((False, True), repeat=3))
    one = tuple(switches for switches in every if sum(switches) < 2)
    switches_of = {None: every, URLS[1]: one}
    for kind, names in BUCKETS.items():
        for bucket, region, style, url in itertools.product(names, regions, ADDRESSING_STYLES, URLS):
            for switches in switches_of.get(url, one[:1]):
                case = Case(kind, bucket, region, style, url, switches)
                yield case
                if region == "us-east-1":
                    yield case._replace(is_global=True)
                if bucket.startswith("arn:"):
                    yield case._replace(arn_region=False)
                if bucket.endswith("-s3"):
                    yield case._replace(sessions=False)


def theirs(case: Case) -> Answer:
    accelerate, dualstack, fips = case.switches
    forced = case.style != "virtual" if case.url is not None else case.style == "path"
    asked = {
        "Bucket": case.bucket,
        "Region": case.region,
        "UseFIPS": fips,
        "UseDualStack": dualstack,
        "Accelerate": accelerate,
        "ForcePathStyle": forced and not case.bucket.startswith("arn:"),
        "UseGlobalEndpoint": case.is_global,
        "DisableMultiRegionAccessPoints": False,
        "UseArnRegion": case.arn_region,
    }
    if case.url is not None:
        asked["Endpoint"] = case.url
    if not case.sessions:
        asked["DisableS3ExpressSessionAuth"] = True
    try:
        found = rules().resolve_endpoint(**asked)
    except EndpointProviderError as error:
        return Answer(refusal=str(error))
    schemes = {scheme["name"]: scheme for scheme in found.properties["authSchemes"]}
    name = next((name for name in ("sigv4", "sigv4-s3express") if name in schemes), "sigv4a")
    scheme = schemes[name]
    return Answer(
        found.url, scheme.get("signingRegion", "*"), scheme["signingName"], session=name == "sigv4-s3express"
    )


def ours(case: Case) -> Answer:
    accelerate, dualstack, fips = case.switches
    if case.url is not None and any(case.switches):
        return Answer(refusal="settings.py: AWS's endpoints alone have variants")
    try:
        variant = Variant(accelerate=accelerate, dualstack=dualstack, fips=fips, is_global=case.is_global)
        found = endpoint_for(
            case.bucket, case.region, case.url, case.style, variant, arn_region=case.arn_region
        )
    except ConfigError as error:
        return Answer(refusal=str(error))
    return Answer(found.url, found.region, found.service, session=found.session and case.sessions)


SAME, BOTH, US, THEM, WRONG = (
    "same",
    "refused by both",
    "refused by us alone",
    "refused by them alone",
    "wrong",
)


def verdict(case: Case) -> tuple[str, str]:
    """What becomes of a case, and why it is no worse; "" where no reason is known."""
    their, our = theirs(case), ours(case)
    if their.refusal and our.refusal:
        return BOTH, BOTH
    if our.refusal:
        return US, _reason(OUR_REASONS, our.refusal)
    if their.refusal:
        return THEM, _reason(THEIR_REASONS, their.refusal)
    if their == our:
        return SAME, SAME
    if re.fullmatch(r"https?://\S+\.(?:[\d.]+|\[[\da-f:]+\])(?::\d+)?(?:/.*)?", their.url):
        return SAME, NO_HOST
    return WRONG, ""


def _reason(reasons: dict[str, str], refusal: str) -> str:
    return next((reason for words, reason in reasons.items() if re.search(words, refusal)), "")


def main() -> int:
    counts: Counter[str] = Counter()
    names: dict[str, set[str]] = defaultdict(set)
    reasons: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    unexplained = []
    for case in cases():
        what, why = verdict(case)
        counts[what] += 1
        names[what].add(case.bucket)
        if why not in (SAME, BOTH):
            reasons[what, why][case.kind] += 1
        if not why:
            unexplained.append(case)
    for what in (SAME, BOTH, US, THEM, WRONG):
        print(f"{counts[what]:>7,} {what}, of {len(names[what])} names")
    for (what, why), kinds in sorted(reasons.items()):
        listed = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items())
        print(f"\n{what}: {why or 'WITHOUT A REASON'}\n    {listed}")
    for case in unexplained[:20]:
        print(f"\n{case}\n  theirs {theirs(case)}\n  ours   {ours(case)}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
