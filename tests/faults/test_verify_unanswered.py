"""`verify_files` where the store does not say what it has of an object: that is no proof."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload import FailureKind, RunError, S3Client, Verified, verify_files
from s3_upload.bucket.asking import Asker, Unanswered
from s3_upload.bucket.proof import Bucket, Unproven
from s3_upload.http import Response
from s3_upload.http1.trace import SendOptions, Trace
from s3_upload.request_fields import NO_FIELDS
from s3_upload.s3.operations import GET_OBJECT, HEAD_OBJECT, Operation
from s3_upload.s3.responses import Failure
from tests.faults.actions import Action, Answer, Request, Reset, Rule
from tests.faults.test_engine_correct import Provided, Renewing, with_token
from tests.faults.test_sync import holding, put
from tests.faults.test_verify import marks, tree  # noqa: F401 - a fixture
from tests.faults.uploads import BUCKET, config, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer


@pytest.mark.parametrize(
    ("method", "how"),
    [("HEAD", {"compare": "checksum"}), ("HEAD", {"compare": "mtime"}), ("GET", {"download": True})],
)
def test_where_the_store_does_not_answer_about_an_object_nothing_is_told_to_be_the_same(
    fault_server: StartFaultServer,
    tree: Path,  # noqa: F811
    method: str,
    how: dict[str, Any],
) -> None:
    model = holding(tree)
    put(model, "p/a", b"A")
    server = fault_server([Rule(Reset(), method=method, key="p/*")], model=model)
    with pytest.raises(RunError, match=f"{method.capitalize()}Object of p/") as caught:
        marks(server, tree, **how, config=config(n_retries=0))
    assert caught.value.kind is FailureKind.RESET


@pytest.mark.parametrize("status", [400, 403])
def test_a_token_that_expires_while_checksums_are_compared_is_renewed(
    fault_server: StartFaultServer,
    tree: Path,  # noqa: F811
    status: int,
) -> None:
    """HeadObject says nothing but 400, and took size and time for a proof."""
    model, provider = holding(tree), Renewing()
    put(model, "p/a", b"A", headers={"x-amz-server-side-encryption": "AES256"})
    expired = with_token("ExpiredToken", status=status)
    server = fault_server(lambda request: expired(request) if request.key else None, model=model)

    async def verify(client: S3Client) -> dict[str, Verified]:
        async with Provided(client.endpoint, provider) as renewing:
            found = verify_files(tree, f"s3://{BUCKET}/p", client=renewing)
            return {one.key: one async for one in found}

    found = run(server, verify)
    assert (found["p/a"].mark, found["p/a"].reason) == ("*", "checksum differs")
    assert provider.refreshes == 1


def test_where_checksums_may_not_be_asked_for_head_object_is_asked_without(
    fault_server: StartFaultServer,
    tree: Path,  # noqa: F811
) -> None:
    model = holding(tree)
    put(model, "p/a", b"A")

    def script(request: Request) -> Action | None:
        return Answer(400) if "x-amz-checksum-mode" in request.headers else None

    server = fault_server(script, model=model)
    assert marks(server, tree, compare="checksum")["p/a"].mark == "*"
    asked = [request.method for request in server.requests if request.key == "p/a"]
    assert asked == ["HEAD", "GET", "HEAD", "HEAD"]


class Denying(Asker):
    """Of a store that lets nobody read but the object `key`; `why`: how GetObject fails."""

    def __init__(self, client: S3Client, key: str, why: FailureKind = FailureKind.ACCESS_DENIED) -> None:
        super().__init__(client)
        self.key = key
        self.why = why
        self.asked: list[str] = []

    async def ask(self, operation: Operation, *_: Any, **__: Any) -> Any:
        self.asked.append(operation.name)
        await asyncio.sleep(0)
        if operation.key == self.key:
            return Response(200, {})
        trace = Trace(SendOptions(1.0), asyncio.get_running_loop().time)
        why = self.why if operation.name == GET_OBJECT else FailureKind.ACCESS_DENIED
        raise Unanswered(operation, Failure(why, 403), trace, 1)


@pytest.mark.parametrize(
    ("why", "what"), [(FailureKind.ACCESS_DENIED, Unproven), (FailureKind.RESET, RunError)]
)
def test_who_may_not_read_pays_for_few_questions_more_than_one_for_each_object(
    why: FailureKind, what: type[Exception]
) -> None:
    async def main() -> None:
        async with S3Client(endpoint_url="http://127.0.0.1:9", sign=False) as client:
            asker = Denying(client, "7", why)
            there = Bucket(asker, BUCKET, NO_FIELDS)
            heads = [there.head(f"{n}") for n in range(48)]
            found = await asyncio.gather(*heads, return_exceptions=True)
        assert [n for n, one in enumerate(found) if not isinstance(one, what)] == [7]
        assert (asker.asked.count(HEAD_OBJECT), asker.asked.count(GET_OBJECT)) == (48, 2)

    asyncio.run(main())
