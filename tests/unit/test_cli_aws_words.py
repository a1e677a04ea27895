"""Words of `aws s3 cp`, as its users write them."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.utils import parse_to_aware_datetime

from s3_upload import ConfigError
from s3_upload.cli import help, session
from s3_upload.cli.main import main
from s3_upload.cli.options.aws_words import for_parser
from s3_upload.cli.options.objects import parse_pairs
from s3_upload.cli.output import EXIT_USAGE, UsageError
from s3_upload.request_fields import NO_FIELDS, CustomerKey, RequestFields
from s3_upload.s3.fields import field_headers
from s3_upload.sources import content_types
from s3_upload.sources.source import ObjectSource


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    return tmp_path / "photos"


def sources_of(job: session.Job) -> list[str]:
    return [source.path for sources in job.passes for source in sources]


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("photos s3://b --sse", {"server_side_encryption": "AES256"}),
        ("--sse photos s3://b", {"server_side_encryption": "AES256"}),
        ("cp --recursive photos s3://b --sse --quiet", {"server_side_encryption": "AES256"}),
        ("photos s3://b --sse aws:kms", {"server_side_encryption": "aws:kms"}),
        ("--sse=aws:kms photos s3://b", {"server_side_encryption": "aws:kms"}),
        ("photos --sse s3://b", {"server_side_encryption": "AES256"}),
        ("photos s3://b --request-payer", {"request_payer": "requester"}),
        ("--request-payer photos s3://b", {"request_payer": "requester"}),
        ("photos s3://b --request-payer requester", {"request_payer": "requester"}),
        (f"photos s3://b --sse-c --sse-c-key {'k' * 32}", {"sse_customer_key": CustomerKey(b"k" * 32)}),
        (f"--sse-c photos s3://b --sse-c-key {'k' * 32}", {"sse_customer_key": CustomerKey(b"k" * 32)}),
        (
            "--grants read=uri=http://acs.amazonaws.com/groups/global/AllUsers full=id=1,id=2 readacl=id=3"
            " writeacl=id=4 photos s3://b",
            {
                "grant_read": "uri=http://acs.amazonaws.com/groups/global/AllUsers",
                "grant_full_control": "id=1,id=2",
                "grant_read_acp": "id=3",
                "grant_write_acp": "id=4",
            },
        ),
        ("photos s3://b --grants read=id=1 --grants read=id=2", {"grant_read": "id=1,id=2"}),
        ("""photos s3://b --metadata '{"a": "1, 2", "b": "ü"}'""", {"metadata": {"a": "1, 2", "b": "ü"}}),
        ("photos s3://b --metadata a=1,b=2 --metadata c=3", {"metadata": {"a": "1", "b": "2", "c": "3"}}),
        ("""photos s3://b --metadata '{"a": "1"}' --metadata b=2""", {"metadata": {"a": "1", "b": "2"}}),
        ("photos s3://b --tags a=1 --tags b=2", {"tags": {"a": "1", "b": "2"}}),
    ],
)
def test_words_of_the_aws_cli(jobs: list[session.Job], words: str, fields: dict[str, object]) -> None:
    assert main(shlex.split(words)) == 0
    assert jobs[0].options.objects.request_fields() == RequestFields(**fields)  # type: ignore[arg-type]
    assert sources_of(jobs[0]) == ["photos/a.jpg"]


def test_not_to_follow_links_is_a_flag_without_a_value() -> None:
    assert "--no-follow-symlinks" in help.about("--no-follow-symlinks")
    with Path("photos/a.jpg").open() as stdin, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", stdin)
        assert main(["--no-follow-symlinks", "-", "s3://bucket/key", "--dryrun"]) == 0


def test_a_file_that_is_called_like_a_value_is_none_where_the_flag_stands_before(photos: Path) -> None:
    (photos.parent / "AES256").touch()
    assert for_parser(["--sse", "AES256", "s3://b"]) == ["--sse=AES256", "s3://b"]
    assert for_parser(["AES256", "--sse", "s3://b"]) == ["AES256", "--sse=AES256", "s3://b"]
    assert for_parser(["--", "--sse"]) == ["--", "--sse"]
    assert for_parser(["--sse", "-", "s3://b/k"]) == ["--sse=AES256", "-", "s3://b/k"]


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ('a="x, y",b=2', {"a": "x, y", "b": "2"}),
        ("a='x, y' , b=2", {"a": "x, y", "b": "2"}),
        (r'a="x \"y\" \\"', {"a": 'x "y" \\'}),
        ('a="x" y', {"a": '"x" y'}),
        ('a="', {"a": '"'}),
        ("a=", {"a": ""}),
        ("a='',b=\"\"", {"a": "", "b": ""}),
        (' {"a=b": "{}"}', {"a=b": "{}"}),
    ],
)
def test_pairs_may_be_quoted_or_json(text: str, pairs: dict[str, str]) -> None:
    assert parse_pairs("--metadata", [text]) == pairs


