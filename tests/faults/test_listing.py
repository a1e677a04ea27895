"""`list_objects`: all keys, in order, whatever the store does meanwhile; else one clear error, and soon."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from s3_upload import ConfigError, Credentials, FailureKind, ListedObject, RunError, S3Client, list_objects
from s3_upload.bucket.asking import Asker, Patience
from s3_upload.bucket.listing import MAX_KEYS, SMALL_PAGE_KEYS, Lister
from s3_upload.s3.operations import Page
from tests.faults.actions import Answer, Delay, Garbage, Reset, Rule, Stall, Torn, foreign, s3_error
from tests.faults.listing import entry, page
from tests.faults.model import S3Model, StoredObject
from tests.faults.uploads import BUCKET, run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer

WHEN_S = 1_700_000_000.25
ODD = [
    "a b", "a&b<c>", "a+b", "a/", "a//b", "a\tb", "a\nb\r", "a\x01b", "a%2Fb", "ä", "e\u0301", "\uff5a",
    "\U0001f600", "~", "a'\"b", "..", "]]>", "&amp;", "日本/語",
]  # fmt: skip


class Quick:
    """No jitter: the next try follows at once."""

    def uniform(self, a: float, b: float, /) -> float:
        return 0.0


def patience(**changes: Any) -> Patience:
    return msgspec.structs.replace(Patience(tries=3, max_outage_s=0.0, answer_s=30.0), **changes)


def model(keys: list[str], keys_per_page: int = 1000) -> S3Model:
    made = S3Model(keys_per_page=keys_per_page)
    for number, key in enumerate(keys):
        made.objects[f"{BUCKET}/{key}"] = StoredObject(b"", number, f"{number:032x}", modified_s=WHEN_S)
    return made


async def objects_of(lister: Lister, prefix: str) -> AsyncGenerator[ListedObject, None]:
    """By one listing."""
    async with aclosing(lister.pages(prefix)) as pages:
        async for some in pages:
            for found in some.objects:
                yield found


def listed(server: FaultServer, prefix: str = "", **changes: Any) -> list[ListedObject]:
    async def main(client: S3Client) -> list[ListedObject]:
        asker = Asker(client, patience(**changes), Quick())
        return [found async for found in objects_of(Lister(asker, BUCKET), prefix)]

    return run(server, main)


def keys_of(server: FaultServer, prefix: str = "", **changes: Any) -> list[str]:
    return [found.key for found in listed(server, prefix, **changes)]


def test_objects_come_in_the_order_of_their_keys_whatever_the_pages(fault_server: StartFaultServer) -> None:
    keys = [f"p/{number:03}" for number in range(25)]
    server = fault_server(model=model([*keys, "o", "q"], keys_per_page=10))
    assert listed(server, "p/") == [
        ListedObject(key, number, f"{number:032x}", WHEN_S) for number, key in enumerate(keys)
    ]
    assert [request.query.get("continuation-token", "") != "" for request in server.requests] == [
        False,
        True,
        True,
    ]
    assert all(request.query["prefix"] == "p/" for request in server.requests)


def test_nothing_is_there(fault_server: StartFaultServer) -> None:
    assert keys_of(fault_server(model=model([]))) == []


def test_odd_names_survive(fault_server: StartFaultServer) -> None:
    server = fault_server(model=model(ODD, keys_per_page=3))
    assert keys_of(server) == sorted(ODD, key=str.encode)


def test_no_key_is_lost_where_a_listing_goes_on_behind_the_last_key_as_it_is(
    fault_server: StartFaultServer,
) -> None:
    """As Ceph's do. A Mac's screenshots have U+202F in their names."""
    keys = [
        *ODD,
        " z",
        "b ",
        "b 9.41\u202fAM.png",
        "a\u00a0b",
        "a\u200db",
        "\u3000",
        "a&#32;b",
        "a&nbsp;b",
        "\x7f",
    ]
    made = model(keys, keys_per_page=1)
    made.raw_tokens = True
    assert keys_of(fault_server(model=made)) == sorted(keys, key=str.encode)


def test_a_store_that_does_not_encode_names_is_understood(fault_server: StartFaultServer) -> None:
    body = (
        b"<ListBucketResult><Contents><Key>a+b%20&amp;&lt;c</Key><Size>1</Size></Contents>"
        b"<IsTruncated>false</IsTruncated></ListBucketResult>"
    )
    assert listed(fault_server([Rule(Answer(200, body=body))])) == [ListedObject("a+b%20&<c", 1)]


def test_the_next_page_is_asked_for_before_this_one_is_through(fault_server: StartFaultServer) -> None:
    server = fault_server(model=model(["a", "b", "c"], keys_per_page=1))

    async def main(client: S3Client) -> None:
        objects = objects_of(Lister(Asker(client, patience()), BUCKET), "")
        assert (await anext(objects)).key == "a"
        await asyncio.to_thread(server.wait_until, lambda: len(server.requests) == 2)
        await objects.aclose()

    run(server, main)


@pytest.mark.parametrize(
    "trouble",
    [s3_error(503, "SlowDown"), s3_error(500, "InternalError"), Reset(), Torn(), Garbage(), foreign(200)],
    ids=repr,
)
def test_a_page_that_fails_is_asked_for_again(fault_server: StartFaultServer, trouble: Any) -> None:
    server = fault_server(
        lambda request: trouble if request.number in {2, 3} else None,
        model=model(["a", "b", "c"], keys_per_page=1),
    )
    assert keys_of(server) == ["a", "b", "c"]
    assert len(server.requests) == 5


@pytest.mark.parametrize("cut", [b"<ListBucketResult><Contents><Key>a</Key>", b"", b"<ListBucketResult>"])
def test_a_page_that_is_cut_short_counts_as_none(fault_server: StartFaultServer, cut: bytes) -> None:
    server = fault_server(
        lambda request: Answer(200, body=cut) if request.number == 1 else None, model=model(["a"])
    )
    assert keys_of(server) == ["a"]


def test_a_page_that_does_not_come_is_asked_for_again_on_another_connection(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server([Rule(Stall(), attempt=1), Rule(Delay(0.01), attempt=2)], model=model(["a"]))
    assert keys_of(server, answer_s=0.2) == ["a"]
    first, second = server.requests
    assert first.connection != second.connection


def test_an_idle_connection_that_was_closed_is_no_try(fault_server: StartFaultServer) -> None:
    server = fault_server(model=model(["a"]))

    async def main(client: S3Client) -> None:
        asker = Asker(client, patience(tries=0), Quick())
        for _ in range(2):
            assert [found.key async for found in objects_of(Lister(asker, BUCKET), "")] == ["a"]
            await asyncio.to_thread(server.close_connections)

    run(server, main)


@pytest.mark.parametrize(
    ("answer", "kind", "why", "requests"),
    [
        (s3_error(403, "AccessDenied", "No."), FailureKind.ACCESS_DENIED, "permission s3:ListBucket", 1),
        (s3_error(404, "NoSuchBucket"), FailureKind.NO_SUCH_BUCKET, "404 NoSuchBucket", 1),
        (s3_error(503, "SlowDown", "Slow."), FailureKind.THROTTLE, "503 SlowDown Slow., after 4 attempts", 4),
        (foreign(200), FailureKind.UNPROVEN, "does not look like an S3 endpoint", 3),
        (Answer(200, body=b"<ListBucketResult>" + bytes(9)), FailureKind.UNPROVEN, "it is cut short", 3),
        (Answer(200, body=page(["<Contents><Key>a</Key></Contents>"])), FailureKind.UNPROVEN, "no size", 3),
        (Reset(), FailureKind.RESET, "", 4),
    ],
)  # fmt: skip
def test_what_cannot_be_listed_is_told_in_one_line(
    fault_server: StartFaultServer, answer: Any, kind: FailureKind, why: str, requests: int
) -> None:
    server = fault_server([Rule(answer)])
    with pytest.raises(RunError) as caught:
        keys_of(server)
    assert caught.value.kind is kind
    assert why in str(caught.value)
    assert f"{server.url}: bucket 'bucket'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == requests


def made(*keys: str) -> list[str]:
    return [entry(key, StoredObject(b"", 1, "e", modified_s=WHEN_S)) for key in keys]


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([page(made("b", "a"))], "'a' comes after 'b'"),
        ([page(made("a", "a"))], "'a' comes after 'a'"),
        ([page(made("a", "b"), token="1"), page(made("b", "c"))], "'b' comes after 'b'"),
        # By UTF-16, as some stores sort, U+1F600 comes before U+FF5A.
        ([page(made("\U0001f600", "\uff5a"))], "'\uff5a' comes after '\U0001f600'"),
        ([page(made("a"), token="1"), page(made("b"), token="1")], "the same continuation token twice"),
        ([page(made("a"), token="1"), page([], token="2"), page([], token="1")], "continuation token twice"),
    ],
)  # fmt: skip
def test_a_listing_without_order_or_end_is_refused(
    fault_server: StartFaultServer, pages: list[bytes], why: str
) -> None:
    server = fault_server(lambda request: Answer(200, body=pages[min(request.number, len(pages)) - 1]))
    with pytest.raises(RunError, match="nothing can be compared") as caught:
        keys_of(server)
    assert why in str(caught.value)


def test_keys_of_another_prefix_are_refused(fault_server: StartFaultServer) -> None:
    with pytest.raises(RunError, match="do not begin with 'p/'"):
        keys_of(fault_server([Rule(Answer(200, body=page(made("a"))))]), "p/")


def test_a_page_larger_than_an_answer_may_be_is_asked_for_in_smaller_ones(
    fault_server: StartFaultServer,
) -> None:
    keys = sorted(f"{number:03}{'日' * 330}" for number in range(500))
    server = fault_server(model=model(keys))
    assert keys_of(server) == keys
    assert [int(request.query["max-keys"]) for request in server.requests] == [
        MAX_KEYS,
        *[SMALL_PAGE_KEYS] * 3,
    ]


def test_a_region_is_put_right(fault_server: StartFaultServer) -> None:
    wrong = "<Error><Code>PermanentRedirect</Code><Region>eu-west-1</Region></Error>"
    server = fault_server([Rule(Answer(301, body=wrong.encode()), attempt=1)], model=model(["a"]))
    assert keys_of(server, tries=0) == ["a"]
    assert "/eu-west-1/s3/" in server.requests[-1].headers["authorization"]


def test_common_prefixes_are_given_as_such(fault_server: StartFaultServer) -> None:
    server = fault_server(model=model(["p/a b/1", "p/a b/2", "p/c", "p/d/e/f", "q"]))

    async def main(client: S3Client) -> None:
        found = await Lister(Asker(client), BUCKET).page(Page("p/", delimiter="/"))
        assert [one.key for one in found.objects] == ["p/c"]
        assert found.prefixes == ["p/a b/", "p/d/"]

    run(server, main)


def test_the_call_opens_a_client_of_its_own_or_takes_one(fault_server: StartFaultServer) -> None:
    server = fault_server(model=model(["p/a", "p/b", "q"]))
    own: dict[str, Any] = {"endpoint_url": server.url, "credentials": Credentials("key", "secret")}

    async def main(client: S3Client) -> None:
        assert [found.key async for found in list_objects(f"s3://{BUCKET}/p", **own)] == ["p/a", "p/b"]
        assert [found.key async for found in list_objects(f"s3://{BUCKET}", client=client)] == [
            "p/a",
            "p/b",
            "q",
        ]

    run(server, main)


def test_what_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="must look like s3://"):
        list_objects("bucket/prefix")
    with pytest.raises(ConfigError, match=r"directory buckets .* do not list objects in the order"):
        list_objects("s3://fast--use1-az4--x-s3/p")
    with pytest.raises(TypeError, match="url"):
        list_objects(b"s3://bucket")  # type: ignore[arg-type]
