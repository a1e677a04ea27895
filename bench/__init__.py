"""Measurements: beside other uploaders, `python -m bench --help`; the other modules say what they are for."""
