"""The whole algorithm over an SDK's client."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from botocore import exceptions

from s3_upload.api import s3_upload_files
from s3_upload.config import MIB, UploadConfig
from s3_upload.errors import ConfigError, FailureKind, RunError
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Action, Request, Reset, Rule, foreign, s3_error
from tests.sdk import with_client

if TYPE_CHECKING:
    from pathlib import Path

    from s3_upload.report import UploadSummary
    from tests.conftest import StartFaultServer
    from tests.faults.server import FaultServer
    from tests.store import Store


def upload(sdk: str, store: Store, bucket: str, contents: dict[str, bytes]) -> UploadSummary:
    config = UploadConfig(multipart_threshold=6 * MIB, part_size=5 * MIB, min_timeout=30.0)
    sources = [ObjectSource.data(body, key) for key, body in contents.items()]
    return with_client(
        sdk,
        lambda client: s3_upload_files(client, bucket, sources, config),
        endpoint_url=store.endpoint_url,
        access_key=store.access_key,
        secret_key=store.secret_key,
    )


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
def test_small_and_multipart_objects_arrive(sdk: str, store: Store, bucket: str) -> None:
    contents = {f"small/{number}": b"%d" % number for number in range(50)}
    contents |= {"empty": b"", "big": b"0123456789abcdef" * (11 * MIB // 16)}
    summary = upload(sdk, store, bucket, contents)
    summary.raise_for_failures()
    assert store.objects(bucket) == contents


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
def test_no_such_bucket_stops_the_run(sdk: str, store: Store) -> None:
    with pytest.raises(RunError) as caught:
        upload(sdk, store, "no-such-bucket-anywhere", {"a": b"x"})
    assert caught.value.kind is FailureKind.NO_SUCH_BUCKET


def with_failing(sdk: str, server: FaultServer, error: Exception, n_files: int) -> UploadSummary:
    """Uploads by an SDK's client that raises `error` before it sends an object."""

    def fail(**_: object) -> None:
        raise error

    async def main(client: Any) -> UploadSummary:
        client._client.meta.events.register_first("before-call.s3.PutObject", fail)
        files = [ObjectSource.data(b"x", f"{number}") for number in range(n_files)]
        return await s3_upload_files(client, "bucket", files, UploadConfig(max_in_flight=1))

    return with_client(sdk, main, endpoint_url=server.url, access_key="key", secret_key="secret")


