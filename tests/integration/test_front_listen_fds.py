#!/usr/bin/env python3
"""Every scenario through a socket passed as systemd does."""

from harness.fronts import ListenFds
from scenarios import worlds

worlds.run(ListenFds)
