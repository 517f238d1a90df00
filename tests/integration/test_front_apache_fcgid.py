#!/usr/bin/env python3
"""Every scenario through a real Apache with apache/fcgid.conf."""

from harness.webservers import ApacheFcgid, find
from scenarios import worlds

worlds.run(ApacheFcgid, needs=[("Apache", find("apache2", "httpd"))])
