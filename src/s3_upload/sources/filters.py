"""Which files of a tree are taken: patterns to leave out and to take in all the same. Pure.

Rules:

* Everything is taken that no pattern matches.  The last pattern that matches decides: of the file itself, or
  of a directory that it lies in.
* A pattern without "/" matches a name at any depth.  One with "/" is the path from the root of the source; so
  is one that begins with "/" or "./".  A "/" at its end matches directories only.
* `*` and `?` stand for characters but "/", `[ab-z]` and `[!ab-z]` for one; `**` crosses directories, and
  `**/` and `/**/` stand for none, too.  A backslash takes the next character as it is.  Case counts.
* A directory is not walked when nothing in it can be taken: one that is left out, unless a pattern after that
  one might take something in it.

Two known tools differ.  In the AWS CLI `*` crosses directories, and all patterns are paths.  In .gitignore
nothing is taken again from a directory that is left out; here a later pattern can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from s3_upload.checks import must_be
from s3_upload.errors import ConfigError

UNMATCHED = -1
"""In place of a rule's number: no rule has matched."""


class Rule(msgspec.Struct, frozen=True):
    """A pattern that leaves out what it matches or, with `include`, takes it in all the same."""

    pattern: str
    include: bool = False

    def __post_init__(self) -> None:
        must_be("pattern", self.pattern, str, "str")
        must_be("include", self.include, bool, "bool")

    @property
    def flag(self) -> str:
        """As messages name it."""
        return f"{'include' if self.include else 'exclude'} {self.pattern!r}"


class Filters:
    """Rules in their order. Raises `ConfigError` for a pattern that makes no sense, or rules that leave out
    nothing, and `TypeError` for what is no pattern."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        must_be("rules", rules, Iterable, "an iterable of Rule")
        self._rules = tuple(rules)
        for rule in self._rules:
            must_be("an item of rules", rule, Rule, "Rule", "Rule(pattern, include=False) makes one")
        self._matchers = tuple(_Matcher(rule) for rule in self._rules)
        if not any(not rule.include or rule.pattern in {"*", "**"} for rule in self._rules):
            raise ConfigError(
                f"{self._rules[0].flag}: everything is taken already: to take nothing else, exclude '*' first"
                if self._rules
                else "no pattern is given"
            )

    def have_paths_in(self, directory: str) -> bool:
        """Whether a pattern that is about more than names may match something in `directory`."""
        return any(matcher.is_path and matcher.may_match_in(directory) for matcher in self._matchers)

    def __repr__(self) -> str:
        return f"Filters({', '.join(rule.flag for rule in self._rules)})"

    def last_match(self, path: str, *, is_directory: bool, above: int = UNMATCHED) -> int:
        """The number of the last rule that matches `path` or, by `above`, the directory it lies in.

        `path` goes from the root of the source, with "/" between.
        """
        name = path.rpartition("/")[2]
        for number in range(len(self._matchers) - 1, above, -1):
            matcher = self._matchers[number]
            if matcher.only_directories and not is_directory:
                continue
            if matcher.matches(path if matcher.is_path else name):
                return number
        return above

    def takes(self, number: int) -> bool:
        """What becomes of that whose last match is the rule of that number."""
        return number == UNMATCHED or self._rules[number].include

    def walks(self, directory: str, number: int) -> bool:
        """Whether something in `directory`, whose last match is `number`, may be taken."""
        if self.takes(number):
            return True
        later = self._matchers[number + 1 :]
        return any(matcher.include and matcher.may_match_in(directory) for matcher in later)

    def takes_file(self, name: str) -> bool:
        """Whether to take a file that is a source of its own."""
        return self.takes(self.last_match(name, is_directory=False))

    def last_match_of_name(self, name: str) -> int | None:
        """That of a directory that is one of several sources: its name counts as any other does, though its
        entries' paths begin below it. None: it is not to be walked."""
        by_name = (number for number, matcher in enumerate(self._matchers) if not matcher.is_path)
        number = max((n for n in by_name if self._matchers[n].matches(name)), default=UNMATCHED)
        later = self._rules[number + 1 :]
        return number if self.takes(number) or any(rule.include for rule in later) else None


