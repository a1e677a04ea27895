"""`s3-upload config`: what is in force, and where it came from."""

from __future__ import annotations

import json

import pytest

from s3_upload.cli.main import main
from tests.account import services
from tests.aws_home import Home, home
from tests.proxy.forward import ForwardProxy

__all__ = ["home"]
KEYS = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wJalrXUtnFEMIsecretKEY\n"


def shown(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, tuple[str, str]]:
    capsys.readouterr()
    assert main(["config", "--json", *flags]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    rows = [json.loads(line) for line in output.out.splitlines()]
    return {row["name"]: (row["value"], row["origin"]) for row in rows}


def test_each_setting_names_where_it_came_from(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.config(
        "[profile me]\nregion = eu-west-1\nca_bundle = ~/none.pem\nmax_attempts = 3\n"
        "endpoint_url = http://store\ns3 =\n    addressing_style = path\n    multipart_chunksize = 32MB\n"
    )
    home.credentials(f"[me]\n{KEYS}")
    home.env(AWS_REGION="from-variable", S3_UPLOAD_BACKOFF="2", HTTP_PROXY="http://me:hunter2@proxy:3128")
    config = f"{home.path}/.aws/config [me]"
    rows = shown(capsys, "--profile", "me", "--max-in-flight", "7")
    assert rows["profile"] == ("me", "flag")
    assert rows["region"] == ("from-variable", "AWS_REGION")
    assert rows["endpoint_url"] == ("http://store", config)
    assert rows["addressing_style"] == ("path", f"{config} s3")
    assert rows["part_size"] == ("32MiB", f"{config} s3.multipart_chunksize")
    assert rows["n_retries"] == ("2", f"{config} max_attempts")
    assert rows["max_in_flight"] == ("7", "flag")
    assert rows["backoff"] == ("2.0", "S3_UPLOAD_BACKOFF")
    assert rows["http_proxy"] == ("http://***@proxy:3128", "HTTP_PROXY")
    assert rows["checksum"] == ("auto", "default")
    assert rows["payload_signing"] == ("auto", "default")
    assert rows["config_file"] == (f"{home.path}/.aws/config", "default")
    assert rows["secret_key"] == ("*" * 16 + "tKEY", f"{home.path}/.aws/credentials [me]")
    home.env(AWS_PROFILE="me")
    assert shown(capsys)["profile"] == ("me", "AWS_PROFILE")


def test_settings_of_the_command_alone_are_shown_too(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.env(S3_UPLOAD_NO_JOURNAL="1", S3_UPLOAD_CLUSTER="tcp://host:8786")
    rows = shown(capsys, "--processes", "2")
    assert rows["processes"] == ("2", "flag")
    assert rows["cluster"] == ("tcp://host:8786", "S3_UPLOAD_CLUSTER")
    assert rows["no_journal"] == ("true", "S3_UPLOAD_NO_JOURNAL")


def test_secrets_are_masked_and_columns_are_for_people(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.env(
        AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE", AWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI", AWS_SESSION_TOKEN="x"
    )
    assert main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "secret_key               ****************FEMI" in "\n".join(lines)
    assert "access_key               ****************MPLE" in "\n".join(lines)
    assert not any("wJalrXUtn" in line for line in lines)
    assert "session_token            ****************  " in "\n".join(lines)


def test_the_place_of_credentials_is_what_botocore_calls_it(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.config("[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = s\nregion = us-east-1\n")
    home.credentials(f"[s]\n{KEYS}")
    with services() as account:
        home.env(AWS_ENDPOINT_URL_STS=account.url)
        assert shown(capsys, "--profile", "r")["secret_key"] == ("*" * 16, "assume-role")
    assert shown(capsys)["secret_key"][0] == ""
    assert "no credentials found" in shown(capsys)["secret_key"][1]
    assert shown(capsys, "--no-sign-request")["access_key"] == ("", "flag: requests go unsigned")


def test_sts_is_asked_where_an_upload_with_these_flags_would_ask_it(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.config("[profile r]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = s\n")
    home.credentials(f"[s]\n{KEYS}")
    with services() as account, ForwardProxy(names={"sts.internal": "127.0.0.1"}) as proxy:
        home.env(AWS_ENDPOINT_URL_STS=account.url.replace("127.0.0.1", "sts.internal"))
        rows = shown(capsys, "--profile", "r", "--proxy", proxy.url, "--region", "eu-west-3")
        assert rows["secret_key"][1] == "assume-role"
        assert "/eu-west-3/sts/" in account.asked[-1][2]


def test_a_file_of_that_name_is_uploaded(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home.path)
    (home.path / "config").write_text("1")
    assert main(["config", "s3://bucket/p/", "--dryrun"]) == 0
    assert "s3://bucket/p/config" in capsys.readouterr().out
