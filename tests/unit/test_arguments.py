"""What is public checks what it is given: one line, where it is given, names the argument and its type."""

from __future__ import annotations

import asyncio
import io
import re
from array import array
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from s3_upload import (
    Credentials,
    ObjectSource,
    Pace,
    RequestFields,
    S3Client,
    UploadConfig,
    content_type_by_name,
    files_recursive,
    s3_upload_files,
)
from s3_upload.errors import ConfigError

NOWHERE = "http://127.0.0.1:1"
OURS = object()
"""Stands for a client of ours."""
SOURCE = ObjectSource.data(b"x", "k")


def text_file() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO())


class AsyncFile:
    async def read(self, size: int = -1) -> bytes:
        return b""


# --- sources


@pytest.mark.parametrize("data", [7, True, None, 1.5, "text", [1], Path("x")], ids=repr)
def test_data_that_is_not_bytes(data: Any) -> None:
    """`bytes(7)` would be seven zeros."""
    with pytest.raises(TypeError, match=r"data: must be bytes, not \w+"):
        ObjectSource.data(data, "k")


def test_data_is_the_bytes_of_any_buffer() -> None:
    numbers = array("i", [1, 2, 3])
    for data in (memoryview(numbers), memoryview(numbers)[::2], numbers):
        source = ObjectSource.data(data, "k")  # type: ignore[arg-type]
        assert source.body == memoryview(data).tobytes()
        assert source.size == len(source.body)


@pytest.mark.parametrize("key", [7, None, b"k", Path("a/b")], ids=repr)
def test_a_key_that_is_not_text(key: Any) -> None:
    makes: list[Callable[[], ObjectSource]] = [
        lambda: ObjectSource.data(b"", key),
        lambda: ObjectSource.file("p", key),
        lambda: ObjectSource.stream([], key),
        lambda: ObjectSource(key=key, path="p"),
    ]
    for make in makes:
        with pytest.raises(TypeError, match=r"key: must be str, not \w+"):
            make()


def test_a_path_as_key_is_told_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"key: must be str, not PosixPath; use its as_posix\(\)"):
        ObjectSource.file("p", Path("a/b"))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [7, None, [], ObjectSource], ids=repr)
def test_a_path_that_is_none(path: Any) -> None:
    with pytest.raises(TypeError, match=r"path: must be str or os.PathLike, not \w+"):
        ObjectSource.file(path, "k")


