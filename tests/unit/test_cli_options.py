"""Flags and environment: what a command line becomes."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from s3_upload.cli import commands, session, uploading
from s3_upload.cli.main import main
from s3_upload.cli.options.objects import parse_pairs
from s3_upload.cli.options.upload import OutputOptions
from s3_upload.cli.output import EXIT_USAGE, UsageError
from s3_upload.config import MIB, UploadConfig
from s3_upload.request_fields import NO_FIELDS, CustomerKey, RequestFields
from s3_upload.s3.fields import field_headers
from s3_upload.units import parse_size, show_size

if TYPE_CHECKING:
    from pathlib import Path

KEY = CustomerKey(bytes(range(32)))
NEW_YEAR = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def src(tmp_path: Path) -> str:
    (tmp_path / "a.txt").write_text("a")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000000", 1_000_000),
        ("8MiB", 8 * MIB),
        ("8mib", 8 * MIB),
        ("16MB", 16_000_000),
        ("16 MB", 16_000_000),
        ("8M", 8_000_000),
        ("1.5GiB", 3 << 29),
        ("10kB", 10_000),
        ("3B", 3),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1e6", "8XB", "8 Mi B", "0x10", "1,000"])
def test_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1024, 1_000_000, 8 * MIB, 5 << 30, 10**10, 123_456_789])
def test_a_size_is_shown_as_it_can_be_read(size: int) -> None:
    assert parse_size(show_size(size)) == size


def test_sizes_are_shown_short() -> None:
    assert [show_size(n) for n in (8 * MIB, 1_000_000, 1000, 77)] == ["8MiB", "1MB", "1kB", "77"]


def test_pairs() -> None:
    assert parse_pairs("--tags", ["a=1, b=x=y,c="]) == {"a": "1", "b": "x=y", "c": ""}
    assert parse_pairs("--tags", [""]) == {}


def test_white_space_that_is_no_blank_belongs_to_the_value() -> None:
    assert parse_pairs("--metadata", ["a=\u00a0x\u3000, b = y "]) == {"a": "\u00a0x\u3000", "b": "y"}


@pytest.mark.parametrize("text", ["a", "=1", "a=1,,b=2", "a=1,a=2"])
def test_no_pairs_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--tags"):
        parse_pairs("--tags", [text])


def test_without_flags_everything_has_its_default(jobs: list[session.Job], src: str) -> None:
    assert main([src, "s3://b/p"]) == 0
    (job,) = jobs
    assert job.bucket == "b"
    assert job.options.config() == UploadConfig()
    assert job.options.objects.request_fields() is NO_FIELDS
    assert job.options.store.verify is True
    assert dataclasses.asdict(job.options.output) == dataclasses.asdict(OutputOptions())
    assert job.display.kind == "plain", "stderr is no terminal"


def test_every_setting_is_a_flag(jobs: list[session.Job], src: str) -> None:
    for spec in dataclasses.fields(UploadConfig):
        name = "--" + spec.name.replace("_", "-")
        other = _another(spec)
        assert main([src, "s3://b", f"{name}={other}"]) == 0, name
        assert jobs.pop().options.config() == UploadConfig(**{spec.name: other})


def test_a_time_is_given_with_or_without_its_unit_and_its_flag_with_or_without_s(
    jobs: list[session.Job], src: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flag in ("--max-outage 10m", "--max-outage 600", "--max-outage-s=600s"):
        assert main([src, "s3://b", *flag.split()]) == 0, flag
        assert jobs.pop().options.config() == UploadConfig(max_outage_s=600.0)
    monkeypatch.setenv("S3_UPLOAD_MAX_OUTAGE_S", "1h")
    assert main([src, "s3://b"]) == 0
    assert jobs.pop().options.config() == UploadConfig(max_outage_s=3600.0)


def test_every_setting_is_a_variable(
    jobs: list[session.Job], src: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spec in dataclasses.fields(UploadConfig):
        other = _another(spec)
        with monkeypatch.context() as patch:
            patch.setenv(f"S3_UPLOAD_{spec.name.upper()}", str(other))
            assert main([src, "s3://b"]) == 0, spec.name
        assert getattr(jobs.pop().options.config(), spec.name) == other


def _another(spec: dataclasses.Field[Any]) -> Any:
    """A value in the field's range, or of its choices, that is not its default."""
    default: Any = spec.default
    if spec.metadata["choices"]:
        return next(choice for choice in spec.metadata["choices"] if choice != default)
    if spec.metadata["parse"]:
        return "1MB/s"
    low = spec.metadata["low"]
    return max(default + 1, low) if default + 1 <= spec.metadata["high"] else low


