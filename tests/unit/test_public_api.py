"""The public names: there, typed, and loaded only when they are used.

`assert_type` is checked by mypy (`make check`); the same code runs here against a real store.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import pydoc
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type, get_type_hints, is_typeddict

import pytest

import s3_upload
from s3_upload import (
    AttemptReport,
    Credentials,
    FailureKind,
    ObjectSource,
    RequestFields,
    S3Client,
    UploadConfig,
    UploadError,
    UploadReport,
    UploadsFailed,
    UploadSummary,
    adapters,
    embedded,
    files_recursive,
    s3_upload_files,
)

if TYPE_CHECKING:
    from tests.store import Store


@pytest.mark.parametrize("name", s3_upload.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(s3_upload, name)
    assert name in dir(s3_upload)
    if inspect.isclass(value) or inspect.isfunction(value):  # others are aliases of types
        assert getattr(import_module(value.__module__), name) is value


def documented() -> list[tuple[str, object]]:
    """Everything public that has annotations, methods and properties included."""
    found: list[tuple[str, object]] = []
    names = [(s3_upload, name) for name in s3_upload.__all__]
    names += [(adapters, "boto3_client"), (adapters, "aiobotocore_client"), (embedded, "EmbeddedStore")]
    for module, name in names:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)) or is_typeddict(value):
            continue
        found.append((name, value))
        members = vars(value) if inspect.isclass(value) else {}
        for member in members:
            if not member.startswith("_") or member == "__init__":
                attribute = members[member]
                function = attribute.fget if isinstance(attribute, property) else getattr(value, member)
                if callable(function):
                    found.append((f"{name}.{member}", function))
    return found


@pytest.mark.parametrize(("name", "value"), documented())
def test_tools_can_read_every_public_signature(name: str, value: Any) -> None:
    """help(), editors and frameworks resolve annotations at run time, where no type checker is."""
    get_type_hints(value)
    is_error = inspect.isclass(value) and issubclass(value, Exception)
    with suppress(*[ValueError] if is_error else []):  # of a builtin exception Python knows no signature
        inspect.signature(value)


def test_help_shows_every_public_name() -> None:
    text = pydoc.plain(pydoc.render_doc(s3_upload))
    assert {name for name in s3_upload.__all__ if name not in text} <= {"__version__"}


def test_all_is_sorted_and_without_doubles() -> None:
    assert list(s3_upload.__all__) == sorted(set(s3_upload.__all__))


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 's3_upload' has no attribute 'download'"):
        _ = s3_upload.download  # type: ignore[attr-defined]


def test_what_the_type_checker_sees_is_what_is_loaded() -> None:
    tree = ast.parse(Path(s3_upload.__file__).read_text(encoding="utf-8"))
    seen = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("s3_upload")
        for alias in node.names
    }
    table = s3_upload._NAMES_IN.items()
    loaded = {f"s3_upload.{module}.{name}" for module, names in table for name in names}
    assert seen == loaded
    assert {path.rpartition(".")[2] for path in loaded} | {"__version__"} == set(s3_upload.__all__)


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert s3_upload.__version__ == version("s3-upload")


def test_the_types_are_shipped() -> None:
    assert resources.files(s3_upload).joinpath("py.typed").is_file()


@pytest.mark.parametrize(
    "use", ["import s3_upload", "from s3_upload.cli.main import main; main(['--version'])"]
)
def test_nothing_is_loaded_before_it_is_used(use: str) -> None:
    heavy = "{'asyncio', 'ssl', 'msgspec', 'cyclopts', 'rich', 'botocore', 's3_upload.clients.s3'}"
    code = f"import sys; {use}; print(*({heavy} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.split() == []


async def upload_typed(store: Store, bucket: str, directory: Path) -> UploadSummary:
    """Uses every part of the API the way its users do, so that mypy can say what it makes of it."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"stream"

    async def progress(report: UploadReport) -> None:
        assert_type(report.error, UploadError | None)
        assert_type(report.attempt_reports, tuple[AttemptReport, ...])
        assert_type(report.MBps, float)

    def fields(source: ObjectSource) -> RequestFields | None:
        return RequestFields(content_type="text/plain") if source.key.endswith(".txt") else None

    credentials = Credentials(store.access_key, store.secret_key)
    files = assert_type(files_recursive(directory, "files"), Iterator[ObjectSource])
    others = [ObjectSource.data(b"data", "data.txt"), ObjectSource.stream(chunks(), "stream", size=6)]
    async with S3Client(endpoint_url=store.endpoint_url, credentials=credentials) as client:
        assert_type(client, S3Client)
        first = await s3_upload_files(client, bucket, files, UploadConfig(n_retries=2), progress)
        assert_type(first, UploadSummary)
        return await s3_upload_files(client, bucket, others, progress=print_nothing, default_request=fields)


def print_nothing(report: UploadReport) -> None:
    """A plain `progress` is as good as an async one."""


def test_the_typed_use_works(store: Store, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"file")
    summary = asyncio.run(upload_typed(store, bucket, tmp_path))
    assert_type(summary.failed, tuple[UploadReport, ...])
    assert summary.uploaded == 2
    assert store.objects(bucket) == {"files/a": b"file", "data.txt": b"data", "stream": b"stream"}


def test_failures_are_raised_on_demand(store: Store, bucket: str, tmp_path: Path) -> None:
    async def upload() -> UploadSummary:
        credentials = Credentials(store.access_key, store.secret_key)
        async with S3Client(endpoint_url=store.endpoint_url, credentials=credentials) as client:
            return await s3_upload_files(client, bucket, [ObjectSource.file(tmp_path / "missing", "k")])

    summary = asyncio.run(upload())
    with pytest.raises(UploadsFailed) as caught:
        summary.raise_for_failures()
    assert_type(caught.value.errors, tuple[UploadError, ...])
    assert [error.kind for error in caught.value.errors] == [FailureKind.SOURCE]
