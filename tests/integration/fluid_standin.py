#!/usr/bin/env python3
"""A stand-in for Fluid's API as a program; as a library it is the package `standin` beside it.

Prints one line of JSON that says where it listens, {"url": ..., "ca_file": ...}, and serves until its
standard input ends or it is told to stop. Requests below /_standin/ control it: GET requests;
POST faults, families, installations, offers, forget; GET, POST and DELETE webhooks.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile

from standin import Company, StandIn, certificates


def _stop(_number, _frame):
    sys.exit(0)


def main():
    parser = argparse.ArgumentParser(description="A stand-in for Fluid's API, on loopback.")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--tls", action="store_true", help="speak TLS, with a CA made for it")
    parser.add_argument("--name", action="append", metavar="DNS:NAME|IP:ADDRESS",
                        help="whom the certificate is for; default: localhost")
    parser.add_argument("--company-token", default=Company().company_token)
    parser.add_argument("--allow-http", action="store_true", help="take webhooks at http addresses")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    directory = tempfile.mkdtemp(prefix="fluid-standin-") if args.tls else None
    try:
        ca_file = certificate = None
        if directory:
            ca_file = certificates.authority(directory)
            certificate = certificates.certificate(directory, args.name) if args.name else \
                certificates.certificate(directory)
        company = Company(args.company_token, allow_http=args.allow_http)
        with StandIn(company, args.port, certificate) as standin:
            print(json.dumps({"url": standin.url, "ca_file": ca_file and str(ca_file)}),
                  flush=True)
            sys.stdin.buffer.read()
    finally:
        if directory:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
