"""The recipes of examples/ and the snippets of README.md, as their readers run them."""

from __future__ import annotations

import ast
import asyncio
import gzip
import inspect
import json
import re
import runpy
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pyarrow.parquet
import pytest

from tests.faults.actions import Rule, Stall, s3_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import StartFaultServer
    from tests.store import Store

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120  # bounds a hang
UPLOADED = r"uploaded 2 objects, 73\.0 kB in \d+\.\d\d s \(\d[\d.]* [kM]B/s\)"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "a.txt").write_bytes(b"a" * 3_000)
    (tmp_path / "photos" / "sub" / "b").write_bytes(b"b" * 70_000)
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def account(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of one who has an account with `store`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", store.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def run(*words: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@pytest.mark.parametrize("recipe", ["script", "with_boto3", "failed_once_more", "tqdm_bar"])
def test_a_recipe_uploads_a_directory(store: Store, bucket: str, src: Path, recipe: str) -> None:
    done = run(f"examples/{recipe}.py", src, f"s3://{bucket}/p")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(UPLOADED + "\n", done.stdout)
    assert store.objects(bucket) == {"p/a.txt": b"a" * 3_000, "p/sub/b": b"b" * 70_000}


def test_the_script_says_in_one_line_what_is_wrong(src: Path) -> None:
    done = run("examples/script.py", src / "missing", "s3://bucket")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"script.py: {src / 'missing'}: no such file or directory\n"


def test_the_bar_comes_to_a_hundred_percent(bucket: str, src: Path) -> None:
    done = run("examples/tqdm_bar.py", src, f"s3://{bucket}")
    assert "100%" in done.stderr
    assert "73.0k/73.0k" in done.stderr


def test_what_failed_once_is_tried_once_more(
    fault_server: StartFaultServer, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fault_server([Rule(s3_error(400, "InvalidRequest"), key="p/a.txt", attempt=1)])
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    done = run("examples/failed_once_more.py", src, "s3://bucket/p")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "1 failed, the first: p/a.txt: the store answered 400 InvalidRequest" in first
    assert second.startswith("once more: uploaded 1 object, 3.0 kB in ")
    assert [request.key for request in server.requests].count("p/a.txt") == 2


@pytest.mark.parametrize(
    "named", ["b", "arn:aws:s3:eu-west-1:1:accesspoint/n", "arn:aws:s3:eu-west-1:1:accesspoint:n"]
)
def test_what_failed_goes_to_the_same_bucket_once_more(named: str) -> None:
    bucket_of = runpy.run_path(str(ROOT / "examples" / "failed_once_more.py"))["bucket_of"]
    assert [bucket_of(f"s3://{named}{rest}") for rest in ("", "/", "/p/q")] == [named] * 3


def test_a_generator_of_bytes(store: Store, bucket: str) -> None:
    done = run("examples/from_generator.py", bucket, "numbers.txt.gz")
    assert done.returncode == 0, done.stderr
    (body,) = store.objects(bucket).values()
    assert gzip.decompress(body).splitlines() == [b"%d" % number for number in range(1_000_000)]


def test_partitions_of_a_table(store: Store, bucket: str, tmp_path: Path) -> None:
    done = run("examples/partitions.py", bucket, "table")
    assert done.returncode == 0, done.stderr
    found = store.objects(bucket)
    assert sorted(found) == ["table/year=2023/part-0.parquet", "table/year=2024/part-0.parquet"]
    for key, body in found.items():
        path = tmp_path / key
        path.parent.mkdir(parents=True)
        path.write_bytes(body)
    table = pyarrow.parquet.read_table(tmp_path / "table")
    assert sorted(table["name"].to_pylist()) == ["a", "b", "c"]
    assert sorted(table["year"].to_pylist()) == [2023, 2023, 2024]


def test_checkpoints_of_a_training(store: Store, bucket: str, tmp_path: Path) -> None:
    done = run("examples/checkpoints.py", tmp_path, f"s3://{bucket}/run7")
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == [
        f"step {number}: uploaded 2 objects" for number in range(3)
    ]
    expected = {f"run7/step-{n}/shard-{s}.pt": bytes([n]) * 100_000 for n in range(3) for s in range(2)}
    assert store.objects(bucket) == expected


def test_a_run_is_cancelled_from_outside(
    fault_server: StartFaultServer, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fault_server([Rule(Stall())])
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    done = run("examples/cancel.py", "1.0", src, "s3://bucket")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("cancelled: uploaded 0 objects, 0 B in ")


def test_a_run_that_is_not_cancelled_ends(bucket: str, src: Path) -> None:
    done = run("examples/cancel.py", "600", src, f"s3://{bucket}")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(f"done: {UPLOADED}\n", done.stdout)


def test_an_upload_that_raises_ends_at_once_whenever_it_would_be_cancelled(src: Path) -> None:
    done = run("examples/cancel.py", "600", src, "s3://there-is-none")
    assert done.returncode == 1
    assert "no such bucket" in done.stderr


def ask(method: str, url: str) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    try:
        with urlopen(Request(url, method=method), timeout=TIMEOUT_S) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


@contextmanager
def service() -> Iterator[str]:
    """The URL of the example's web service."""
    with subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "examples.fastapi_app:app", "--port", "0"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        yield next(found[0] for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
        process.terminate()
        process.stderr.read()


def test_a_web_service_uploads_in_the_background(
    store: Store, bucket: str, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOAD_TO", f"s3://{bucket}/web")
    with service() as url:
        assert ask("POST", f"{url}/uploads?{urlencode({'source': src})}") == (202, {"number": 0})
        until_s = time.monotonic() + TIMEOUT_S
        while not (found := ask("GET", f"{url}/uploads/0")[1])["done"]:
            assert time.monotonic() < until_s
        assert found == {"done": True, "uploaded": 2, "failed": 0}
        assert ask("DELETE", f"{url}/uploads/0") == (200, found)
        wrong = ask("POST", f"{url}/uploads?source=nope")
        assert wrong == (400, {"detail": "nope: no such file or directory"})
    assert sorted(store.keys(bucket)) == ["web/a.txt", "web/sub/b"]


def cells() -> Iterator[str]:
    notebook = json.loads((ROOT / "examples" / "notebook.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def test_the_cells_of_a_notebook_run_in_its_loop(
    store: Store, bucket: str, src: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As IPython runs them: with `await` at their top, in a loop that runs already."""
    monkeypatch.setenv("SRC", str(src))
    monkeypatch.setenv("URL", f"s3://{bucket}")
    names: dict[str, Any] = {}

    async def notebook() -> None:
        for number, cell in enumerate(cells()):
            code = compile(cell, f"<cell {number}>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, names)
            if inspect.iscoroutine(result):
                await result

    asyncio.run(notebook())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(re.fullmatch(UPLOADED, line) for line in lines)
    assert len(list(store.keys(bucket))) == 6


RECIPES = {
    "script", "with_boto3", "failed_once_more", "tqdm_bar", "from_generator", "partitions", "checkpoints",
    "cancel", "fastapi_app",
}  # fmt: skip
LONGER = {"simple", "live_progress", "perf_data"}  # in test_examples.py


def test_every_example_is_tested() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == RECIPES | LONGER
    assert [path.name for path in (ROOT / "examples").glob("*.ipynb")] == ["notebook.ipynb"]


SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("code", SNIPPETS, ids=lambda code: f"snippet {SNIPPETS.index(code) + 1}")
def test_the_snippets_of_the_readme(store: Store, bucket: str, src: Path, code: str) -> None:
    logs = src.parent / "logs"
    logs.mkdir()
    (logs / "x.log").write_bytes(b"log")
    (logs / "x.tmp").write_bytes(b"left out")
    (src.parent / "a.bin").write_bytes(b"bin")
    assert "s3://my-bucket" in code or '"my-bucket"' in code
    done = run("-W", "error", "-c", code.replace("my-bucket", bucket), cwd=src.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"uploaded", done.stdout)
    assert next(store.keys(bucket))
