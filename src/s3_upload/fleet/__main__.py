"""`python -m s3_upload.fleet DESCRIPTOR [PYTHONPATH]`: a process of a job, told what to do over that socket.

PYTHONPATH: what there was before the job set it for this process alone.
"""

import os
import sys

from s3_upload.fleet.member import main

_, descriptor, *before = sys.argv
del os.environ["PYTHONPATH"]
if before:
    os.environ["PYTHONPATH"] = before[0]
main(int(descriptor))
