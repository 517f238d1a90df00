#!/usr/bin/env python3
"""Every scenario through --listen on a TCP port."""

from harness.fronts import ListenTcp
from scenarios import worlds

worlds.run(ListenTcp)
