"""Aborts of multipart uploads that fail are tried again at the end of the run, or told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3_upload.control.retrying.retry import ASK_RETRIES
from s3_upload.errors import FailureKind
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Action, Request, Rule, s3_error
from tests.faults.uploads import BIG, config, stored, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer

PART = {"partNumber": "2"}
SNAG = s3_error(500, "InternalError")


def test_an_abort_that_fails_changes_nothing(fault_server: StartFaultServer, big: Path) -> None:
    server = fault_server([Rule(SNAG, query=PART), Rule(SNAG, method="DELETE")])
    summary = upload(server, [ObjectSource.file(big, "bad")], settings=config(n_retries=1))
    [report] = summary.failed
    assert report.error is not None
    assert report.error.kind is FailureKind.SERVER
    assert "its parts may still be there (the store answered 500 InternalError" in report.error.message
    assert len(server.of("DELETE")) > 1 + ASK_RETRIES, "not tried once more at the end"
    assert len(server.model.uploads) == 1
    assert summary.notes == ("could not abort the multipart upload of bad: parts may be left there",)


def test_an_abort_that_failed_is_tried_again_at_the_end_of_the_run(
    fault_server: StartFaultServer, big: Path
) -> None:
    tries = range(1, 2 + ASK_RETRIES)
    server = fault_server([Rule(SNAG, query=PART), Rule(SNAG, method="DELETE", nth=tries)])
    summary = upload(server, [ObjectSource.file(big, "bad")], settings=config(n_retries=1))
    assert [report.key for report in summary.failed] == ["bad"]
    assert server.model.uploads == {}
    assert summary.notes == ()


@pytest.mark.parametrize("times", [1, 99])
def test_an_abort_that_was_refused_is_tried_at_the_end_and_told_though_its_object_has_gone_another_way(
    fault_server: StartFaultServer, big: Path, times: int
) -> None:
    changed = b"!" + BIG[1:]

    def script(request: Request) -> Action | None:
        if request.part_number == 4 and big.read_bytes() != changed:
            big.write_bytes(changed)
        refused = request.method == "DELETE" and len(server.of("DELETE")) <= times
        return s3_error(403, "AccessDenied") if refused else None

    server = fault_server(script)
    summary = upload(server, [ObjectSource.file(big, "big")])
    assert (summary.uploaded, stored(server)) == (1, {"big": changed})
    is_left = "could not abort the multipart upload of big: parts may be left there" in summary.notes
    assert (list(server.model.uploads), is_left) == (([], False) if times == 1 else (["upload-1"], True))