@pytest.mark.parametrize(
    ("name", "choices"),
    [("window", ("adaptive", "fixed")), ("timeout", ("adaptive", "origin")), ("hedge", ("auto", "off"))],
)
def test_a_choice_is_given_by_name_and_another_word_is_refused_in_one_line(  # noqa: PLR0917 - fixtures
    jobs: list[session.Job],
    src: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    choices: tuple[str, str],
) -> None:
    for choice in choices:
        assert main([src, "s3://b", f"--{name}", choice]) == 0
        assert getattr(jobs.pop().options.config(), name) == choice
    assert main([src, "s3://b", f"--{name}", "neither"]) == EXIT_USAGE
    monkeypatch.setenv(f"S3_UPLOAD_{name.upper()}", "neither")
    assert main([src, "s3://b"]) == EXIT_USAGE
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert (out, len(lines), jobs) == ("", 2, [])
    for line, where in zip(lines, (f"--{name}", f"S3_UPLOAD_{name.upper()}"), strict=True):
        for said in ("neither", where, *choices):
            assert said in line


def test_the_help_names_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help", "tuning"]) == 0
    said = capsys.readouterr().out
    for choices in ("--window adaptive|fixed", "--timeout adaptive|origin", "--hedge auto|off"):
        assert choices in said


