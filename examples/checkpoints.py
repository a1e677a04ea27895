"""Uploads each checkpoint of a training as it is written, with what others leave of the link.

    python examples/checkpoints.py FOLDER s3://BUCKET/PREFIX

The training goes on meanwhile; `torch.save` (here: any bytes) writes the next one.  The data that the
training loads over the same link comes first: share="background" yields to it.
"""

import sys
from pathlib import Path

from s3_upload import Running, start_upload


def train(folder: Path, step: int) -> Path:
    """Stands for the training: writes a checkpoint, for which PyTorch has `torch.save(state, path)`."""
    checkpoint = folder / f"step-{step}"
    checkpoint.mkdir(parents=True)
    for shard in range(2):
        (checkpoint / f"shard-{shard}.pt").write_bytes(bytes([step]) * 100_000)
    return checkpoint


def main() -> int:
    folder, destination = Path(sys.argv[1]), sys.argv[2]
    uploads: list[Running] = []
    for step in range(3):
        checkpoint = train(folder, step)
        if uploads:
            uploads[-1].wait().raise_for_failures()  # one at a time: it had a whole step's time
        uploads.append(start_upload(checkpoint, f"{destination}/{checkpoint.name}", share="background"))
    uploads[-1].wait().raise_for_failures()
    for number, running in enumerate(uploads):
        print(f"step {number}: {running.summary()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
