"""The conformance suite through the one store that is always there, and the table it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stores import big, servers
from tests.stores.servers import STORES, Missing, build, rclone
from tests.stores.suite import CHECKS, NOT_ASKED, run_check
from tests.stores.table import BEGIN, DOCUMENT, END, KNOWN, Column, table, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.store import Store


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with rclone(tmp_path_factory.mktemp("stores")) as store:
        yield store


@pytest.mark.parametrize("check", CHECKS)
def test_the_embedded_store_does_what_is_known_of_it(embedded: Store, check: str) -> None:
    difference = run_check(check, embedded).removeprefix(NOT_ASKED)
    assert bool(difference) == (check in KNOWN["rclone"]), difference


def test_what_is_known_is_about_checks_that_exist() -> None:
    assert {check for checks in KNOWN.values() for check in checks} <= set(CHECKS)


def test_the_table_in_the_document_is_of_these_checks_and_these_differences() -> None:
    """`make test-stores ARGS=--write` makes it so."""
    stores, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines()
        if line.startswith("|")
    ]
    assert [store.rpartition(" ")[0] for store in stores[1:]] == list(STORES)
    assert [row[0] for row in rows] == list(CHECKS)
    different = {
        name: {row[0] for row in rows if row[column].startswith("no ")}
        for column, name in enumerate(STORES, 1)
    }
    assert different == {name: set(KNOWN[name]) for name in STORES}


def test_the_table_notes_each_difference() -> None:
    columns = [Column("MinIO", "1", {"a": "", "keys with `//`": "x"}), Column("new", "2", {"a": "y"})]
    columns[1].differences["keys with `//`"] = ""
    columns.append(Column("third", "3", {"a": NOT_ASKED, "keys with `//`": NOT_ASKED}))
    text = table(columns)
    assert "| a | yes | no (1) | - |" in text
    assert "| keys with `//` | no (2) | yes | - |" in text
    assert "1. new, a: **unexpected** (seen: y)" in text
    assert "2. MinIO, keys with `//`: refuses" in text


def test_only_what_is_between_the_markers_is_written(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(document, "new\n")
    assert document.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    document.write_text("no markers")
    with pytest.raises(ValueError, match="has no"):
        write(document, "new\n")


def test_a_store_that_cannot_be_built_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(servers, "BIN", tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build(["rclone", "moto"]) == {}
    assert "Go, which is not installed" in build(["MinIO over TLS"])["minio"]
    (tmp_path / "go").write_text("#!/bin/sh\necho downloading\necho 'proxy: 404 Not Found' >&2\nexit 1\n")
    (tmp_path / "go").chmod(0o755)
    assert build(["VersityGW"])["versitygw"].endswith(" failed: proxy: 404 Not Found")
    (tmp_path / "go").write_text("#!/bin/sh\nexec /bin/sleep 1000\n")
    monkeypatch.setattr(servers, "BUILD_BUDGET_S", 0.2)
    late = build(["MinIO", "VersityGW"])
    assert "not done in time; the next run goes on from here" in late["versitygw"]
    assert "no time is left to build github.com/minio/minio@" in late["minio"]
    with pytest.raises(Missing, match="is not built"), servers.minio(tmp_path / "data"):
        pass


def test_big_compares_what_it_uploads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In small, through the store that is always there."""
    words = "--store rclone --sparse 17MiB --files 5 --largest 20kB --stdin 9MiB --folder".split()  # noqa: SIM905
    words.append(str(tmp_path))
    assert big.main(words) == 0
    said = capsys.readouterr().out
    assert "objects: 6 identical, 0 different []" in said
    assert "stdin: 1 identical, 0 different []" in said
    assert list(tmp_path.iterdir()) == []
    assert big.main([*words, "--memory", "1MB"]) == 1
    assert capsys.readouterr().out.count("TOO MUCH MEMORY") == 2


def test_big_sees_what_differs(embedded: Store, tmp_path: Path) -> None:
    bucket, path = embedded.new_bucket(), tmp_path / "a"
    path.write_bytes(bytes(big.COMPARE_BYTES + 5))
    for body, verdict in (
        (bytes(big.COMPARE_BYTES + 5), True),
        (bytes(big.COMPARE_BYTES + 4) + b"x", False),
        (bytes(big.COMPARE_BYTES), False),
        (bytes(big.COMPARE_BYTES + 6), False),
    ):
        embedded.client.put_object(Bucket=bucket, Key="a", Body=body)
        assert big.same(embedded, bucket, "a", path) is verdict