WITHOUT_CREDENTIALS = [
    getattr(exceptions, "LoginRefreshRequired", exceptions.SSOTokenLoadError)(error_msg="log in"),
    exceptions.InvalidConfigError(error_msg="The source profile does not exist"),
    exceptions.ProfileNotFound(profile="nobody"),
]
CANNOT_SEND = [
    exceptions.NoRegionError(),
    exceptions.UnknownSignatureVersionError(signature_version="v5"),
    exceptions.MissingDependencyException(msg="pip install botocore[crt]"),
    exceptions.EndpointResolutionError(msg="FIPS is not supported with a custom endpoint"),
]


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
@pytest.mark.parametrize(
    ("error", "is_config"),
    [*((error, False) for error in WITHOUT_CREDENTIALS), *((error, True) for error in CANNOT_SEND)],
    ids=lambda given: type(given).__name__,
)
def test_an_sdk_that_could_send_no_object_stops_the_run_at_once(
    sdk: str, fault_server: StartFaultServer, error: Exception, *, is_config: bool
) -> None:
    with pytest.raises((RunError, ConfigError)) as caught:
        with_failing(sdk, fault_server(), error, n_files=3)
    if is_config:
        assert str(caught.value).startswith("this SDK client cannot send: ")
    else:
        assert isinstance(caught.value, RunError)
        assert caught.value.kind is FailureKind.CREDENTIALS
    assert str(error) in str(caught.value)


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
def test_what_an_sdk_refuses_of_an_object_fails_that_alone(sdk: str, fault_server: StartFaultServer) -> None:
    refused = exceptions.ParamValidationError(report="too long")
    summary = with_failing(sdk, fault_server(), refused, n_files=3)
    kinds = [report.error.kind for report in summary.failed if report.error]
    assert kinds == [FailureKind.REJECTED] * 3


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
def test_an_sdk_asks_what_became_of_a_lost_request(
    sdk: str, fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """HeadObject after PutObject and CompleteMultipartUpload whose answers never came; ListParts after
    an InvalidPart, and after the abort of what turns out to be complete."""
    lost = Reset(stored=True)
    server = fault_server(
        [
            Rule(s3_error(400, "InvalidPart"), method="POST", key="parts", query={"uploadId": None}, nth=1),
            Rule(lost, method="PUT", key="small"),
            Rule(lost, method="POST", key="big", query={"uploadId": None}),
        ]
    )
    body = b"0123456789abcdef" * (11 * MIB // 16)
    (tmp_path / "big").write_bytes(body)
    files = [ObjectSource.data(b"x", "small")]
    files += [ObjectSource.file(tmp_path / "big", key) for key in ("big", "parts")]
    settings = UploadConfig(multipart_threshold=6 * MIB, part_size=5 * MIB, n_retries=1, hedge="off")
    summary: UploadSummary = with_client(
        sdk,
        lambda client: s3_upload_files(client, "bucket", files, settings),
        endpoint_url=server.url,
        access_key="key",
        secret_key="secret",
    )
    summary.raise_for_failures()
    assert server.model.bodies("bucket") == {"small": b"x", "big": body, "parts": body}
    # Answers that are lost look like an outage, too: its probes ask for what was answered last.
    assert {"big", "small"} <= {request.key for request in server.of("HEAD")}
    assert sorted(request.key for request in server.of("GET")) == ["big", "parts"]


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
def test_a_store_behind_an_ingress_is_waited_for(sdk: str, fault_server: StartFaultServer) -> None:
    """It is back when a few probes have found it away."""

    def script(request: Request) -> Action | None:
        away = request.number > 2 and len(server.of("HEAD")) < 4
        return foreign(502, "") if away else None

    server = fault_server(script)
    contents = {f"{number}": b"x" for number in range(6)}
    files = [ObjectSource.data(body, key) for key, body in contents.items()]
    settings = UploadConfig(max_in_flight=2, window="fixed", hedge="off", n_retries=10)
    summary: UploadSummary = with_client(
        sdk,
        lambda client: s3_upload_files(client, "bucket", files, settings),
        endpoint_url=server.url,
        access_key="key",
        secret_key="secret",
    )
    summary.raise_for_failures()
    assert server.model.bodies("bucket") == contents


SLICED = UploadConfig(
    multipart_threshold=6 * MIB,
    part_size=8 * MIB,
    max_in_flight=4,
    max_in_flight_bytes=16 * MIB,
    window="fixed",
    hedge="off",
)
"""Of four parts of this size only two fit into the memory: the others go in slices."""


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
def test_an_sdk_reads_by_itself_what_is_not_in_memory(
    sdk: str, store: Store, bucket: str, tmp_path: Path
) -> None:
    body = random.Random(8).randbytes(41 * MIB)
    (tmp_path / "big").write_bytes(body)
    summary: UploadSummary = with_client(
        sdk,
        lambda client: s3_upload_files(client, bucket, [ObjectSource.file(tmp_path / "big", "big")], SLICED),
        endpoint_url=store.endpoint_url,
        access_key=store.access_key,
        secret_key=store.secret_key,
    )
    summary.raise_for_failures()
    assert store.objects(bucket) == {"big": body}


@pytest.mark.parametrize("sdk", ["aiobotocore", "boto3"])
def test_a_file_that_changes_while_an_sdk_reads_it_is_sent_as_the_new_version(
    sdk: str, fault_server: StartFaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "big"
    path.write_bytes(random.Random(8).randbytes(41 * MIB))
    changed = random.Random(9).randbytes(33 * MIB)

    def script(request: Request) -> None:
        if request.part_number and path.stat().st_size != len(changed):
            path.write_bytes(changed)

    server = fault_server(script)
    summary: UploadSummary = with_client(
        sdk,
        lambda client: s3_upload_files(client, "bucket", [ObjectSource.file(path, "big")], SLICED),
        endpoint_url=server.url,
        access_key="key",
        secret_key="secret",
    )
    summary.raise_for_failures()
    assert server.model.bodies("bucket") == {"big": changed}
    assert server.model.uploads == {}