@pytest.mark.parametrize(
    ("chunks", "hint"),
    [
        (b"bytes", "for bytes use ObjectSource.data"),
        (bytearray(), "for bytes use ObjectSource.data"),
        ("path", "for a path ObjectSource.file"),
        (7, ""),
        (None, ""),
        (Path("p"), ""),
        (lambda: iter(()), ""),
        (text_file(), "binary mode"),
        (io.StringIO(), "binary mode"),
        (AsyncFile(), "async"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_chunks_that_are_no_stream(chunks: Any, hint: str) -> None:
    with pytest.raises(TypeError, match=f"chunks: must be an iterable of bytes, .*, not .*{hint}"):
        ObjectSource.stream(chunks, "k")
    if chunks is not None:
        with pytest.raises(TypeError, match="chunks: must be an iterable of bytes"):
            ObjectSource(key="k", chunks=chunks)


@pytest.mark.parametrize("chunk", [7, "text", None, [1]], ids=repr)
def test_a_list_of_what_is_not_bytes(chunk: Any) -> None:
    with pytest.raises(TypeError, match=r"chunks\[1\]: must be bytes, not \w+"):
        ObjectSource.stream([b"x", chunk], "k")


@pytest.mark.parametrize("size", ["7", 1.5, True, b""], ids=repr)
def test_a_size_that_is_no_number(size: Any) -> None:
    with pytest.raises(TypeError, match=r"size: must be int or None, not \w+"):
        ObjectSource.stream([], "k", size)


def test_a_negative_size() -> None:
    with pytest.raises(ConfigError, match="size = -1: must not be negative"):
        ObjectSource.stream([], "k", -1)


@pytest.mark.parametrize("body", ["text", 7, bytearray(b"x")], ids=repr)
def test_a_body_that_is_not_bytes(body: Any) -> None:
    with pytest.raises(TypeError, match=r"body: must be bytes, not \w+"):
        ObjectSource(key="k", body=body)


@pytest.mark.parametrize("directory", [7, None, [], ObjectSource], ids=repr)
def test_a_directory_that_is_none(directory: Any) -> None:
    with pytest.raises(TypeError, match=r"src_dir: must be str or os.PathLike, not \w+"):
        files_recursive(directory)


@pytest.mark.parametrize("prefix", [7, None, Path("x"), b""], ids=repr)
def test_a_prefix_that_is_not_text(prefix: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"key_prefix: must be str, not \w+"):
        files_recursive(tmp_path, prefix)


# --- fields

TEXTS = [
    name for name in RequestFields.__struct_fields__ if RequestFields.__annotations__[name] == "str | None"
]
TIMES = ["expires", "object_lock_retain_until_date"]
MAPPINGS = ["metadata", "tags", "sse_kms_encryption_context"]


def test_every_field_is_of_some_type_that_is_checked() -> None:
    others = {"bucket_key_enabled", "sse_customer_key"}
    assert {*TEXTS, *TIMES, *MAPPINGS, *others} == set(RequestFields.__struct_fields__)


@pytest.mark.parametrize(
    ("names", "values", "wanted"),
    [
        (TEXTS, [7, True, b"x", {}, datetime.now(UTC)], "str or None"),
        (TIMES, [7, True, b"x", {}], "datetime, str or None"),
        (MAPPINGS, [7, None, "x", ["a"]], "a mapping of str to str"),
        (["bucket_key_enabled"], [1, "true", {}], "bool or None"),
        (["sse_customer_key"], [b"x" * 32, "x", {}], "CustomerKey or None"),
    ],
    ids=["text", "time", "mapping", "switch", "key"],
)
def test_a_field_of_another_type(names: list[str], values: list[Any], wanted: str) -> None:
    for name in names:
        for value in values:
            with pytest.raises(TypeError, match=re.escape(f"{name}: must be {wanted}, not ")):
                RequestFields(**{name: value})


@pytest.mark.parametrize("name", MAPPINGS)
def test_a_mapping_of_other_things_than_text(name: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"{name}['a']: must be str, not int")):
        RequestFields(**{name: {"a": 1}})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=f"a key of {name}: must be str, not int"):
        RequestFields(**{name: {1: "a"}})  # type: ignore[arg-type]


def test_no_message_quotes_a_value() -> None:
    for wrong in (
        {"content_type": b"SECRET"},
        {"metadata": {"a": b"SECRET"}},
        {"sse_customer_key": "SECRET"},
    ):
        with pytest.raises(TypeError) as caught:
            RequestFields(**wrong)
        assert "SECRET" not in str(caught.value)


def test_a_dict_instead_of_fields() -> None:
    with pytest.raises(
        TypeError, match=r"fields: must be RequestFields, not dict; RequestFields\(\*\*\.\.\.\)"
    ):
        content_type_by_name({"content_type": "text/plain"})  # type: ignore[arg-type]


# --- the client


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("endpoint_url", [7, b"http://x", True]),
        ("region", [7, b"x", True]),
        ("profile", [7, b"x", True]),
        ("credentials", ["x", ("a", "b"), {"access_key": "x"}]),
        ("verify", [None, 0, 7, b"x"]),
        ("client_certificate", [7, ("a",), b"x", (1, 2), ["a", "b"]]),
        ("sign", ["no", 0, None]),
        ("use_accelerate_endpoint", ["yes", 1]),
        ("use_dualstack_endpoint", ["yes", 1]),
        ("use_fips_endpoint", ["yes", 1]),
        ("checksum_algorithm", [7, None]),
        ("utc_clock", [7, None]),
    ],
)
def test_a_client_of_wrong_arguments(argument: str, values: list[Any]) -> None:
    for value in values:
        arguments = {"endpoint_url": NOWHERE, "region": "r", argument: value}
        with pytest.raises((TypeError, ConfigError), match=f"^{argument}.*must be"):
            S3Client(**arguments)


