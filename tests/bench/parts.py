"""The parts of script/bench. Each measures in interleaved rounds and gives tables back."""

import contextlib
import time

from measure import disk, memory_kb, of, ratio, rounds
from peers import PEERS
from report import Table
from servers import Floor, Fluidhook, Nginx

SETTLE_S = 3.2  # records and secrets that changed a moment ago are read for each delivery


@contextlib.contextmanager
def running(bench, servers):
    """These servers, behind nginx, warm."""
    nginx = Nginx(bench, servers)
    try:
        for server in servers:
            server.start()
        nginx.start()
        time.sleep(SETTLE_S)
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
                  "p50 ms", "p99 ms", "p99 / floor's", "CPU us", "floor's", "one sync ms",
                  "p50 limit ms")
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
                sync = of(got["disk", c], "p50")
                table.row(kilobytes(size), c, of(base, "rate"), of(off, "rate"),
                          ratio(off, base), ratio(kept, base), of(off, "p50"), of(off, "p99"),
                          ratio(off, base, "p99"), of(off, "cpu"), of(base, "cpu"), sync,
                          sync + 1.5 * of(base, "p50") if c == 1 else "")
        table.note(f"Memory of the receiver afterwards: {memory_kb(receiver.pid)} kB,"
                   f" of the floor: {memory_kb(floor.pid)} kB.")
    bench.check(receiver)
    return [table]


def compare(bench):
    """The receiver and what others would write, beside the floor and the bare disk."""
    connections = 64
    floor, receiver = Floor(bench), Fluidhook(bench)
    servers = [floor, receiver] + [peer(bench) for peer in PEERS]
    table = Table("peers", f"The same durable job, 0.5 kB, {connections} connections", "",
                  "/s", "of the floor", "p50 ms", "p99 ms", "CPU us", "memory kB")
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
        for case, (server, label) in labels.items():
            table.row(label, of(got[case], "rate"), ratio(got[case], got["floor", False]),
                      of(got[case], "p50"), of(got[case], "p99"), of(got[case], "cpu"),
                      memory_kb(server.pid))
    one, many = of(got["disk"], "rate"), of(got["disks"], "rate")
    table.note(f"The bare disk: {one:,.0f} syncs a second after small appends, {many:,.0f} with 16"
               f" writers at once. So the cap is {one * connections:,.0f} deliveries a second where"
               f" one sync serves all {connections} that wait, and {many:,.0f} where each delivery"
               " needs its own.")
    bench.check(*servers[1:])
    return [table]


PARTS = {"peers": compare, "fluidhook": fluidhook}
