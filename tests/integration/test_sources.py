#!/usr/bin/env python3
"""The sources themselves: their dependencies point one way, and each unit test says what it shows."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import tap  # noqa: E402
from harness.site import SOURCE  # noqa: E402

SRC = SOURCE / "src"

# What each directory may include, beside itself.
BELOW = {
    "base": set(),
    "http": {"base"},
    "store": {"base"},
    "delivery": {"store", "base"},
    "receiver": {"delivery", "store", "base"},
    "fluid": {"http", "base"},
    "worker": {"fluid", "http", "delivery", "store", "base"},
    "cli/lib": {"worker", "fluid", "http", "delivery", "store", "base"},
    "cli": {"cli/lib", "worker", "fluid", "http", "delivery", "store", "base"},
}

# What does not hold yet. Nothing may be added here.
YET_ABOVE = {
    "cli/lib/signed.h includes cli/client.h",
    "fluid/api.c includes store/durable.h",
    "fluid/token.c includes store/durable.h",
}
YET_CYCLES = (
    {"fluid/attempt", "fluid/api"},
    {"store/index", "store/state"},
    {"worker/hook_env", "worker/hook"},
    {"worker/outcome", "worker/confirm", "worker/resolve"},
    {"worker/turn", "worker/launch", "worker/runner_parts", "worker/result", "worker/runner"},
)


def directory(name):
    return name.rpartition("/")[0]


def module(name):
    """A source and its header are one module."""
    return name.rpartition(".")[0]


def includes():
    """Each file below src/, with the files below src/ that it includes."""
    found = {}
    for path in sorted(SRC.rglob("*.[ch]")):
        text = path.read_text(encoding="utf-8")
        names = re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE)
        found[path.relative_to(SRC).as_posix()] = [name for name in names if (SRC / name).exists()]
    assert len(found) > 100, f"only {len(found)} sources in {SRC}"
    return found


def graph(node):
    """What each node includes, itself left out. node: gives a file's node."""
    made = {}
    for name, names in includes().items():
        made.setdefault(node(name), set()).update(node(other) for other in names)
    return {name: others - {name} for name, others in made.items()}


def cycle(edges):
    """One cycle as a list of nodes, or None."""
    done, path = set(), []

    def walk(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done:
            return None
        path.append(name)
        for other in sorted(edges.get(name, ())):
            if found := walk(other):
                return found
        path.pop()
        done.add(name)
        return None

    for name in sorted(edges):
        if found := walk(name):
            return found
    return None


def named_from_src():
    """Every include in quotes names a file below src/, or one that the build makes"""
    for path in sorted(SRC.rglob("*.[ch]")):
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
            assert (SRC / name).exists() or name == "config.h", f"{path}: {name}"


def layers():
    """A directory includes only what is below it: cli, worker, fluid, http, base; receiver, delivery, store, base"""
    made = graph(directory)
    assert made.keys() <= BELOW.keys(), f"directories without a rule: {sorted(made.keys() - BELOW.keys())}"
    wrong = [f"{name} includes {other}" for name, names in includes().items() for other in names
             if directory(other) not in BELOW[directory(name)] | {directory(name)}]
    wrong = sorted(set(wrong) - YET_ABOVE)
    assert not wrong, "\n".join(wrong)


def rule_has_no_cycle():
    """The rule itself points one way"""
    assert cycle(BELOW) is None
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


def modules():
    """No two sources need each other, on whatever way"""
    edges = graph(module)
    for group in YET_CYCLES:
        for name in group & edges.keys():
            edges[name] -= group
    found = cycle(edges)
    assert found is None, " includes ".join(found)


def goals():
    """Every unit test has a comment above it that says what it shows, or a name of several words that does"""
    found, bare = 0, []
    for path in sorted((SOURCE / "tests/unit").glob("test_*.c")):
        lines = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines):
            if re.match(r"test_\w+\(void \*\*", line):
                found += 1
                if not lines[number - 2].endswith("*/") and line.count("_") < 4:
                    bare.append(f"{path.name}:{number + 1}: {line}")
    assert found > 200 and not bare, "\n".join(bare)


def hacking():
    """HACKING.md names only files that exist"""
    text = (SOURCE / "HACKING.md").read_text(encoding="utf-8")
    paths = [path for path in re.findall(r"`((?:src/|tests/|man/)?[a-z_]+/[\w./-]+\.\w+)`", text)
             if not path.startswith("queue/") and "NAME" not in path]
    missing = [path for path in paths if not (SOURCE / path).exists() and not (SRC / path).exists()]
    assert len(paths) > 40 and not missing, missing


if __name__ == "__main__":
    tap.run([tap.Test(function.__doc__, function) for function in
             (named_from_src, layers, rule_has_no_cycle, modules, goals, hacking)])
