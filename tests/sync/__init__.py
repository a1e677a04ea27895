"""`python -m tests.sync`: what a sync costs where all is there, and what it makes of others' uploads."""
