"""One conformance suite through real stores: `make test-stores`, or `python -m tests.stores`."""
