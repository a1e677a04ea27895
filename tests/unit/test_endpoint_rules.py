"""botocore's own endpoint rules beside ours: nothing wrong, and no refusal without a reason."""

from __future__ import annotations

from collections import defaultdict

from tests.endpoint_rules import THEM, US, WRONG, Case, cases, theirs, verdict

MAX_NAMES_REFUSED = 60
SOME_REGIONS = ("us-east-1", "cn-north-1")


def test_nothing_is_wrong_and_each_refusal_of_one_side_alone_has_a_reason() -> None:
    """In two regions; `python -m tests.endpoint_rules` compares all."""
    found: dict[str, list[Case]] = defaultdict(list)
    unexplained = []
    for case in cases(SOME_REGIONS):
        what, why = verdict(case)
        found[what].append(case)
        if not why:
            unexplained.append(case)
    assert found[WRONG] == []
    assert unexplained == []
    assert len({case.bucket for case in found[US]}) <= MAX_NAMES_REFUSED
    assert {case.bucket for case in found[THEM]} >= {"photos--usaz1--x-s3"}


def test_the_comparison_sees_what_it_should() -> None:
    arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/photos"
    answer = theirs(Case("access point", arn, "us-east-1", "auto", None, (False, False, True)))
    assert answer.url == "https://photos-123456789012.s3-accesspoint-fips.us-west-2.amazonaws.com"
    assert (answer.region, answer.service) == ("us-west-2", "s3")
    answer = theirs(Case("directory", "x--use1-az4--x-s3", "us-east-1", "auto", None, (False, False, False)))
    assert answer.url == "https://x--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com"
    assert (answer.region, answer.service, answer.session) == ("us-east-1", "s3express", True)
