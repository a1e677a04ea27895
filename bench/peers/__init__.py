"""Uploads with the peers that are libraries: a script each, run by the Python of `.venv/peers`.

`python -m bench.peers.NAME SETTING DIRECTORY ENDPOINT BUCKET`; keys, region and CA file come from the
environment.  SETTING is what the bench's sweep tries.  Each is written as its library is fastest.
"""
