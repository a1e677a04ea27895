"""What the AWS CLI takes and our parser does not: flags whose value may be left out, one with several, and
two that contradict each other.

Rules: `--sse`, `--sse-c` and `--request-payer` are their usual value where no other follows.  What follows is
not taken for a value if it is a flag, an s3:// URL, or something that exists: that is a source then, which
the AWS CLI would refuse.  `--grants` takes what looks like a grant, and no source behind.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from s3_upload.cli.output import UsageError
from s3_upload.sources.mapping import is_s3_url

if TYPE_CHECKING:
    from collections.abc import Sequence

_USUAL = {
    "--sse": ("AES256", "aws:kms", "aws:kms:dsse"),
    "--sse-c": ("AES256",),
    "--request-payer": ("requester",),
}
"""The values of flags that need none; the first is the usual one."""
_SEVERAL = "--grants"
_LAST_WINS = frozenset({"--follow-symlinks", "--no-follow-symlinks"})
"""Of one pair: an alias says the one, and who types the other behind it means that."""
_SAID = frozenset({*_USUAL, _SEVERAL, "--acl", "--sse-c-key", "--sse-kms-key-id", "--storage-class"})
"""Empty, these are no wish for nothing but a variable of a script that is not set: what goes up must not go
without the encryption that somebody means to ask for."""
_GRANT = re.compile(r"[a-z]+=[A-Za-z]+=.*", re.DOTALL)


def for_parser(words: Sequence[str]) -> list[str]:
    """The same words, each such flag with its value."""
    taken: list[str] = []
    number = 0
    while number < len(words):
        word = words[number]
        number += 1
        if word == "--":
            return [*taken, word, *words[number:]]
        name = word.replace("_", "-").lower() if word.startswith("--") else ""
        if name.removesuffix("=") in _SAID and (name.endswith("=") or words[number : number + 1] == [""]):
            raise UsageError(f"{name.removesuffix('=')}: its value is empty: give one, or leave the flag out")
        if name in _USUAL:
            if number < len(words) and _is_value(words[number], _USUAL[name]):
                taken.append(f"{name}={words[number]}")
                number += 1
            else:
                taken.append(f"{name}={_USUAL[name][0]}")
        elif name == _SEVERAL and number < len(words) and _GRANT.fullmatch(words[number]):
            while number < len(words) and _GRANT.fullmatch(words[number]):
                taken.append(f"{_SEVERAL}={words[number]}")
                number += 1
        elif name in _LAST_WINS:
            taken = [*(each for each in taken if each not in _LAST_WINS), name]
        else:
            taken.append(word)
    return taken


def _is_value(word: str, values: Sequence[str]) -> bool:
    return word in values or not (word.startswith("-") or is_s3_url(word) or os.path.lexists(word))
