"""Several listings side by side give what one gives: all keys, once, in order; and in fewer round trips."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import RunError, S3Client
from s3_upload.bucket.asking import Asker
from s3_upload.bucket.fanning import AHEAD, LANES, Span, fanned
from s3_upload.bucket.listing import Lister
from tests.faults.actions import Rule, s3_error
from tests.faults.model import S3Model
from tests.faults.test_listing import Quick, model, patience
from tests.faults.uploads import BUCKET, run

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer


def keys_of(server: FaultServer, span: Span) -> list[str]:
    async def main(client: S3Client) -> list[str]:
        lister = Lister(Asker(client, patience(), Quick()), BUCKET)
        return [found.key async for some in fanned(lister, span, fast_s=0.0) for found in some]

    return run(server, main)


def expected(made: S3Model, span: Span) -> list[str]:
    keys = sorted(name.removeprefix(f"{BUCKET}/") for name in made.objects)
    return [
        key
        for key in keys
        if key.startswith(span.prefix) and key > span.after and not (span.last and key > span.last)
    ]


TREES = {
    "flat": [f"{n:04}" for n in range(300)],
    "even": [f"d{n:02}/{m}" for n in range(30) for m in range(10)],
    "tiny": [f"d{n:03}/f" for n in range(300)],
    "deep": [f"a/b/c/d{n:02}/{m}" for n in range(30) for m in range(10)],
    "one is huge": ["a/1", *(f"b/x{n:02}/{m:02}" for n in range(20) for m in range(20)), "c/1", "d/1"],
    "huge and flat": ["a/1", *(f"b/{n:04}" for n in range(300)), "c/1", "d/1"],
    "names around the slash": [
        f"d{n}{end}" for n in range(40) for end in ("", "-", "-/x", ".", "/", "/x", "0", "0/y")
    ],
    "files and directories": [f"{n:03}{end}" for n in range(100) for end in (".txt", "/a", "/b")],
    "odd": [
        f"{name}/{n}" for name in ("a b", "a+b", "ä", "\U0001f600", "~", "%2F", "&amp;") for n in range(20)
    ],
}


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("span", [Span(""), Span("", "d1", "d3/5"), Span("b"), Span("d0")])
def test_all_keys_come_once_and_in_order(fault_server: StartFaultServer, name: str, span: Span) -> None:
    made = model(TREES[name], keys_per_page=7)
    assert keys_of(fault_server(model=made), span) == expected(made, span)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_tree_all_keys_come_once_and_in_order(fault_server: StartFaultServer, seed: int) -> None:
    rng = random.Random(seed)
    names = ["a", "b", "a-", "a.", "a0", "ab", "B", "ü", ""]
    keys = {"/".join(rng.choices(names, k=rng.randint(1, 5))) for _ in range(rng.choice([5, 50, 400]))} - {""}
    made = model(sorted(keys), keys_per_page=rng.randint(1, 9))
    span = Span(
        rng.choice(["", "a", "a/", "a-/"]), rng.choice(["", "a", "a/b"]), rng.choice(["", "a/b/", "b"])
    )
    assert keys_of(fault_server(model=made), span) == expected(made, span)


def test_one_page_is_one_request(fault_server: StartFaultServer) -> None:
    server = fault_server(model=model(["a/1", "b/2"]))
    assert keys_of(server, Span("")) == ["a/1", "b/2"]
    assert len(server.requests) == 1


def test_a_store_that_is_near_is_asked_for_one_page_after_the_other(fault_server: StartFaultServer) -> None:
    server = fault_server(model=model(TREES["even"], keys_per_page=7))

    async def main(client: S3Client) -> None:
        lister = Lister(Asker(client, patience(), Quick()), BUCKET)
        assert sum([len(some) async for some in fanned(lister, Span(""), fast_s=60.0)]) == 300

    run(server, main)
    assert [request for request in server.requests if "delimiter" in request.query] == []
    assert len(server.requests) == 43


def test_small_directories_share_requests(fault_server: StartFaultServer) -> None:
    server = fault_server(model=model(TREES["tiny"], keys_per_page=30))
    keys_of(server, Span(""))
    assert len(server.requests) <= 30  # ten pages, ten that tell where to divide, and their ends


def test_ranges_are_listed_side_by_side_and_not_too_many(fault_server: StartFaultServer) -> None:
    keys = [f"d{n:03}/{m}" for n in range(200) for m in range(10)]
    server = fault_server(model=model(keys, keys_per_page=10))

    async def main(client: S3Client) -> None:
        lister = Lister(Asker(client, patience(), Quick()), BUCKET)
        objects = fanned(lister, Span(""), fast_s=0.0)
        for _ in range(3):
            await anext(objects)
        # Nobody takes what comes, so as much comes as may wait: and then nothing more.
        await asyncio.to_thread(server.wait_until, lambda: len(server.requests) >= LANES * 2)
        await objects.aclose()

    run(server, main)
    assert len(server.requests) <= LANES * AHEAD + 10


@pytest.mark.parametrize("attempt", [2, 5, 9])
def test_what_fails_once_is_asked_for_again(fault_server: StartFaultServer, attempt: int) -> None:
    made = model(TREES["even"], keys_per_page=7)
    server = fault_server([Rule(s3_error(503, "SlowDown"), attempt=attempt)], model=made)
    assert keys_of(server, Span("")) == expected(made, Span(""))


def test_what_fails_for_good_ends_it(fault_server: StartFaultServer) -> None:
    def script(request: Any) -> Any:
        return s3_error(403, "AccessDenied") if request.number > 12 else None

    server = fault_server(script, model=model(TREES["even"], keys_per_page=7))
    with pytest.raises(RunError, match="s3:ListBucket"):
        keys_of(server, Span(""))
