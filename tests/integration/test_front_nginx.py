#!/usr/bin/env python3
"""Every scenario through a real nginx with nginx/fluidhook.conf."""

from harness.webservers import Nginx, find
from scenarios import worlds

worlds.run(Nginx, needs=[("nginx", find("nginx"))])