def test_an_expected_size_makes_parts_large_enough(
    jobs: list[session.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").touch()
    stdin = (tmp_path / "in").open()
    monkeypatch.setattr("sys.stdin", stdin)
    for words, part_size in (
        ([], 5 * MIB),
        (["--expected-size", "83GB"], 8 * MIB),
        (["--expected-size", "1TB"], 96 * MIB),
        (["--expected-size", "3TB"], 287 * MIB),
        (["--expected-size", "48TiB"], 5034 * MIB),
    ):
        assert main(["-", "s3://b/key", *words]) == 0
        assert jobs.pop().options.config() == UploadConfig(part_size=part_size)
    stdin.close()


def test_a_flag_counts_more_than_the_variable(
    jobs: list[session.Job], src: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_UPLOAD_PART_SIZE", "6MiB")
    assert main([src, "s3://b", "--part-size", "7MiB"]) == 0
    assert jobs[0].options.config().part_size == 7 * MIB


def test_the_flags_of_objects_have_the_names_of_the_aws_cli(jobs: list[session.Job], src: str) -> None:
    flags = (
        "--content-type t --content-encoding e --content-disposition d --content-language l --cache-control c"
        " --expires 2030-01-02T03:04:05Z --acl private --grant-full-control g1 --grant-read g2"
        " --grant-read-acp g3 --grant-write-acp g4"
        " --storage-class GLACIER --website-redirect /w --sse aws:kms --sse-kms-key-id k"
        " --sse-kms-encryption-context c=d --bucket-key-enabled --object-lock-mode COMPLIANCE"
        " --object-lock-retain-until-date 2030-01-02T03:04:05Z --object-lock-legal-hold-status ON"
        " --if-none-match --request-payer requester --expected-bucket-owner 123456789012"
        " --metadata a=1,b=2 --tags t=3"
    )
    assert main([src, "s3://b", *flags.split(), "--sse-c", "AES256", "--sse-c-key", KEY.base64]) == 0
    fields = jobs[0].options.objects.request_fields()
    assert fields == RequestFields(
        content_type="t",
        content_encoding="e",
        content_disposition="d",
        content_language="l",
        cache_control="c",
        expires=NEW_YEAR,
        acl="private",
        grant_full_control="g1",
        grant_read="g2",
        grant_read_acp="g3",
        grant_write_acp="g4",
        storage_class="GLACIER",
        website_redirect_location="/w",
        server_side_encryption="aws:kms",
        sse_kms_key_id="k",
        sse_kms_encryption_context={"c": "d"},
        bucket_key_enabled=True,
        sse_customer_key=KEY,
        object_lock_mode="COMPLIANCE",
        object_lock_retain_until_date=NEW_YEAR,
        object_lock_legal_hold_status="ON",
        if_none_match="*",
        request_payer="requester",
        expected_bucket_owner="123456789012",
        metadata={"a": "1", "b": "2"},
        tags={"t": "3"},
    )
    unset = [spec.name for spec in msgspec.structs.fields(fields) if not getattr(fields, spec.name)]
    assert unset == []


@pytest.mark.parametrize("name", ["--no-clobber", "--no-overwrite"])
def test_not_to_overwrite_has_the_names_of_other_tools(jobs: list[session.Job], src: str, name: str) -> None:
    assert main([src, "s3://b", name]) == 0
    assert jobs[0].options.config() == UploadConfig(if_exists="skip")
    assert jobs[0].options.objects.request_fields() is NO_FIELDS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("--no-clobber", "--if-none-match"),
        ("--no-clobber", "--if-exists=fail"),
        ("--if-none-match", "--if-exists=skip"),
    ],
)
def test_to_skip_and_to_fail_do_not_go_together(
    jobs: list[session.Job], src: str, capsys: pytest.CaptureFixture[str], one: str, other: str
) -> None:
    assert main([src, "s3://b", one, other]) == EXIT_USAGE
    said = other.replace("=", " ")
    assert f"{one} and {said} do not go together: leave one out" in capsys.readouterr().err
    assert jobs == []


@pytest.mark.parametrize(("flag", "does"), [("--no-clobber", "skip"), ("--if-none-match", "fail")])
def test_to_skip_or_to_fail_counts_more_than_what_the_environment_says(
    jobs: list[session.Job], src: str, monkeypatch: pytest.MonkeyPatch, flag: str, does: str
) -> None:
    monkeypatch.setenv("S3_UPLOAD_IF_EXISTS", {"skip": "fail", "fail": "skip"}[does])
    assert main([src, "s3://b", flag]) == 0
    assert jobs[0].options.config().if_exists == does


@pytest.mark.parametrize(
    "flags",
    [
        ["--files-from", "-"], ["--manifest", "m"], ["--shard", "x"], ["--order", "size"], ["--exclude", "a"],
        ["--include", "a"], ["--exclude-from", "none"], ["--ignore-file", "a"], ["--min-size", "x"],
        ["--max-size", "1"], ["--newer-than", "7d"], ["--older-than", "7d"], ["--remove-source"],
    ],
)  # fmt: skip
def test_what_selects_files_is_refused_of_stdin(
    jobs: list[session.Job],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
) -> None:
    monkeypatch.setattr(uploading, "stdin_source", lambda *_: None)
    assert main(["-", "s3://b/k", *flags]) == EXIT_USAGE
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{flags[0]}: is about files, and stdin (-) goes as one object: leave it out" in err
    assert jobs == []


def test_to_fail_where_something_exists_has_the_name_that_the_api_gives_it(
    jobs: list[session.Job], src: str
) -> None:
    assert main([src, "s3://b", "--if-none-match"]) == 0
    assert jobs[0].options.config() == UploadConfig(if_exists="fail")
    assert jobs[0].options.objects.request_fields() == RequestFields(if_none_match="*")


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("2030-01-02T03:04:05Z", "Wed, 02 Jan 2030 03:04:05 GMT"),
        ("2030-01-02", "Wed, 02 Jan 2030 00:00:00 GMT"),
        ("Wed, 02 Jan 2030 03:04:05 GMT", "Wed, 02 Jan 2030 03:04:05 GMT"),
    ],
)
def test_expires_is_read_in_both_forms(jobs: list[session.Job], src: str, text: str, header: str) -> None:
    assert main([src, "s3://b", "--expires", text]) == 0
    assert field_headers(jobs[0].options.objects.request_fields()) == {"expires": header}


