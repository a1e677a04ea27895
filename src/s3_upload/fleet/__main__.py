"""`python -m s3_upload.fleet DESCRIPTOR`: one process of a job, told what to do over that socket."""

import sys

from s3_upload.fleet.member import main

main(int(sys.argv[1]))
