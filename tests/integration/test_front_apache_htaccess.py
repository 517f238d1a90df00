#!/usr/bin/env python3
"""Every scenario through a real Apache with apache/htaccess, as on shared hosting."""

from harness.webservers import ApacheHtaccess, find
from scenarios import worlds

worlds.run(ApacheHtaccess, needs=[("Apache", find("apache2", "httpd"))])
