"""What a name says of the content."""

from __future__ import annotations

import pytest

from s3_upload import ObjectSource, RequestFields, content_type_by_name


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.txt", "text/plain"),
        ("a.JSON", "application/json"),
        ("a.b.png", "image/png"),
        ("a.tar.gz", "application/x-tar"),
        ("noext", None),
        (".html", None),
        ("a.", None),
        ("v1.html/noext", None),
        ("a.unheardof", None),
    ],
)
def test_the_content_type_is_guessed_from_the_name(name: str, content_type: str | None) -> None:
    request = content_type_by_name()
    assert request(ObjectSource.file(f"dir/{name}", "some/key.css")).content_type == content_type
    assert request(ObjectSource.data(b"", name)).content_type == content_type


def test_a_given_content_type_is_not_guessed() -> None:
    fields = RequestFields(content_type="x/y")
    assert content_type_by_name(fields)(ObjectSource.file("a.txt", "a.txt")) is fields


def test_a_guess_leaves_the_other_fields_alone() -> None:
    request = content_type_by_name(RequestFields(acl="private", metadata={"a": "b"}))
    assert request(ObjectSource.file("a.txt", "k")) == RequestFields(
        content_type="text/plain", acl="private", metadata={"a": "b"}
    )