def test_a_customer_key_comes_from_a_file_or_the_environment(
    jobs: list[session.Job], src: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_bytes(bytes(range(32)))
    assert main([src, "s3://b", "--sse-c-key", f"fileb://{tmp_path}/key"]) == 0
    monkeypatch.setenv("S3_UPLOAD_SSE_C_KEY", KEY.base64)
    assert main([src, "s3://b", "--sse-c", "AES256"]) == 0
    for job in jobs:
        assert job.options.objects.request_fields() == RequestFields(sse_customer_key=KEY)
        assert KEY.base64 not in repr(job)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--sse-c", "AES256"], "--sse-c: the key is missing"),
        (["--sse-c-key", "hunter2hunter2"], "SSE-C key: "),
        (["--sse-c-key", "fileb:///no/such"], "--sse-c-key fileb:///no/such: No such file"),
        (["--sse-c-key", "fileb:///dev/null"], "SSE-C key: must be 32 bytes"),
    ],
)
def test_a_wrong_customer_key_gets_one_line(
    src: str, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    assert main([src, "s3://b", "--dryrun", *flags]) == EXIT_USAGE
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert said in err
    assert "hunter2" not in err


def test_the_flags_of_the_store(jobs: list[session.Job], src: str, tmp_path: Path) -> None:
    flags = (
        f"--endpoint-url http://h:1 --region r --profile p --addressing-style path --ca-bundle {src}/a.txt"
    )
    assert main([src, "s3://b", *flags.split()]) == 0
    store = jobs[0].options.store
    assert (store.endpoint_url, store.region, store.profile) == ("http://h:1", "r", "p")
    assert (store.addressing_style, store.verify) == ("path", f"{src}/a.txt")
    assert main([src, "s3://b", "--no-verify-ssl"]) == 0
    assert jobs[1].options.store.verify is False


def test_who_asks_and_which_endpoint(jobs: list[session.Job], src: str) -> None:
    assert main([src, "s3://b", "--no-sign-request", "--client-cert", "c", "--client-key", "k"]) == 0
    store = jobs[0].options.store
    assert (store.no_sign_request, store.client_certificate, store.names_aws) == (True, ("c", "k"), False)
    assert main([src, "s3://b", "--client-cert", "c", "--use-fips-endpoint"]) == 0
    store = jobs[1].options.store
    assert (store.no_sign_request, store.client_certificate, store.names_aws) == (False, "c", True)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--client-key k", "--client-key: the certificate is missing: give --client-cert"),
        (
            "--embedded d --no-sign-request",
            "--embedded and --no-sign-request do not go together: leave one out",
        ),
        ("--embedded d --client-cert c", "--embedded and --client-cert do not go together: leave one out"),
        ("--embedded d --endpoint-url http://h", "--embedded and --endpoint-url do not go together: leave"),
        ("--embedded d --use-fips-endpoint", "--embedded and --use-fips-endpoint do not go together: leave"),
    ],
)
def test_flags_of_the_store_that_do_not_go_together(
    jobs: list[session.Job], src: str, capsys: pytest.CaptureFixture[str], flags: str, said: str
) -> None:
    assert main([src, "s3://b", *flags.split()]) == EXIT_USAGE
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines()), jobs) == ("", 1, [])
    assert said in err


@pytest.mark.parametrize(
    ("flags", "store"),
    [
        ("--no-sign-request", (commands.PERF_ENDPOINT_URL, None)),
        ("--use-accelerate-endpoint", (None, commands.PERF_PROFILE)),
        ("--embedded elsewhere", (None, None)),
    ],
)
def test_perf_data_has_no_defaults_where_a_flag_leaves_them_no_sense(
    jobs: list[session.Job], src: str, flags: str, store: tuple[str | None, str | None]
) -> None:
    assert main(["perf-data", src, "b", "p", *flags.split()]) == 0
    assert (jobs[0].options.store.endpoint_url, jobs[0].options.store.profile) == store


