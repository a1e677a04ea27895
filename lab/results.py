"""What was measured, as JSON; runs that are made later replace those of the same scenario."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.metrics import Figures, medians
from lab.network import ROOT
from lab.run import machine
from lab.scenario import Scenario
from lab.uploaders import NOBODY, uploader

if TYPE_CHECKING:
    from collections.abc import Iterator


class Results:
    """`path`: read if it is there, written after every run; None keeps them in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.data: dict[str, Any] = {"machine": {}, "check": [], "scenarios": {}}
        if path is not None and path.exists():
            self.data = json.loads(path.read_text(encoding="utf-8"))
        for entry in self.data["scenarios"].values():
            entry.setdefault("failed", [])  # of before it was written down

    def entries(self) -> Iterator[tuple[Scenario, dict[str, Any]]]:
        """In the order in which they were first run."""
        for entry in self.data["scenarios"].values():
            yield Scenario(**entry["scenario"]), entry

    def medians(self, scenario: Scenario) -> Figures | None:
        """None where there is no valid run."""
        runs = self.data["scenarios"].get(scenario.key, {}).get("runs", [])
        return medians([run["figures"] for run in runs]) if runs else None

    def count(self, scenario: Scenario) -> int:
        return len(self._entry(scenario)["runs"])

    def tried(self, scenario: Scenario) -> int:
        """How many runs there are, also of those in which the upload failed."""
        return self.count(scenario) + len(self.failed(scenario))

    def failed(self, scenario: Scenario) -> list[str]:
        """Why uploads failed, one reason for each run."""
        failed: list[str] = self._entry(scenario)["failed"]
        return failed

    def machines(self) -> list[dict[str, Any]]:
        """On which the runs were, each once."""
        head, entries = self.data["machine"], self.data["scenarios"].values()
        found = [run.get("machine", head) for entry in entries for run in entry["runs"]]
        return [one for number, one in enumerate(found) if one not in found[:number]]

    def versions(self) -> list[str]:
        """Of the uploaders whose runs there are."""
        entries = self.data["scenarios"].values()
        found = {run.get("version", entry["version"]) for entry in entries for run in entry["runs"]}
        return sorted(found - {""})

    def is_from_elsewhere(self, scenario: Scenario) -> bool:
        """Whether a run of it was on another machine than this."""
        here, head = machine(), self.data["machine"]
        return any(run.get("machine", head) != here for run in self._entry(scenario)["runs"])

    def forget(self, scenario: Scenario) -> None:
        self.data["scenarios"].pop(scenario.key, None)

    def forget_all(self) -> None:
        self.data |= {"machine": {}, "check": [], "scenarios": {}}

    def skip(self, scenario: Scenario, why: str) -> None:
        self._entry(scenario)["skipped"] = why
        self._save()

    def invalid(self, scenario: Scenario, why: str) -> None:
        self._entry(scenario)["invalid"].append(why)
        self._save()

    def fail(self, scenario: Scenario, why: str) -> None:
        """A run in which the upload failed: no figures, and no reason to try again."""
        self._entry(scenario)["failed"].append(why)
        self._save()

    def add(
        self, scenario: Scenario, seed: int, found: Figures, series: dict[str, Any], emulator: dict[str, Any]
    ) -> None:
        entry = self._entry(scenario)
        entry["skipped"] = ""
        if not entry["runs"]:
            entry["series"] = series
        run: dict[str, Any] = {
            "seed": seed, "figures": _rounded(found), "emulator": _rounded(emulator),
        }  # fmt: skip
        # Said once for all that are alike; a later run may be of another version, or on another machine.
        here, version = machine(), _version(scenario)
        self.data["machine"] = self.data["machine"] or here
        if here != self.data["machine"]:
            run["machine"] = here
        if version != entry["version"]:
            run["version"] = version
        entry["runs"].append(run)
        self._save()

    def check(self, agreements: list[dict[str, Any]]) -> None:
        self.data["check"] = agreements
        self._save()

    def _entry(self, scenario: Scenario) -> dict[str, Any]:
        entry: dict[str, Any] = self.data["scenarios"].setdefault(
            scenario.key,
            {
                "scenario": {},
                "version": _version(scenario),
                "skipped": "",
                "invalid": [],
                "failed": [],
                "runs": [],
                "series": {},
            },
        )
        entry["scenario"] = dataclasses.asdict(scenario)
        return entry

    def _save(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(
            f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in self.data["scenarios"].items()
        )
        text = (
            f'{{"machine": {json.dumps(self.data["machine"])},\n"check": {json.dumps(self.data["check"])},\n'
            f'"scenarios": {{\n{lines}\n}}}}\n'
        )
        beside = self._path.with_suffix(".tmp")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._path)


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}


def _version(scenario: Scenario) -> str:
    """Of the uploader; ours with the commit that last changed it, since its versions are rare."""
    if scenario.uploader == NOBODY:
        return ""
    who = uploader(scenario.uploader, Path())
    if not who.ours:
        return f"{who.tool} {who.version}"
    commit = _git("log", "-1", "--format=%h", "--", "src") or "no commit"
    changed = ", changed since" if _git("status", "--porcelain", "--", "src") else ""
    return f"{who.tool} {who.version} ({commit}{changed})"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
