"""A deterministic simulator: the real engine, client and controls in a virtual world.

One seed makes a world (files, network, store, faults) and replays it, event by event.

    loop      a virtual clock for asyncio                 disk      files that exist only here
    tcp       a sender with a congestion window           world     what one seed means
    network   handshakes, transports                     run       a world in, what happened out
    server    the store and its faults                    oracle    what must hold whatever happened
    scenarios named worlds, and how well each algorithm does in them
    watchdog  lost connections at the moments that could hurt the watchdog
    fleet     several workers on one job, and their rates; fleet_table: what they make of a store's limit
    scale     what 10^9 files and 10 PB take, by arithmetic

`python -m tests.sim --seeds 2000` runs many worlds; `--first N --seeds 1 --verbose` replays one.
"""
