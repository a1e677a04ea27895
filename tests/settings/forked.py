"""Runs a command again and again, each time in a child that has imported all of it already.

    python forked.py MODULE:FUNCTION [MODULE...]

Of each line on stdin, `{"args": […], "env": {…}}`, a line on stdout: `{"code": 0, "said": "…"}`.  The AWS
CLI's own Python runs this, so it imports nothing of ours.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import traceback
from typing import Any


def run(function: Any, args: list[str], env: dict[str, str]) -> dict[str, Any]:
    """The exit code, and the end of what was said."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            os._exit(_in_child(function, args, env, output.fileno()))
        _, status = os.waitpid(child, 0)
        output.seek(0)
        said = output.read().decode(errors="replace")[-2000:]
    return {"code": os.waitstatus_to_exitcode(status), "said": said}


def _in_child(function: Any, args: list[str], env: dict[str, str], output: int) -> int:
    for number in (1, 2):
        os.dup2(output, number)
    os.environ.update(env)  # beside what the import has put there, and what runs this has none of its own
    sys.argv = ["command", *args]
    try:
        code = function()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 0


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    for late in sys.argv[2:]:  # what the function itself would import, each time
        importlib.import_module(late)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(run(function, asked["args"], asked["env"])), flush=True)


if __name__ == "__main__":
    main()