def rules_of(exclude: str | Iterable[str] = (), include: str | Iterable[str] = ()) -> tuple[Rule, ...]:
    """What is excluded, then what is included all the same."""
    left_out = [Rule(pattern) for pattern in several("exclude", exclude)]
    taken = [Rule(pattern, include=True) for pattern in several("include", include)]
    return (*left_out, *taken)


def several(name: str, given: Any, what: str = "a pattern", kinds: tuple[type, ...] = (str,)) -> list[Any]:
    """What the argument `name` has, each of which is `what`; one may stand alone. Raises `TypeError`."""
    if isinstance(given, kinds):
        return [given]
    must_be(name, given, Iterable, f"{what} or an iterable of {what.removeprefix('a ')}s")
    wanted = "str" if kinds == (str,) else "str or os.PathLike"
    items = list(given)
    for number, item in enumerate(items):
        hint = "use its as_posix()" if callable(getattr(item, "as_posix", None)) else ""
        must_be(f"{name}[{number}]", item, kinds, wanted, hint)
    return items


class _Matcher:
    """One rule, ready to be asked."""

    def __init__(self, rule: Rule) -> None:
        pattern = rule.pattern
        self.include = rule.include
        self.only_directories = pattern.endswith("/")
        body = pattern.rstrip("/")
        self.is_path = "/" in body
        while body.startswith("./"):
            body = body[2:].lstrip("/")
        body = body.lstrip("/")
        if body in {"", "."}:
            raise ConfigError(f"{rule.flag}: matches nothing: give a name, or a path from the source's root")
        if ".." in body.split("/"):
            raise ConfigError(f"{rule.flag}: '..' leads out of the source: give a path from its root")
        self.matches = _compiled(body, rule.flag).fullmatch
        self._steps = _steps(body) if self.is_path else None

    def may_match_in(self, directory: str) -> bool:
        """Whether it may match anything in `directory`, at any depth."""
        if self._steps is None:
            return True
        there = directory.split("/")
        for step, name in zip(self._steps, there, strict=False):
            if "**" in step:
                return True
            if not _compiled(step, "").fullmatch(name):
                return False
        return len(self._steps) > len(there)


def _steps(body: str) -> list[str] | None:
    """The patterns of a path's names; None where a "/" is escaped, or within a set."""
    steps = body.split("/")
    try:
        for step in steps:
            _compiled(step, "")
    except ConfigError:
        return None
    return steps


@lru_cache(maxsize=1024)
def _compiled(pattern: str, flag: str) -> re.Pattern[str]:
    """The regular expression that says the same. Raises `ConfigError`, which names it as `flag`."""
    try:
        return re.compile(_expression(pattern), re.DOTALL)
    except (re.error, ValueError) as error:
        raise ConfigError(f"{flag}: is no pattern: {error}") from None


def _expression(pattern: str) -> str:
    pieces, at = [], 0
    while at < len(pattern):
        starts_step = at == 0 or pattern[at - 1] == "/"
        if pattern.startswith("**", at):
            end = at
            while pattern.startswith("*", end):
                end += 1
            if starts_step and pattern.startswith("/", end):
                pieces.append("(?:.*/)?")
                end += 1
            else:
                pieces.append(".*")
            at = end
            continue
        piece, at = _one(pattern, at)
        pieces.append(piece)
    return "".join(pieces)


def _one(pattern: str, at: int) -> tuple[str, int]:
    """What the character at `at` and those that belong to it say, and where the next begins."""
    char = pattern[at]
    if char == "*":
        return "[^/]*", at + 1
    if char == "?":
        return "[^/]", at + 1
    if char == "\\":
        if at + 1 == len(pattern):
            raise ValueError("it ends in a backslash")
        return re.escape(pattern[at + 1]), at + 2
    if char == "[":
        return _set(pattern, at)
    return re.escape(char), at + 1


def _set(pattern: str, at: int) -> tuple[str, int]:
    start = at + 1
    negated = pattern[start : start + 1] in {"!", "^"}
    start += negated
    end = pattern.find("]", start + 1)  # a "]" that comes first is one of the set
    if end < 0:
        raise ValueError("the ] of its [ is missing (\\[ is the character itself)")
    inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", pattern[start:end])
    return f"(?!/)[{'^' if negated else ''}{inside}]", end + 1
