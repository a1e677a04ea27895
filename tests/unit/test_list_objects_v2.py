"""`listed_page`: what a page of a listing says, as stores write it; else why it cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3_upload.http import Response
from s3_upload.s3.operations import LIST_OBJECTS_V2, OPERATIONS, Operation, Page
from s3_upload.s3.operations.list_objects_v2 import ListedObject, ListedPage, UnreadableListing, listed_page

OF_AWS = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p%2F</Prefix>
<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=</NextContinuationToken><KeyCount>2</KeyCount>
<MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
<Contents><Key>p/a+b%2B.txt</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>
<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>
<ChecksumType>FULL_OBJECT</ChecksumType><Size>434234</Size><StorageClass>STANDARD</StorageClass></Contents>
<Contents><Key>p/%C3%A4</Key><LastModified>2009-10-12T17:50:30.250Z</LastModified><ETag>"x-2"</ETag><Size>0</Size>
<Owner><ID>8a69</ID><DisplayName>me</DisplayName></Owner></Contents>
<CommonPrefixes><Prefix>p/x/</Prefix></CommonPrefixes></ListBucketResult>"""
THEN_S = datetime(2009, 10, 12, 17, 50, 30, tzinfo=UTC).timestamp()


def read(text: str) -> ListedPage:
    return listed_page(Response(200, {}, text.encode()))


def test_a_page_of_aws() -> None:
    first = ListedObject(
        "p/a b+.txt",
        434234,
        "fba9dede5f27731c9771645a39863328",
        THEN_S,
        "CRC64NVME",
        "FULL_OBJECT",
        "STANDARD",
    )
    assert read(OF_AWS) == ListedPage(
        [first, ListedObject("p/ä", 0, "x-2", THEN_S + 0.25)],
        ["p/x/"],
        "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=",
    )


def test_what_is_said_of_the_page_may_stand_behind_the_objects() -> None:
    text = (
        "<ListBucketResult><Contents><Size>1</Size><Key>a%20b</Key></Contents><IsTruncated>true</IsTruncated>"
        "<NextContinuationToken>a&amp;b</NextContinuationToken><EncodingType>url</EncodingType></ListBucketResult>\n"
    )
    assert read(text) == ListedPage([ListedObject("a b", 1)], [], "a&b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no list"),
        ("<html></html>", "no list"),
        ("<Error><Code>NoSuchBucket</Code></Error>", "no list"),
        (OF_AWS[:-1], "cut short"),
        (OF_AWS.replace("</Contents>", "", 1), "do not end"),
        (OF_AWS.replace("<Contents>", "<Contents a='1'>", 1), "do not end"),
        (OF_AWS.replace("434234", "many"), "no size"),
        (OF_AWS.replace("<Size>0</Size>", ""), "no size"),
        (OF_AWS.replace("%C3%A4", "%C3"), "cannot be read"),
        (OF_AWS.replace("p/%C3%A4", ""), "no key"),
        (OF_AWS.replace("NextContinuationToken", "NextMarker"), "not how to go on"),
    ],
)
def test_what_is_no_whole_page_is_none(text: str, why: str) -> None:
    with pytest.raises(UnreadableListing, match=why):
        read(text)


def test_bytes_that_are_no_text_are_no_page() -> None:
    with pytest.raises(UnreadableListing, match="UTF-8"):
        listed_page(Response(200, {}, b"<ListBucketResult>\xff</ListBucketResult>"))


def test_the_query_is_sorted_and_encoded() -> None:
    query = OPERATIONS[LIST_OBJECTS_V2].query
    assert query is not None
    page = Page("a b/", "a b/ä", delimiter="/", max_keys=7)
    assert query(Operation(name=LIST_OBJECTS_V2, bucket="b", key="", page=page)) == (
        "delimiter=%2F&encoding-type=url&list-type=2&max-keys=7&prefix=a%20b%2F&start-after=a%20b%2F%C3%A4"
    )


def test_an_sdks_answer_is_read_as_the_page_it_came_from() -> None:
    answer: dict[str, Any] = {
        "EncodingType": "url",
        "IsTruncated": True,
        "NextContinuationToken": "t",
        "Contents": [
            {
                "Key": "a+b",
                "Size": 3,
                "ETag": '"e"',
                "LastModified": datetime.fromtimestamp(THEN_S, UTC),
                "ChecksumAlgorithm": ["CRC32"],
                "ChecksumType": "COMPOSITE",
                "StorageClass": "STANDARD",
            }
        ],
        "CommonPrefixes": [{"Prefix": "c/"}],
    }
    rebuild = OPERATIONS[LIST_OBJECTS_V2].sdk.answer
    assert rebuild is not None
    found = listed_page(Response(200, {}, rebuild(answer)))
    assert found == ListedPage(
        [ListedObject("a b", 3, "e", THEN_S, "CRC32", "COMPOSITE", "STANDARD")], ["c/"], "t"
    )
