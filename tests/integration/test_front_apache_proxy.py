#!/usr/bin/env python3
"""Every scenario through a real Apache with apache/proxy_fcgi.conf."""

from harness.webservers import ApacheProxy, find
from scenarios import worlds

worlds.run(ApacheProxy, needs=[("Apache", find("apache2", "httpd"))])
