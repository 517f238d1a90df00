"""Installations for script/bench, written as the receiver writes them (contract: README and man pages).

tests/bench/load.c posts events of these: the same names, the same keys."""

import json
import os

DROPLET = "drp_bench"


def name_of(n):
    return f"dri_bench_{n:08}"


def record_of(n):
    return {
        "droplet_installation_uuid": name_of(n),
        "status": "active",
        "droplet_uuid": DROPLET,
        "fluid_company_id": 10000000 + n,
        "fluid_shop": f"bench-{n:08}.fluid.app",
        "name": "Bench",
        "authentication_token": f"dit_bench_{n:08}_n9F8NmwVzaKiCMDRAN4FB",
        "webhook_verification_token": key_of(n),
        "installed_at": "2026-01-01T00:00:00Z",
        "uninstalled_at": None,
        "updated_at": "2026-01-01T00:00:00.000000Z",
        "delivery": "019b76da-a800-7000-8000-000000000000",
    }


def key_of(n):
    return f"wvt_bench_{n:08}"


def write_installations(state, count):
    """Not synced: they are only there to be measured with."""
    records = os.open(os.path.join(state, "installations"), os.O_RDONLY)
    try:
        for n in range(count):
            fd = os.open(name_of(n) + ".json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600,
                         dir_fd=records)
            os.write(fd, json.dumps(record_of(n)).encode() + b"\n")
            os.close(fd)
    finally:
        os.close(records)
    # The search for keys begins with the shop, so the index of the companies is not needed.
    shops = os.open(os.path.join(state, "shops"), os.O_RDONLY)
    try:
        for n in range(count):
            os.mkdir(f"bench-{n:08}", 0o700, dir_fd=shops)
            os.symlink(f"../../installations/{name_of(n)}.json", f"bench-{n:08}/{name_of(n)}",
                       dir_fd=shops)
    finally:
        os.close(shops)
