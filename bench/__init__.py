"""Side-by-side benchmark against the fastest peers: `python -m bench --help`."""
