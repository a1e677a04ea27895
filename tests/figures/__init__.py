"""What can be counted about the house: `python -m tests.figures` prints it beside what it should be.

Each figure is a function from sources to numbers, without a dependency beyond the standard library, and
`tests/unit/test_figures.py` shows each a made-up source that breaks it.
"""
