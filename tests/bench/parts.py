"""The parts of script/bench that post deliveries. Each measures in interleaved rounds and returns
its table."""

import contextlib
import time

from measure import disk, largest_resident_kb, memory_kb, of, ratio, rounds
from peers import PEERS
from report import Table
from servers import Floor, Fluidhook, Nginx

ENDED_INSTALLATIONS = 1000
WARM_MOST = 100000


@contextlib.contextmanager
def running(bench, servers):
    """These servers, behind nginx, warm."""
    nginx = Nginx(bench, servers)
    try:
        for server in servers:
            server.start()
        nginx.start()
        time.sleep(bench.settle)
        yield nginx
    finally:
        nginx.stop()
        for server in servers:
            server.stop()


def load_of(bench, nginx, server, keep=False, **options):
    """A case for rounds()."""
    path = nginx.path(server, keep)
    options = {"seconds": bench.seconds, **server.load_options(), **options}
    return lambda: bench.load.run(server, nginx.port, path, **options)


def kilobytes(size):
    return f"{size / 1024:g} kB"


def fluidhook(bench):
    """The receiver beside the floor: sizes, connections, with and without kept connections."""
    floor, receiver = Floor(bench), Fluidhook(bench)
    table = Table("fluidhook", "The receiver beside the floor",
                  "body", "connections", "floor /s", "fluidhook /s", "of the floor", "kept",
                  "p50 ms", "p99 ms", "p99 / floor's", "CPU us", "floor's",
                  "cap of the disk /s", "sync + 1.5 floor p50 ms")
    with running(bench, [floor, receiver]) as nginx:
        for size in bench.sizes:
            cases = {}
            for c in bench.connections:
                load = {"size": size, "connections": c}
                cases["floor", c] = load_of(bench, nginx, floor, **load)
                cases["off", c] = load_of(bench, nginx, receiver, **load)
                cases["kept", c] = load_of(bench, nginx, receiver, keep=True, **load)
                cases["disk", c] = lambda: disk(bench.directory, 0.3)
            bench.say(f"fluidhook: {size} bytes")
            got = rounds(bench.rounds, cases, bench.say)
            for c in bench.connections:
                base, off, kept = got["floor", c], got["off", c], got["kept", c]
                sync = got["disk", c]
                table.row(kilobytes(size), c, of(base, "rate"), of(off, "rate"),
                          ratio(off, base), ratio(kept, base), of(off, "p50"), of(off, "p99"),
                          ratio(off, base, "p99"), of(off, "cpu"), of(base, "cpu"),
                          of(sync, "rate") * c,
                          of(sync, "p50") + 1.5 * of(base, "p50") if c == 1 else "")
        table.note(f"Memory of the receiver afterwards: {memory_kb(receiver.pid)} kB,"
                   f" of the floor: {memory_kb(floor.pid)} kB.")
    bench.check(receiver)
    return table


def compare(bench):
    """The receiver and what others would write, beside the floor and the bare disk."""
    connections = 64
    floor, receiver = Floor(bench), Fluidhook(bench)
    servers = [floor, receiver] + [peer(bench) for peer in PEERS]
    table = Table("peers", f"The same durable job, 0.5 kB, {connections} connections", "",
                  "/s", "of the floor", "p50 ms", "p99 ms", "CPU us", "memory kB",
                  "cap of the disk /s")
    with running(bench, servers) as nginx:
        cases, labels = {}, {}
        for server in servers:
            for keep in (False, True) if server.kept else (False,):
                case = server.name, keep
                labels[case] = server, server.label + (", kept" if keep else "")
                cases[case] = load_of(bench, nginx, server, keep, connections=connections)
        cases["disk"] = lambda: disk(bench.directory)
        cases["disks"] = lambda: disk(bench.directory, writers=16)
        bench.say("peers")
        got = rounds(bench.rounds, cases, bench.say)
        one, many = of(got["disk"], "rate"), of(got["disks"], "rate")
        caps = {"none": "", "group": one * connections, "each": many}
        for case, (server, label) in labels.items():
            part = ratio(got[case], got["floor", False])
            table.row(label, of(got[case], "rate"), part, of(got[case], "p50"), of(got[case], "p99"),
                      of(got[case], "cpu"), memory_kb(server.pid), caps[server.syncs])
            table.bar(label, part)
    table.chart_subtitle = "Deliveries a second, as a part of the floor's: an empty FastCGI program."
    table.note(f"The bare disk: {one:,.0f} syncs a second after small appends, {many:,.0f} with 16"
               f" writers at once. The cap is {connections} deliveries for each sync where one serves"
               " all that wait, and one where each delivery needs its own.")
    bench.check(*servers[1:])
    return table


def installs(bench):
    """New installations, and installations that supersede one another in one company."""
    receiver = Fluidhook(bench)
    ended = 20 if bench.smoke else ENDED_INSTALLATIONS
    table = Table("installs", "Installs, 32 connections", "", "/s", "p50 ms", "p99 ms", "CPU us",
                  "for each sync of the bare disk")
    load = {"install": receiver.secrets, "connections": 32, "seconds": bench.seconds}
    one_company = {**load, "company": 777}
    with running(bench, [receiver]) as nginx:
        bench.say(f"installs: {ended} in one company first")
        load_of(bench, nginx, receiver, **one_company, count=ended)()
        cases = {
            "each in a company of its own": load_of(bench, nginx, receiver, **load),
            f"one company, with {ended:,} that have ended": load_of(
                bench, nginx, receiver, **one_company),
            "disk": lambda: disk(bench.directory),
        }
        got = rounds(bench.rounds, cases, bench.say)
    sync = got.pop("disk")
    for label, results in got.items():
        table.row(label, *(of(results, field) for field in ("rate", "p50", "p99", "cpu")),
                  ratio(results, sync))
    bench.check(receiver)
    return table


def installations(bench):
    """Events of one installation, and of many that are hit at random."""
    connections = 64
    counts = [1, 1000, 20000, 100000] + ([1000000] if bench.full else [])
    if bench.smoke:
        counts = [1, 100]
    table = Table("installations", f"Installations hit at random, 0.5 kB, {connections} connections",
                  "installations", "/s", "of one", "p99 ms", "CPU us", "of one's", "resident kB")
    receivers = {}
    for count in counts:
        bench.say(f"installations: {count:,}")
        receivers[count] = Fluidhook(bench, count, f"fluidhook-{count}")
    with running(bench, receivers.values()) as nginx:
        for count, receiver in receivers.items():
            load_of(bench, nginx, receiver, connections=connections, in_order=True,
                    count=max(1000, min(count, WARM_MOST)))()
        bench.say("installations: all were hit once")
        got = rounds(bench.rounds, {count: load_of(bench, nginx, receiver, connections=connections)
                                    for count, receiver in receivers.items()}, bench.say)
        for count, results in got.items():
            table.row(count, of(results, "rate"), ratio(results, got[1]), of(results, "p99"),
                      of(results, "cpu"), ratio(results, got[1], "cpu"),
                      largest_resident_kb(receivers[count].pid))
    bench.check(*receivers.values())
    return table
