"""`clean`: which unfinished uploads it lists and aborts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_cli_journal import (
    run,
    src,  # noqa: F401 - a fixture
)
from tests.faults.actions import Rule, s3_error
from tests.faults.model import Upload

if TYPE_CHECKING:
    from tests.conftest import StartFaultServer

pytestmark = pytest.mark.usefixtures("src")


@pytest.mark.parametrize("silently", [False, True])
def test_clean_lists_unfinished_uploads_and_aborts_them_where_it_is_told_to(
    fault_server: StartFaultServer, *, silently: bool
) -> None:
    """Also where keys are encoded and nobody says so, as by Ceph."""
    server = fault_server()
    server.model.encodes_silently = silently
    for number, key in enumerate(("p/a", "p/ü +&", "q/b")):
        server.model.uploads[f"u{number}"] = Upload("bucket", key, {})
    listed = run(server, "clean", "s3://bucket/p/")
    assert listed.returncode == 0
    assert listed.stdout.splitlines()[-1].startswith("2 unfinished uploads")
    assert "s3://bucket/p/ü +& (begun 20" in listed.stdout
    assert "--yes does that" in listed.stderr
    assert len(server.model.uploads) == 3
    assert "no unfinished uploads" in run(server, "clean", "s3://bucket/p/", "--older-than", "1h").stdout
    assert run(server, "clean", "s3://bucket/p/", "--yes").stdout.endswith(
        "aborted 2 unfinished uploads, 0 B\n"
    )
    assert list(server.model.uploads) == ["u2"]


@pytest.mark.parametrize("silently", [False, True])
def test_clean_ends_what_lies_below_any_prefix_and_what_has_any_key(
    fault_server: StartFaultServer, *, silently: bool
) -> None:
    server = fault_server()
    server.model.encodes_silently = silently
    keys = ("a b/ü", "a b/100%25", "a b/100%", "a%20b/x")
    for key in keys:
        server.model.uploads[key] = Upload("bucket", key, {})
    done = run(server, "clean", "s3://bucket/a b", "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "aborted 3 unfinished uploads, 0 B")
    assert list(server.model.uploads) == ["a%20b/x"]


def test_what_the_store_does_not_know_when_it_is_told_to_abort_it_is_told_as_gone(
    fault_server: StartFaultServer,
) -> None:
    """Nothing was aborted: somebody else did it, or the store names it otherwise than it lists it."""
    server = fault_server([Rule(s3_error(404, "NoSuchUpload"), method="DELETE")])
    server.model.uploads["u"] = Upload("bucket", "p/a", {})
    done = run(server, "clean", "s3://bucket/p", "--yes")
    assert done.returncode == 0
    assert done.stdout.startswith("gone: s3://bucket/p/a (begun ")
    assert done.stdout.endswith("\nno unfinished uploads; 1 gone already\n")


def test_an_upload_whose_parts_the_store_does_not_list_is_aborted_and_so_is_the_next(
    fault_server: StartFaultServer,
) -> None:
    """It wants the key of SSE-C for a list of parts, and none for an abort."""
    wants_key = s3_error(400, "InvalidRequest", "The multipart upload initiate requested encryption.")
    server = fault_server([Rule(wants_key, method="GET", key="p/secret")])
    for key in ("p/secret", "p/z"):
        server.model.uploads[key] = Upload("bucket", key, {})
    done = run(server, "clean", "s3://bucket/p", "--yes")
    assert done.returncode == 0
    assert re.match(
        r"aborted: s3://bucket/p/secret \(begun .*, size unknown\)\naborted: .*/p/z \(", done.stdout
    )
    assert done.stdout.endswith("\naborted 2 unfinished uploads, 0 B\n")
    assert not server.model.uploads


@pytest.mark.parametrize("as_they_are", [False, True])
def test_an_upload_is_aborted_by_whichever_key_it_has_where_its_parts_are_not_listed(
    fault_server: StartFaultServer, *, as_they_are: bool
) -> None:
    """Of a store that does not say whether keys are encoded: the list of parts tells that elsewhere."""
    server = fault_server([Rule(s3_error(403, "AccessDenied"), method="GET", key="p/*")])
    server.model.encodes_no_uploads, server.model.encodes_silently = as_they_are, not as_they_are
    server.model.uploads["u"] = Upload("bucket", "p/100%25", {})
    done = run(server, "clean", "s3://bucket/p", "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "aborted 1 unfinished upload, 0 B")
    assert not server.model.uploads


def test_an_upload_that_may_not_be_aborted_is_told_and_the_next_is_aborted(
    fault_server: StartFaultServer,
) -> None:
    server = fault_server([Rule(s3_error(403, "AccessDenied"), method="DELETE", key="p/a")])
    for key in ("p/a", "p/z"):
        server.model.uploads[key] = Upload("bucket", key, {})
    done = run(server, "clean", "s3://bucket/p", "--yes")
    assert done.returncode == 1
    assert done.stdout.startswith("cannot be aborted: s3://bucket/p/a (begun ")
    assert done.stdout.endswith("\naborted 1 unfinished upload, 0 B; 1 cannot be aborted\n")
    assert "AbortMultipartUpload of p/a: 403 AccessDenied" in done.stderr
    assert list(server.model.uploads) == ["p/a"]


def test_clean_of_a_store_that_knows_of_no_upload_finds_none(fault_server: StartFaultServer) -> None:
    server = fault_server([Rule(s3_error(404, "NoSuchUpload"))])
    done = run(server, "clean", "s3://bucket/p/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no unfinished uploads\n", "")


def test_clean_reads_all_pages(fault_server: StartFaultServer) -> None:
    server = fault_server()
    for number in range(1_100):
        server.model.uploads[f"u{number:04}"] = Upload("bucket", f"k{number % 7}", {})
    result = run(server, "clean", "s3://bucket")
    assert result.stdout.splitlines()[-1].startswith("1,100 unfinished uploads")


@pytest.mark.parametrize(
    ("url", "stay"),
    [("s3://bucket/p", ["p2/a", "pa"]), ("s3://bucket/p/", ["p", "p2/a", "pa"]), ("s3://bucket", [])],
)
def test_clean_aborts_what_an_upload_to_the_same_url_would_name_and_no_neighbour(
    fault_server: StartFaultServer, url: str, stay: list[str]
) -> None:
    server = fault_server()
    for key in ("p/a", "p", "p2/a", "pa"):
        server.model.uploads[key] = Upload("bucket", key, {})
    assert run(server, "clean", url, "--yes").returncode == 0
    assert list(server.model.uploads) == stay


def test_clean_finds_what_a_store_lists_by_whole_keys_alone(fault_server: StartFaultServer) -> None:
    """As MinIO does: below a prefix it lists nothing."""
    server = fault_server()
    server.model.lists_whole_keys = True
    for key in ("p", "p/a", "p2/a", "q"):
        server.model.uploads[key] = Upload("bucket", key, {})
    assert "aborted 2 unfinished uploads," in run(server, "clean", "s3://bucket/p", "--yes").stdout
    assert list(server.model.uploads) == ["p2/a", "q"]
    assert run(server, "clean", "s3://bucket/p").stdout == "no unfinished uploads\n"


def test_clean_leaves_alone_what_has_no_age_where_one_is_asked_for(fault_server: StartFaultServer) -> None:
    server = fault_server()
    for key, initiated in (("p/old", "2020-01-01T00:00:00.000Z"), ("p/undated", "")):
        server.model.uploads[key] = Upload("bucket", key, {}, initiated=initiated)
    done = run(server, "clean", "s3://bucket/p", "--older-than", "1d", "--yes")
    assert "aborted 1 unfinished upload," in done.stdout
    assert done.stderr.endswith("note: 1 more is left alone: the store does not say when it was begun\n")
    assert list(server.model.uploads) == ["p/undated"]
    run(server, "clean", "s3://bucket/p", "--yes")
    assert not server.model.uploads
