#!/usr/bin/env python3
"""Every scenario through --listen on a unix socket."""

from harness.fronts import Listen
from scenarios import worlds

worlds.run(Listen)
