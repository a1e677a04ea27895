"""Uploads through real proxies: ours (`forward.py`, `socks.py`) and, where it is installed, tinyproxy."""
