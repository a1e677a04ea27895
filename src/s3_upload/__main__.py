"""`python -m s3_upload`: the command."""

from s3_upload.cli.main import run

if __name__ == "__main__":
    run()