@pytest.mark.parametrize("ending", ["\r\nx-evil: 1", "\n", "\x7f"])
@pytest.mark.parametrize("flag", ["--metadata", "--content-type", "--acl", "--cache-control"])
def test_a_value_that_no_header_can_carry_is_one_line(
    src: str, capsys: pytest.CaptureFixture[str], flag: str, ending: str
) -> None:
    """With the real run: nothing may be sent before."""
    value = f"a=b{ending}c" if flag == "--metadata" else f"x{ending}y"
    assert main([src, "s3://bucket", "--endpoint-url", "http://127.0.0.1:1", flag, value]) == EXIT_USAGE
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "has a control character" in err
    assert "x-evil" not in err


def test_perf_data_goes_where_the_origin_went(jobs: list[session.Job], src: str) -> None:
    assert main(["perf-data", "-n", "2", src, "b", "p"]) == 0
    (job,) = jobs
    assert (job.options.store.endpoint_url, job.options.store.profile) == ("http://localhost:9000", "testing")
    assert [[source.key for source in sources] for sources in job.passes] == [["p/a.txt"], ["p/a.txt"]]


def test_perf_data_goes_where_flags_say(jobs: list[session.Job], src: str) -> None:
    assert main(["perf-data", src, "b", "p", "--endpoint-url", "http://h:1", "--profile", "me"]) == 0
    assert (jobs[0].options.store.endpoint_url, jobs[0].options.store.profile) == ("http://h:1", "me")


@pytest.mark.parametrize(
    ("variable", "left"),
    [
        ("AWS_ENDPOINT_URL", (None, commands.PERF_PROFILE)),
        ("AWS_ENDPOINT_URL_S3", (None, commands.PERF_PROFILE)),
        ("AWS_PROFILE", (commands.PERF_ENDPOINT_URL, None)),
        ("AWS_ACCESS_KEY_ID", (commands.PERF_ENDPOINT_URL, None)),
    ],
)
def test_perf_data_goes_where_the_environment_says(
    jobs: list[session.Job],
    src: str,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    left: tuple[str | None, str | None],
) -> None:
    monkeypatch.setenv(variable, "http://elsewhere")
    assert main(["perf-data", src, "b", "p"]) == 0
    assert (jobs[0].options.store.endpoint_url, jobs[0].options.store.profile) == left


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("", True),
        ("--no-progress", True),
        ("--json", True),
        ("--quiet", False),
        ("--only-show-errors", False),
    ],
)
def test_what_goes_on_with_the_store_is_told_on_stderr_unless_nothing_but_errors_is_wanted(
    jobs: list[session.Job], src: str, capsys: pytest.CaptureFixture[str], flags: str, told: bool
) -> None:
    assert main([src, "s3://b", *flags.split()]) == 0
    notice = session.notice_of(jobs[0])
    assert (notice is not None) == told
    if notice is not None:
        notice("http://store has been away\nfor 5 s")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("s3-upload: http://store has been away\\nfor 5 s\n" if told else "")


@pytest.mark.parametrize(
    "flags", [["--quiet"], ["--no-progress"], ["--only-show-errors"], ["--progress=none"]]
)
def test_nothing_shows_progress_where_none_is_wanted(
    jobs: list[session.Job], src: str, flags: list[str]
) -> None:
    assert main([src, "s3://b", *flags]) == 0
    assert jobs[0].display.kind == "none"


def test_exclude_and_include_keep_their_order(jobs: list[session.Job], src: str) -> None:
    assert main([src, "--exclude=*", "--include", "a.*", "s3://b", "--exclude", "*.tmp"]) == 0
    rules = "exclude '*', include 'a.*', exclude '*.tmp'"
    assert repr(jobs[0].options.sources.filters()) == f"Selection(Filters({rules}))"
