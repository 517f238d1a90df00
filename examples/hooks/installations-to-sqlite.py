#!/usr/bin/env python3
"""A hook of fluidhook: keeps a table of installations in SQLite. man 7 fluidhook-hooks

Needs nothing but Python 3. To use it, as root:

    install -m 0755 installations-to-sqlite.py /etc/fluidhook/hooks/droplet

so that it gets droplet.installed and droplet.uninstalled. As `any` it gets all other events too, which
it ignores. The worker's user must be able to write into the directory below; the worker's systemd unit
makes it. Then

    sqlite3 /var/lib/fluidhook-hooks/installations.db 'SELECT * FROM active'

The exit status says what becomes of the delivery. 0: done. Anything else (a traceback is 1): the
worker runs this again, 10 s later and then ever more rarely, and gives it up after 12 attempts. Retries
come out of order, and after a crash something can come twice. So each event only writes down when it
happened, and who is active follows from that: however often and in whatever order they come, the same
table comes out.

Credentials are none of its business: "fluidhook token" and "fluidhook api" have them.
"""
import json
import os
import sqlite3
import sys

DATABASE = "/var/lib/fluidhook-hooks/installations.db"

TABLES = """
CREATE TABLE IF NOT EXISTS installations (
    installation   TEXT PRIMARY KEY,
    shop           TEXT,
    company_id     TEXT,                -- as text: it need not fit into 64 bits
    droplet        TEXT,
    name           TEXT,
    installed_at   TEXT,                -- when the delivery was received, in UTC
    uninstalled_at TEXT
);
CREATE VIEW IF NOT EXISTS active AS SELECT * FROM installations
    WHERE installed_at > coalesce(uninstalled_at, '');
"""

INSTALLED = """
INSERT INTO installations (installation, shop, company_id, droplet, name, installed_at)
VALUES (:installation, :shop, :company_id, :droplet, :name, :at)
ON CONFLICT (installation) DO UPDATE SET
    shop = excluded.shop, company_id = excluded.company_id, droplet = excluded.droplet,
    name = excluded.name, installed_at = excluded.installed_at
WHERE excluded.installed_at > coalesce(installed_at, '')
"""

# An uninstall says less. What is known already stays.
UNINSTALLED = """
INSERT INTO installations (installation, shop, company_id, droplet, uninstalled_at)
VALUES (:installation, :shop, :company_id, :droplet, :at)
ON CONFLICT (installation) DO UPDATE SET uninstalled_at = excluded.uninstalled_at
WHERE excluded.uninstalled_at > coalesce(uninstalled_at, '')
"""

STATEMENTS = {"droplet.installed": INSTALLED, "droplet.uninstalled": UNINSTALLED}


def company_of(body):
    """The company's block: at the root of a flat body, or in the payload of an enveloped one."""
    for part in (body, body.get("payload")):
        if isinstance(part, dict) and isinstance(part.get("company"), dict):
            return part["company"]
    return {}


def text(value):
    """A value as text that can be stored, None where there is none."""
    if value is None:
        return None
    # JSON can hold half a surrogate pair, which is no character: it becomes a question mark.
    return str(value).encode("utf-8", "replace").decode()


def main():
    statement = STATEMENTS.get(os.environ["FLUIDHOOK_EVENT"])
    if statement is None:
        return
    company = company_of(json.load(sys.stdin.buffer))
    row = {
        "installation": os.environ["FLUIDHOOK_INSTALLATION"],
        "shop": os.environ["FLUIDHOOK_SHOP"],
        "at": os.environ["FLUIDHOOK_RECEIVED_AT"],
        "company_id": text(company.get("fluid_company_id")),
        "droplet": text(company.get("droplet_uuid")),
        "name": text(company.get("name")),
    }
    # Another one may be writing: wait for it, within the 60 s that a hook has (hook_timeout).
    database = sqlite3.connect(DATABASE, timeout=30)
    database.executescript(TABLES)
    with database:                      # one transaction: all of it, on the disk, or nothing
        database.execute(statement, row)
    database.close()


main()
