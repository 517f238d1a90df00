#!/usr/bin/env python3
"""Every scenario through spawn-fcgi: the socket is standard input."""

from harness.fronts import SpawnFcgi
from harness.webservers import find
from scenarios import worlds

worlds.run(SpawnFcgi, needs=[("spawn-fcgi", find("spawn-fcgi"))])
