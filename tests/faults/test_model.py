"""The model of S3 behind the fault server, seen from boto3 where boto3 can show it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import zlib
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import pytest

from tests.faults.model import S3Model
from tests.faults.peer import BODY, put
from tests.store import boto3_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import StartFaultServer, Tls
    from tests.faults.server import FaultServer


@contextlib.contextmanager
def boto3_of(server: FaultServer, **options: Any) -> Iterator[Any]:
    client = boto3_client(server.url, "access", "secret-secret", **options)
    with contextlib.closing(client):
        yield client


def test_virtual_hosted_style(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server()
    peer = connect(server)
    peer.send(
        f"PUT /a/b HTTP/1.1\r\nHost: pics.localhost:{server.port}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert peer.answer()[0] == 200
    assert server.model.bodies("pics") == {"a/b": b""}


@pytest.mark.parametrize(
    ("header", "right", "code"),
    [
        ("x-amz-content-sha256", hashlib.sha256(BODY).hexdigest(), b"XAmzContentSHA256Mismatch"),
        (
            "x-amz-checksum-crc32",
            base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode(),
            b"BadDigest",
        ),
        ("Content-MD5", base64.b64encode(hashlib.md5(BODY).digest()).decode(), b"BadDigest"),
    ],
)
def test_checksums_are_checked(
    fault_server: StartFaultServer, connect: Any, header: str, right: str, code: bytes
) -> None:
    server = fault_server()
    peer = connect(server)
    peer.send(put("right", BODY, f"{header}: {right}"))
    assert peer.answer()[0] == 200
    peer.send(put("wrong", b"x" + BODY[1:], f"{header}: {right}"))
    status, _, body = peer.answer()
    assert status == 400
    assert b"<Code>" + code + b"</Code>" in body
    assert server.model.bodies("bucket") == {"right": BODY}


def test_lengths_are_checked(fault_server: StartFaultServer, connect: Any) -> None:
    server = fault_server()
    peer = connect(server)
    peer.send(b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    status, _, body = peer.answer()
    assert (status, b"MissingContentLength" in body) == (411, True)
    peer.send(put("k", length=20))
    peer.sock.shutdown(socket.SHUT_WR)
    rest = peer.rest()
    assert rest.startswith(b"HTTP/1.1 400")
    assert b"<Code>IncompleteBody</Code>" in rest
    assert server.requests[1].body == BODY
    assert server.model.objects == {}


def test_boto3_reads_back_what_it_wrote(fault_server: StartFaultServer) -> None:
    server = fault_server()
    with boto3_of(server) as client:
        client.put_object(Bucket="b", Key="a b/é", Body=b"x" * 100, Metadata={"m": "1"}, ContentType="t/x")
        head = client.head_object(Bucket="b", Key="a b/é")
        assert (head["ContentLength"], head["Metadata"], head["ContentType"]) == (100, {"m": "1"}, "t/x")
        assert client.get_object(Bucket="b", Key="a b/é")["Body"].read() == b"x" * 100
        with pytest.raises(botocore.exceptions.ClientError, match="PreconditionFailed"):
            client.put_object(Bucket="b", Key="a b/é", Body=b"", IfNoneMatch="*")
        client.delete_object(Bucket="b", Key="a b/é")
        with pytest.raises(botocore.exceptions.ClientError, match="NoSuchKey"):
            client.get_object(Bucket="b", Key="a b/é")
    assert server.errors == []


def test_boto3_over_tls_and_aws_chunked(fault_server: StartFaultServer, tls: Tls) -> None:
    server = fault_server(tls=tls.server_context)
    with boto3_of(server, verify=str(tls.ca_file)) as client:
        client.put_object(Bucket="b", Key="k", Body=b"x" * 100)
    assert server.model.bodies("b") == {"k": b"x" * 100}
    assert "aws-chunked" in server.requests[0].headers["content-encoding"]


def test_multipart(fault_server: StartFaultServer) -> None:
    server = fault_server(model=S3Model(min_part_bytes=10))
    parts = {1: b"a" * 10, 2: b"b" * 12, 3: b"c"}
    with boto3_of(server) as client:
        upload = {"Bucket": "b", "Key": "big&<>"}
        upload["UploadId"] = client.create_multipart_upload(**upload, Metadata={"m": "1"})["UploadId"]
        for n in (3, 1, 2, 1):
            client.upload_part(**upload, PartNumber=n, Body=parts[n])
        listed = client.list_parts(**upload)["Parts"]
        assert [(p["PartNumber"], p["Size"]) for p in listed] == [(1, 10), (2, 12), (3, 1)]
        named = [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in listed]
        etags = {
            client.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})["ETag"] for _ in "12"
        }
        assert client.head_object(Bucket="b", Key="big&<>")["Metadata"] == {"m": "1"}
    digests = b"".join(hashlib.md5(body).digest() for body in parts.values())
    assert etags == {f'"{hashlib.md5(digests).hexdigest()}-3"'}
    assert server.model.bodies("b") == {"big&<>": b"".join(parts.values())}
    assert server.model.uploads == {}
    assert [r.attempt for r in server.requests if r.part_number == 1] == [1, 2]


def test_multipart_refusals(fault_server: StartFaultServer) -> None:
    server = fault_server(model=S3Model(min_part_bytes=10))
    with boto3_of(server) as client:
        upload = {"Bucket": "b", "Key": "k"}
        upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        etags = [client.upload_part(**upload, PartNumber=n, Body=b"short")["ETag"] for n in (1, 2)]
        one, two = ({"PartNumber": n, "ETag": etag} for n, etag in zip((1, 2), etags, strict=True))
        for parts, code in (
            ([two, one], "InvalidPartOrder"),
            ([one, {"PartNumber": 3, "ETag": etags[0]}], "InvalidPart"),
            ([{"PartNumber": 1, "ETag": '"abc"'}], "InvalidPart"),
            ([one, two], "EntityTooSmall"),
            ([], "MalformedXML"),
        ):
            with pytest.raises(botocore.exceptions.ClientError, match=code):
                client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        client.abort_multipart_upload(**upload)
        for call in (client.abort_multipart_upload, client.list_parts):
            with pytest.raises(botocore.exceptions.ClientError, match="NoSuchUpload"):
                call(**upload)
    assert server.model.objects == {} == server.model.uploads


def test_buckets(fault_server: StartFaultServer) -> None:
    with boto3_of(fault_server(model=S3Model(buckets={"there"}))) as client:
        client.put_object(Bucket="there", Key="k", Body=b"")
        with pytest.raises(botocore.exceptions.ClientError, match="NoSuchBucket"):
            client.put_object(Bucket="elsewhere", Key="k", Body=b"")
