"""`s3-upload serve`: the embedded store in the foreground."""

from __future__ import annotations

import shlex

from s3_upload.cli.output import EXIT_OK, UsageError, emit, note
from s3_upload.embedded import REGION, EmbeddedStore
from s3_upload.errors import S3UploadError


def serve(directory: str, port: int, access_key: str | None, secret_key: str | None) -> int:
    """Serves `directory` on loopback until SIGINT, SIGTERM or SIGHUP, which raise KeyboardInterrupt here.

    Raises `UsageError` for half a pair of keys or an impossible port, and `S3UploadError` when rclone ends.
    """
    if (access_key is None) != (secret_key is None):
        raise UsageError("--access-key and --secret-key go together: give both or neither")
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: must be from 1 to 65535, or 0 for any free one")
    try:
        with EmbeddedStore(directory, port=port, access_key=access_key, secret_key=secret_key) as store:
            given = secret_key is not None
            for line in how_to_reach(
                store.endpoint_url, store.access_key, None if given else store.secret_key
            ):
                emit(line)
            raise S3UploadError(f"embedded store: rclone ended: {store.wait()}")
    except KeyboardInterrupt:
        note("s3-upload: the store has stopped")
    return EXIT_OK


def how_to_reach(endpoint_url: str, access_key: str, secret_key: str | None) -> list[str]:
    """Lines for a shell: the environment of a client, and an example. A secret that the user gave is
    not repeated (`secret_key` None)."""
    return [
        f"# An S3 store at {endpoint_url}; Ctrl-C stops it. For its clients:",
        f"export AWS_ENDPOINT_URL_S3={endpoint_url}",
        f"export AWS_ACCESS_KEY_ID={shlex.quote(access_key)}",
        f"export AWS_SECRET_ACCESS_KEY={shlex.quote(secret_key)}"
        if secret_key is not None
        else "# export AWS_SECRET_ACCESS_KEY=(the one you gave)",
        f"export AWS_REGION={REGION}",
        "# Buckets are folders of the served directory, and objects are files: where p/a is a key,",
        "# p cannot be one. For example:",
        "#   s3-upload SRC s3://BUCKET/PREFIX --create-bucket",
    ]