def test_pairs_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text('{"a": "ü"}\n', "utf-8")
    (tmp_path / "pairs").write_text("b=2,c=3\n")
    texts = [f"file://{tmp_path}/pairs.json", "file://pairs"]
    assert parse_pairs("--metadata", texts) == {"a": "ü", "b": "2", "c": "3"}
    with pytest.raises(UsageError, match="--metadata file://gone: No such file or directory"):
        parse_pairs("--metadata", ["file://gone"])


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (['{"a": 1}'], """--metadata {"a": 1}: must be an object of texts, such as {"key": "value"}"""),
        (['{"a": {"b": "c"}}'], "must be an object of texts"),
        (['{"a": "1", "a": "2"}'], "a is given twice"),
        (['{"a": "1"'], "is not JSON: "),
        (["{a=1}"], "is not JSON: "),
        (['{"a":' * 100_000], ": is nested too deeply"),
        (["a=1", "a=2"], "--metadata a=2: a is given twice"),
        (["a=1,"], "an empty item is not KEY=VALUE"),
    ],
)
def test_what_are_no_pairs_is_told(texts: list[str], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pairs("--metadata", texts)
    assert line in str(caught.value)


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in another time zone than that of Greenwich."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EST5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("1893553445", "Wed, 02 Jan 2030 03:04:05 GMT"),
        ("0", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("2030-01-02T03:04:05Z", "Wed, 02 Jan 2030 03:04:05 GMT"),
        ("2030-01-02T03:04:05+01:00", "Wed, 02 Jan 2030 02:04:05 GMT"),
        ("2030-01-02", "Wed, 02 Jan 2030 00:00:00 GMT"),
        ("Wed, 02 Jan 2030 03:04:05 GMT", "Wed, 02 Jan 2030 03:04:05 GMT"),
    ],
)
def test_times_are_those_of_the_aws_cli(jobs: list[session.Job], text: str, header: str) -> None:
    assert main(["photos", "s3://b", "--expires", text]) == 0
    fields = jobs[0].options.objects.request_fields()
    assert field_headers(fields) == {"expires": header}
    assert fields.expires == parse_to_aware_datetime(text), "as botocore reads it for the AWS CLI"
    assert main(["photos", "s3://b", "--object-lock-retain-until-date", text]) == 0
    assert jobs[1].options.objects.request_fields().object_lock_retain_until_date == fields.expires


def test_nothing_is_guessed_where_that_is_not_wanted(jobs: list[session.Job]) -> None:
    assert main(["photos", "s3://b", "--no-guess-mime-type"]) == 0
    assert jobs[0].options.objects.default_request()(ObjectSource.file("a.js.gz", "k")) is NO_FIELDS


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--expires soon", "--expires soon: is no time: give 2030-12-31T00:00:00Z, or seconds since 1970"),
        ("--expires 99999999999999", "--expires 99999999999999: is no time: "),
        ("--grants read", "--grants read: is not PERMISSION=TYPE=GRANTEE"),
        ("--grants write=id=1", "--grants write=id=1: is not PERMISSION=TYPE=GRANTEE"),
        ("--grants read=id=1 --grant-read id=2", "--grants and --grant-read say the same: leave one out"),
        ("--no-guess-mime-type --content-type-map f", "do not go together: leave one out"),
        ("--sse-c", "--sse-c: the key is missing"),
    ],
)
def test_what_cannot_be_meant_is_one_line(capsys: pytest.CaptureFixture[str], words: str, line: str) -> None:
    assert main(["photos", "s3://b", "--dryrun", *words.split()]) == EXIT_USAGE
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert line in err


@pytest.mark.parametrize(
    "words",
    [
        ["--sse="], ["--sse", ""], ["--sse-c="], ["--sse-c-key", ""], ["--sse_kms_key_id="], ["--acl", ""],
        ["--storage-class="], ["--grants", ""], ["--request-payer="],
    ],
)  # fmt: skip
def test_an_empty_value_is_no_wish_for_nothing(
    words: list[str], jobs: list[session.Job], capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a variable that is not set: files must not go up without the encryption that was meant."""
    assert main(["photos", "s3://b", *words]) == EXIT_USAGE
    assert jobs == []
    err = capsys.readouterr().err
    assert "its value is empty: give one, or leave the flag out" in err
    assert err.count("\n") == 1


def test_a_file_of_words_that_never_ends_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--metadata file:///dev/zero: is larger than 1 MiB"):
        parse_pairs("--metadata", ["file:///dev/zero"])
    with pytest.raises(ConfigError, match="/dev/zero: is larger than 1 MiB"):
        content_types.read("/dev/zero")
