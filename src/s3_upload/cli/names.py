"""The names of the commands, for what runs before the parser is loaded, or without it."""

from __future__ import annotations

COMMANDS = (
    "sync", "verify", "jobs", "clean", "perf-data", "report", "serve", "config", "completion"
)  # fmt: skip
"""Known here, since the parser is not loaded for every word."""
OF_UPLOADS = frozenset({"sync", "verify", "perf-data", "config"})
"""Those that are said with the flags of an upload."""
OWN_VARIABLES = "S3_UPLOAD_"
"""What variables that say what flags say begin with."""
BUCKETS = "completion-buckets"
"""What the scripts for completion call: no help names it."""