@pytest.mark.parametrize("arguments", [(7, "x"), (None, "x"), ("x", b"y"), ("x", "y", 7)], ids=repr)
def test_credentials_of_another_type(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match=r"(access_key|secret_key|session_token): must be"):
        Credentials(*arguments)


@pytest.mark.parametrize("bandwidth", [7, None, b"20MB/s"], ids=repr)
def test_a_bandwidth_that_is_not_text(bandwidth: Any) -> None:
    with pytest.raises(ConfigError, match="must be a text"):
        Pace("fair", bandwidth)


# --- the call


def call(*arguments: Any, **named: Any) -> None:
    """`s3_upload_files` with a client that reaches nobody: nothing may be tried."""

    async def main() -> None:
        credentials = Credentials("k", "s")
        async with S3Client(endpoint_url=NOWHERE, region="r", credentials=credentials) as client:
            given: list[Any] = [client if one is OURS else one for one in arguments]
            await s3_upload_files(*given, **named)

    asyncio.run(main())


@pytest.mark.parametrize("files", ["a.txt", b"a.txt", Path("a.txt"), SOURCE, None, 7], ids=repr)
def test_files_that_are_no_iterable_of_sources(files: Any) -> None:
    hint = r"; files_recursive\(directory\) gives one" if isinstance(files, str | bytes | Path) else ""
    with pytest.raises(TypeError, match=rf"files: must be an iterable of ObjectSource, .*, not \w+{hint}$"):
        call(OURS, "bucket", files)


@pytest.mark.parametrize("item", ["a.txt", Path("a.txt"), b"x", None, 7, {"key": "k"}], ids=repr)
@pytest.mark.parametrize("kind", ["list", "generator", "async"])
def test_an_item_of_files_that_is_no_source(kind: str, item: Any) -> None:
    async def gives() -> Any:
        yield item

    files: Any = {"list": [item], "generator": (one for one in [item]), "async": gives()}[kind]
    hint = r"; use ObjectSource.file\(path, key\)" if isinstance(item, str | Path) else ""
    with pytest.raises(TypeError, match=rf"an item of files: must be ObjectSource, not \w+{hint}$"):
        call(OURS, "bucket", files)


def test_an_sdk_client_instead_of_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = botocore.session.Session().create_client("s3", region_name="us-east-1")
    expected = "client: must be .*, not S3; s3_upload.adapters.boto3_client makes one of it"
    with pytest.raises(TypeError, match=expected):
        call(sdk, "bucket", [SOURCE])


@pytest.mark.parametrize("client", [None, "https://s3.amazonaws.com", S3Client], ids=repr)
def test_a_client_that_is_none(client: Any) -> None:
    with pytest.raises(TypeError, match="client: must be an S3Client or an adapter's client, not "):
        call(client, "bucket", [SOURCE])


@pytest.mark.parametrize("bucket", [7, None, b"bucket", Path("bucket")], ids=repr)
def test_a_bucket_that_is_not_text(bucket: Any) -> None:
    with pytest.raises(TypeError, match="bucket: must be str, not "):
        call(OURS, bucket, [SOURCE])


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("config", {"n_retries": 0}, "config: must be UploadConfig or None, not dict"),
        ("config", {}, "config: must be UploadConfig or None, not dict"),
        ("progress", 7, "progress: must be callable or None, not int"),
        ("default_request", {}, "default_request: must be callable or None, not dict"),
        (
            "default_request",
            RequestFields(),
            r"not RequestFields; content_type_by_name\(fields\) makes one",
        ),
        ("pace", "fair", "pace: must be Pace or None, not str"),
    ],
    ids=repr,
)
def test_another_argument_of_a_wrong_type(argument: str, value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(OURS, "bucket", [SOURCE], **{argument: value})


@pytest.mark.parametrize("fields", [{}, {"content_type": "x"}, "text/plain", 7], ids=repr)
def test_fields_that_are_none(fields: Any) -> None:
    with pytest.raises(TypeError, match="what default_request returns: must be RequestFields or None, not "):
        call(OURS, "bucket", [SOURCE], UploadConfig(n_retries=0), default_request=lambda _: fields)
