"""What `s3-upload serve` tells its user. tests/e2e/test_cli.py runs it."""

from __future__ import annotations

from s3_upload.cli.serve import how_to_reach


def test_the_lines_are_for_a_shell() -> None:
    assert how_to_reach("http://127.0.0.1:1", "KEY", "se cret")[1:5] == [
        "export AWS_ENDPOINT_URL_S3=http://127.0.0.1:1",
        "export AWS_ACCESS_KEY_ID=KEY",
        "export AWS_SECRET_ACCESS_KEY='se cret'",
        "export AWS_REGION=us-east-1",
    ]


def test_a_secret_that_was_given_is_not_repeated() -> None:
    lines = how_to_reach("http://127.0.0.1:1", "KEY", None)
    assert "# export AWS_SECRET_ACCESS_KEY=(the one you gave)" in lines
