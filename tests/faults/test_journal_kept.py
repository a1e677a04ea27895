"""What an earlier run left in the store, where the next one is not answered: it is kept, and gone on with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from s3_upload.api import s3_upload_files
from s3_upload.errors import FailureKind, RunError, summary_of
from s3_upload.report import UploadSummary
from tests.faults.actions import Reset, Rule, Stall, foreign, s3_error
from tests.faults.test_journal import half_sent, journaled, parts_sent, tree
from tests.faults.uploads import BUCKET, big, config, run, stored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from s3_upload.clients.s3 import S3Client
    from tests.conftest import StartFaultServer
    from tests.faults.actions import Action, Request
    from tests.faults.server import FaultServer


def assert_goes_on(server: FaultServer, files: Any, journal: Path, had: set[int]) -> None:
    """The store is well again: the next run sends but the parts that it does not have."""
    server.set_script(None)
    before = len(server.requests)
    assert journaled(server, files, journal).uploaded == 1
    assert stored(server) == {"big": big()}
    assert not had & set(parts_sent(server, before))


@pytest.mark.parametrize(
    "answer",
    [s3_error(503, "SlowDown"), Reset(), foreign(404), foreign(502)],
    ids=["slow down", "reset", "404", "502"],
)
def test_a_store_that_is_busy_for_a_moment_has_the_run_go_on_where_it_was(
    fault_server: StartFaultServer, tmp_path: Path, answer: Action
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    [known] = server.model.uploads.values()
    had = set(known.parts)
    server.set_script([Rule(answer, method="GET", nth=range(1, 7))])
    before = len(server.requests)
    summary = journaled(server, files, journal, settings=config(n_retries=8))
    assert (summary.uploaded, stored(server)) == (1, {"big": big()})
    assert server.model.uploads == {}
    assert not had & set(parts_sent(server, before))
    assert server.of("DELETE") == []


def test_a_run_that_goes_on_with_the_wrong_keys_stops_as_any_other_does_and_forgets_nothing(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    refused = s3_error(403, "InvalidAccessKeyId")
    server.set_script([Rule(refused, method="GET"), Rule(refused, method="DELETE")])
    with pytest.raises(RunError) as stopped:
        journaled(server, files, journal)
    assert stopped.value.kind is FailureKind.CREDENTIALS
    server.set_script(None)
    before = len(server.requests)
    assert journaled(server, files, journal).uploaded == 1
    assert set(parts_sent(server, before)) < {1, 2, 3, 4, 5}


@pytest.mark.parametrize("answer", [Reset(), s3_error(503, "SlowDown")])
def test_what_a_store_that_does_not_answer_may_have_is_kept_for_the_next_run(
    fault_server: StartFaultServer, tmp_path: Path, answer: Action
) -> None:
    """It was restarted, or it is the wrong profile: nothing says that the upload is gone."""
    server, files, journal = half_sent(fault_server, tmp_path)
    server.set_script([Rule(answer, method="GET"), Rule(answer, method="DELETE")])
    before = len(server.requests)
    [known] = server.model.uploads.values()
    had = set(known.parts)
    summary = journaled(server, files, journal, settings=config(n_retries=1))
    [failed] = summary.failed
    assert "kept for the next run" in str(failed.error)
    assert len(server.model.uploads) == 1
    assert parts_sent(server, before) == []
    assert_goes_on(server, files, journal, had)


def test_an_upload_that_is_gone_by_a_404_that_is_not_the_stores_fails_no_run(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """A web server before it has error pages of its own: the object failed in each run."""
    server, files, journal = half_sent(fault_server, tmp_path)
    server.set_script([Rule(foreign(404), method="GET")])
    summary = journaled(server, files, journal, settings=config(n_retries=1))
    assert (summary.uploaded, stored(server)) == (1, {"big": big()})
    assert server.model.uploads == {}


def test_where_a_404_that_is_not_the_stores_answers_everything_what_it_may_have_is_kept(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    [known] = server.model.uploads.values()
    had = set(known.parts)
    server.set_script(lambda _: foreign(404))
    with pytest.raises(RunError):
        journaled(server, files, journal, settings=config(n_retries=1))
    assert len(server.model.uploads) == 1
    assert_goes_on(server, files, journal, had)


def test_of_an_upload_that_cannot_be_aborted_the_run_says_that_it_is_left(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server, files, journal = half_sent(fault_server, tmp_path)
    (tmp_path / "files" / "big").write_bytes(big() + b"more")
    server.set_script([Rule(s3_error(403, "AccessDenied"), method="DELETE")])
    summary = journaled(server, files, journal)
    assert (summary.uploaded, len(server.model.uploads)) == (1, 1)
    assert "could not abort the multipart upload of big" in " ".join(summary.notes)
    assert len(server.of("DELETE")) == 2, "at once, and at the end"


def test_what_a_run_has_failed_to_abort_and_then_goes_on_with_is_kept_for_the_next_one(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    """Its file changed while it was sent, so that it was to be aborted; to go on with it was more."""
    files, journal = tree(tmp_path / "files", {"big": big()}), tmp_path / "journal"
    path, changed = tmp_path / "files" / "big", b"!" + big()[1:]
    firsts: list[Request] = []

    def script(request: Request) -> Action | None:
        if request.method == "DELETE":
            return s3_error(403, "AccessDenied")
        if request.part_number == 5 and path.read_bytes() != changed:
            path.write_bytes(changed)
        if request.part_number == 1:
            firsts.append(request)
        return Stall() if len(firsts) > 1 and request.part_number == 1 else None

    server = fault_server(script)

    async def main(client: S3Client) -> Sequence[str]:
        uploading = s3_upload_files(client, BUCKET, files, config(grace_s=0.0), journal=journal)
        task = asyncio.create_task(uploading)
        await asyncio.to_thread(server.wait_until, lambda: len(firsts) > 1)
        asked = len(server.of("DELETE"))
        server.set_script([Rule(Stall(), method="PUT")])
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as stopped:
            await task
        assert len(server.of("DELETE")) == asked
        summary = summary_of(stopped.value)
        assert isinstance(summary, UploadSummary)
        return summary.notes

    assert "an upload in parts is left in the store for the next run to go on with" in run(server, main)
    assert len(server.model.uploads) == 1
    server.set_script(None)
    assert journaled(server, files, journal).uploaded == 1
    assert stored(server) == {"big": changed}
    assert server.model.uploads == {}
