"""Refusals that are the run's, one stray, or the object's own: which stop a run, when, in which words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from s3_upload import FailureKind, RunError
from s3_upload.cli.main import main
from s3_upload.control.retrying.refusals import MAX_IN_A_ROW, STRAY_RETRIES
from s3_upload.sources.source import ObjectSource
from tests.faults.actions import Action, Answer, Request, Rule, foreign, s3_error
from tests.faults.uploads import BUCKET, PART_BYTES, Reports, config, stored
from tests.faults.uploads import quick_upload as upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartFaultServer

MANY = {f"{n:03}": b"x" for n in range(200)}
ONE_AT_ONCE = config(max_in_flight=1)
FOR_A_MOMENT = {
    "NoSuchBucket": s3_error(404, "NoSuchBucket"),
    "InvalidAccessKeyId": s3_error(403, "InvalidAccessKeyId"),
    "SignatureDoesNotMatch": s3_error(403, "SignatureDoesNotMatch"),
    "AccessDenied": s3_error(403, "AccessDenied", "No."),
    "bare 403": Answer(403),
    "401": foreign(401),
    "407": foreign(407),
    "507": Answer(507),
    "501 NotImplemented": s3_error(501, "NotImplemented"),
    "301 to a region": s3_error(301, "PermanentRedirect", headers={"x-amz-bucket-region": "us-east-1"}),
    "404 of an ingress": foreign(404),
    "502 of an ingress": foreign(502),
    "503 of an ingress": foreign(503),
    "504 of an ingress": foreign(504),
}
FOR_GOOD = {
    name: answer for name, answer in FOR_A_MOMENT.items() if answer.status < 500 or answer.status == 507
}


# --- among successes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOR_A_MOMENT)
@pytest.mark.parametrize("at_once", [1, 8])
def test_one_stray_refusal_among_successes_stops_and_fails_nothing(
    fault_server: StartFaultServer, name: str, at_once: int
) -> None:
    strays = [Rule(FOR_A_MOMENT[name], key="*", nth=range(60, 60 + STRAY_RETRIES))]
    server = fault_server(strays)
    summary = upload(server, MANY, settings=config(max_in_flight=at_once))
    assert (summary.uploaded, summary.failed) == (200, ())
    assert stored(server) == MANY
    assert len(server.requests) == 200 + STRAY_RETRIES


@pytest.mark.parametrize("name", FOR_GOOD)
def test_a_refusal_is_tried_again_on_a_new_connection(fault_server: StartFaultServer, name: str) -> None:
    server = fault_server([Rule(FOR_A_MOMENT[name], key="100", attempt=1)])
    assert upload(server, MANY, settings=ONE_AT_ONCE).uploaded == 200
    first, second = server.of("PUT", "100")
    assert first.connection != second.connection


@pytest.mark.parametrize("name", [name for name in FOR_GOOD if name != "404 of an ingress"])
def test_a_refusal_that_stays_fails_its_object_alone_after_three_tries(
    fault_server: StartFaultServer, name: str
) -> None:
    server = fault_server([Rule(FOR_GOOD[name], key="100")])
    reports = Reports()
    summary = upload(server, MANY, settings=ONE_AT_ONCE, progress=reports)
    assert sorted(stored(server)) == sorted(key for key in MANY if key != "100")
    [failed] = summary.failed
    assert (failed.key, failed.attempts, failed.attempts) == ("100", 1 + STRAY_RETRIES, 3)
    who = "a proxy" if name == "407" else "the store"
    assert f"{who} answered {FOR_GOOD[name].status}" in str(failed.error)


def test_a_policy_that_denies_some_keys_soon_costs_one_request_for_each(
    fault_server: StartFaultServer,
) -> None:
    denied = {f"{n:04}{'.exe' if n % 2 else ''}": b"x" for n in range(400)}
    server = fault_server({"*.exe": s3_error(403, "AccessDenied")})
    summary = upload(server, denied, settings=ONE_AT_ONCE)
    assert (summary.uploaded, len(summary.failed)) == (200, 200)
    tries = Counter(server.of("PUT", report.key)[-1].attempt for report in summary.failed)
    assert tries[1] > 100, tries
    assert max(tries) == 1 + STRAY_RETRIES


@pytest.mark.parametrize("name", [name for name in FOR_GOOD if name != "404 of an ingress"])
@pytest.mark.parametrize("at_once", [1, 8])
def test_refusals_that_pile_up_stop_the_run_with_one_line(
    fault_server: StartFaultServer, name: str, at_once: int
) -> None:
    """The key was withdrawn, say: nothing more succeeds."""
    server = fault_server(lambda request: FOR_GOOD[name] if request.number > 50 else None)
    contents = {f"{n:04}": b"x" for n in range(1000)}
    reports = Reports()
    with pytest.raises(RunError, match=f"; {MAX_IN_A_ROW} objects in a row were refused") as caught:
        upload(server, contents, settings=config(max_in_flight=at_once), progress=reports)
    assert "\n" not in str(caught.value)
    assert len([report for report in reports if not report.succeeded]) < MAX_IN_A_ROW
    # What waits for its next try is held in memory: the feed stops, and so does the flood.
    assert len(server.requests) <= 50 + 400


@pytest.mark.parametrize("at_once", [1, 8])
def test_a_store_that_is_away_behind_its_ingress_is_waited_for(
    fault_server: StartFaultServer, at_once: int
) -> None:
    away = range(50, 120)
    server = fault_server(lambda request: foreign(404) if request.number in away else None)
    assert upload(server, MANY, settings=config(max_in_flight=at_once, n_retries=80)).uploaded == 200


@pytest.mark.parametrize("what", ["Create", "part", "Complete"])
@pytest.mark.parametrize(
    "name", ["NoSuchBucket", "SignatureDoesNotMatch", "AccessDenied", "404 of an ingress"]
)
def test_one_stray_refusal_of_a_multipart_upload_fails_nothing(
    fault_server: StartFaultServer, tmp_path: Path, what: str, name: str
) -> None:
    rules = {
        "Create": Rule(FOR_A_MOMENT[name], method="POST", query={"uploads": None}, nth=1),
        "part": Rule(FOR_A_MOMENT[name], method="PUT", query={"partNumber": "2"}, nth=1),
        "Complete": Rule(FOR_A_MOMENT[name], method="POST", query={"uploadId": None}, nth=1),
    }
    server = fault_server([rules[what]])
    (tmp_path / "big").write_bytes(bytes(2 * PART_BYTES))
    small = ObjectSource.data(b"x", "small")
    summary = upload(server, [small, ObjectSource.file(tmp_path / "big", "big")], settings=ONE_AT_ONCE)
    assert (summary.uploaded, server.model.uploads) == (2, {})


def test_many_refused_parts_of_one_object_are_one_refusal(
    fault_server: StartFaultServer, tmp_path: Path
) -> None:
    server = fault_server([Rule(s3_error(403, "AccessDenied"), method="PUT", query={"partNumber": None})])
    (tmp_path / "big").write_bytes(bytes(25 * PART_BYTES))
    files = [
        ObjectSource.data(b"x", "a"),
        ObjectSource.file(tmp_path / "big", "big"),
        ObjectSource.data(b"", "b"),
    ]
    summary = upload(server, files, settings=config(max_in_flight=30, max_in_flight_bytes=30 * PART_BYTES))
    assert (summary.uploaded, len(summary.failed)) == (2, 1)
    assert server.model.uploads == {}


def test_objects_that_get_a_bare_400_for_good_hold_up_no_other(fault_server: StartFaultServer) -> None:
    """A front end refuses such keys, say: there are two more tries each, which take nothing from others."""
    bad = [key for number, key in enumerate(MANY) if number % 5 == 4]
    server = fault_server([Rule(foreign(400), key=key) for key in bad])
    summary = upload(server, MANY, settings=config(max_in_flight=8))
    assert (summary.uploaded, len(summary.failed)) == (len(MANY) - len(bad), len(bad))
    assert len(server.requests) <= len(MANY) + STRAY_RETRIES * len(bad)


def test_a_bare_400_after_other_failures_is_tried_again(fault_server: StartFaultServer) -> None:
    """As after an outage."""
    bad = [Rule(s3_error(500, "InternalError"), key="100", attempt=number) for number in (1, 2)]
    server = fault_server([*bad, Rule(foreign(400), key="100", attempt=3)])
    assert upload(server, MANY, settings=config(max_in_flight=8)).uploaded == len(MANY)


@pytest.mark.parametrize("at_once", [8, 32])
def test_a_store_that_begins_with_bare_400s_stops_nothing(
    fault_server: StartFaultServer, at_once: int
) -> None:
    """It stood still when the run began."""
    server = fault_server([Rule(foreign(400), key="*", nth=range(1, 25))])
    assert upload(server, MANY, settings=config(max_in_flight=at_once)).uploaded == len(MANY)


@pytest.mark.parametrize("at_once", [1, 8, 64])
def test_bare_400s_of_all_objects_stop_the_run(fault_server: StartFaultServer, at_once: int) -> None:
    """After the second tries of twenty, while which others are tried for the first time."""
    server = fault_server(lambda _: foreign(400))
    with pytest.raises(RunError, match=f"400; {MAX_IN_A_ROW} objects in a row were refused"):
        upload(server, MANY, settings=config(max_in_flight=at_once))
    assert len(server.requests) <= len(MANY) + MAX_IN_A_ROW + at_once


# --- without any success -------------------------------------------------------------------------------

ALL_ALIKE = {
    "400 AccessControlListNotSupported": (
        s3_error(400, "AccessControlListNotSupported", "No ACLs."), "leave acl and grants out"
    ),
    "400 InvalidStorageClass": (s3_error(400, "InvalidStorageClass", "Bad."), "no such storage class"),
    "400 of an unknown kind": (s3_error(400, "NeverHeardOf", "Why."), "400 NeverHeardOf: Why; "),
    "404 NoSuchKey": (s3_error(404, "NoSuchKey", "Why."), "404 NoSuchKey: Why; "),
    "405 MethodNotAllowed": (s3_error(405, "MethodNotAllowed", "Why."), "405 MethodNotAllowed: Why; "),
    "409 InvalidBucketState": (s3_error(409, "InvalidBucketState", "Why."), "409 InvalidBucketState: Why; "),
    "bare 400": (Answer(400), "the store answered 400"),
    "404 of no S3": (foreign(404), "404; this does not look like an S3 endpoint: check its URL, the port"),
    "405 of no S3": (foreign(405), "405; this does not look like an S3 endpoint: check its URL, the port"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALL_ALIKE)
@pytest.mark.parametrize("at_once", [1, 8, 64])
def test_what_twenty_objects_got_alike_stops_the_run_with_one_line(
    fault_server: StartFaultServer, name: str, at_once: int
) -> None:
    answer, words = ALL_ALIKE[name]
    server = fault_server(lambda _: answer)
    reports = Reports()
    with pytest.raises(RunError) as caught:
        upload(server, MANY, settings=config(max_in_flight=at_once), progress=reports)
    message = str(caught.value)
    assert words in message
    assert repr(BUCKET) in message
    assert "\n" not in message
    assert len(server.requests) <= MAX_IN_A_ROW * (1 + STRAY_RETRIES) + at_once
    assert len(reports) < MAX_IN_A_ROW


def test_the_command_says_it_in_one_line_and_lists_no_other_files(
    fault_server: StartFaultServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in MANY:
        (tmp_path / key).write_bytes(b"x")
    server = fault_server(lambda _: foreign(405))
    words = [str(tmp_path), f"s3://{BUCKET}", "--endpoint-url", server.url, "--no-sign-request"]
    assert main(words) == 3
    err = capsys.readouterr().err.splitlines()
    assert [line for line in err if "does not look like an S3 endpoint" in line] == err[-1:]
    assert len(err) < MAX_IN_A_ROW


def test_objects_that_are_there_already_are_no_refusal_of_the_run(fault_server: StartFaultServer) -> None:
    server = fault_server(lambda _: s3_error(412, "PreconditionFailed"))
    summary = upload(server, MANY, settings=ONE_AT_ONCE)
    assert (len(summary.failed), len(server.requests)) == (200, 200)


def test_one_success_among_many_that_are_refused_keeps_the_run_going(fault_server: StartFaultServer) -> None:
    def script(request: Request) -> Action | None:
        return None if request.key == "010" else s3_error(400, "InvalidArgument", request.key)

    server = fault_server(script)
    summary = upload(server, MANY, settings=ONE_AT_ONCE)
    assert (summary.uploaded, len(summary.failed), len(server.requests)) == (1, 199, 200)
    assert {report.outcome for report in summary.failed} == {FailureKind.REJECTED}
