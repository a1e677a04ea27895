"""Hostile answers: `python -m tests.fuzz --responses 100000`, and tests/faults/test_fuzz.py."""
