#!/usr/bin/env python3
"""Every scenario through plain CGI: environment and standard input."""

from harness.fronts import Cgi
from scenarios import worlds

worlds.run(Cgi)
