#!/usr/bin/env python3
"""Every scenario through a real Apache with apache/cgi-bin.conf and mod_cgid."""

from harness.webservers import ApacheCgid, find
from scenarios import worlds

worlds.run(ApacheCgid, needs=[("Apache", find("apache2", "httpd"))])
