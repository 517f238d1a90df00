#!/usr/bin/env python3
"""The manual pages are well formed, and say what the programs have: every command, option and key.

Nothing here says whether a sentence is true, only that none of these is missing or gone.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import process, tap  # noqa: E402
from harness.site import COMMAND, RECEIVER, SOURCE  # noqa: E402

PAGES = sorted((SOURCE / "man").iterdir())
OURS = {page.name for page in PAGES}


def page(name):
    return (SOURCE / "man" / name).read_text(encoding="utf-8")


def help_of(program, *words):
    done = subprocess.run([program, *words, "--help"], env=process.environment(), text=True,
                          capture_output=True, check=True, timeout=600, stdin=subprocess.DEVNULL)
    return done.stdout


def well_formed():
    """mandoc finds nothing wrong with the pages"""
    if not shutil.which("mandoc"):
        raise tap.Skip("mandoc is missing")
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", *PAGES], text=True, check=False,
                          capture_output=True, timeout=600)
    assert done.returncode == 0 and done.stdout == "", done.stdout + done.stderr


def installed():
    """Every page is in the Makefile, and pages name no other page of ours that is not there"""
    makefile = (SOURCE / "Makefile.am").read_text(encoding="utf-8")
    for name in OURS:
        assert f"man/{name}" in makefile, name
        assert page(name).split("\n")[1].split()[1:] == [
            name.rpartition(".")[0].upper(), name[-1]], f"{name}: .Dt"
        for other, section in re.findall(r"Xr (fluidhook\S*) (\d)", page(name)):
            assert f"{other}.{section}" in OURS, f"{name}: {other}({section})"


# fluidhook(1)

def listed(text):
    """The commands that help lists: indented by two, and described behind two blanks."""
    return re.findall(r"^  ([a-z]+)  +[A-Z]", text, re.MULTILINE)


def commands():
    """Every command and command's command, and what its help says."""
    found = {}
    for name in listed(help_of(COMMAND)):
        text = help_of(COMMAND, name)
        if text.startswith(f"Usage: fluidhook {name} COMMAND"):
            for sub in listed(text):
                found[f"{name} {sub}"] = help_of(COMMAND, name, sub)
        else:
            found[name] = text
    assert len(found) > 20, sorted(found)
    return found


def options_in_help(text):
    """Those of the usage line, and of the lines that describe one each."""
    usage, rest = text.split("\n", 1)
    found = set(re.findall(r"--[a-z-]+", usage))
    for short, name in re.findall(r"^ {2,6}(?:(-[a-z]), )?(--[a-z-]+)", rest, re.MULTILINE):
        found |= {short, name} - {""}
    return found - {"--help"}


def items(text):
    """fluidhook(1)'s commands: the name, and the lines from its item to the next one."""
    found, name = {}, None
    for line in text.split(".Sh ENVIRONMENT")[0].splitlines():
        if line.startswith(".It Ic "):
            name = re.match(r"[a-z ]+", line.removeprefix(".It Ic ")).group().strip()
            assert name not in found, f"{name} twice"
            found[name] = []
        elif line.startswith(".Ss "):
            name = None
        if name:
            found[name].append(line)
    return found


def options_in_macros(line):
    """What .Fl and Fl in a line stand for: "-keep" is --keep, "n" is -n."""
    return {"-" + word for word in re.findall(r"\bFl (-?[a-z][a-z-]*)", line)} | {
        "-" + word for word in re.findall(r"\bFl -[a-z-]+ \| (-[a-z][a-z-]*)", line)}


def every_command():
    """fluidhook(1) has every command of --help with every option, in its head and described"""
    described = items(page("fluidhook.1"))
    known = commands()
    assert set(described) == set(known), set(described) ^ set(known)
    for name, text in known.items():
        head, *body = described[name]
        wanted = options_in_help(text)
        items_of = set().union(*(options_in_macros(line) for line in body
                                 if line.startswith(".It ")))
        assert items_of == wanted, f"{name}: {sorted(items_of ^ wanted)}"
        in_head = options_in_macros(head)
        assert in_head <= wanted, f"{name}: {sorted(in_head - wanted)} in {head}"
        if "Ar options" not in head:
            longs = {option for option in wanted if option.startswith("--")}
            assert in_head == longs, f"{name}: {sorted(in_head ^ longs)} in {head}"


def first_options():
    """fluidhook(1) and fluidhook.fcgi(8) have the options of fluidhook and fluidhook.fcgi"""
    for program, name in ((COMMAND, "fluidhook.1"), (RECEIVER, "fluidhook.fcgi.8")):
        text = help_of(program)
        wanted = set(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z-]*", text)) - {"--help"}
        assert wanted >= {"-c", "--config", "--version"}, wanted
        found = set().union(*(options_in_macros(line) for line in page(name).splitlines()
                              if line.startswith(".It ")))
        assert wanted <= found, f"{name}: {sorted(wanted - found)}"


def failed_reasons():
    """Reasons of a failed installation are those that the worker gives"""
    source = "".join(path.read_text(encoding="utf-8") for path in (SOURCE / "src/worker").glob("*.c"))
    given = set(re.findall(r'"((?:exchange|confirmation)_[a-z_]+)"', source)) - {"exchange_token"}
    assert len(given) >= 4, given
    text = page("fluidhook.1").split(".Sh DIAGNOSTICS")[1]
    told = set(re.findall(r"(?:exchange|confirmation)_[a-z_]+", text))
    assert told == given, told ^ given


def hook_environment():
    """fluidhook-hooks(7) has every variable that a hook gets, and no other"""
    source = (SOURCE / "src/worker/hook_env.c").read_text(encoding="utf-8")
    given = set(re.findall(r'\{ "([A-Z_]+)", ', source))
    assert {"PATH", "HOME", "FLUIDHOOK_EVENT"} <= given, given
    told = set(re.findall(r"^\.It Ev ([A-Z_]+)$", page("fluidhook-hooks.7"), re.MULTILINE))
    assert told == given, told ^ given


# fluidhook.conf(5)

def number(text):
    """A number as conf.c writes it, such as 64 << 20."""
    value, _, shift = text.partition("<<")
    return int(value) << int(shift or 0)


def spelled(value, is_size):
    """A limit as the page writes it."""
    if is_size and value % (1 << 20) == 0:
        return f"{value >> 20}M"
    return f"{value >> 10}K" if is_size else str(value)


def every_key():
    """fluidhook.conf(5) has every key of every section, with its limits and choices"""
    source = (SOURCE / "src/base/conf_read.c").read_text(encoding="utf-8")
    choices = {name: re.findall(r'"(\w+)"', words) for name, words in
               re.findall(r"(\w+_choices)\[\] = \{([^}]*)\}", source)}
    table = source.split("struct conf_key keys[] = {")[1].split("\n};")[0]
    rows = re.findall(r'\{ "(\w*)", "(\w+)", (CONF_\w+), [^,]+, ([^,]+), ([^,]+), (\w+) \},', table)
    assert len(rows) == table.count("\n\t{ ") > 20, len(rows)
    sections = {"TOP": "", "DROPLETS": "droplet", "FLUID": "fluid", "WORKER": "worker"}
    described = {}
    for heading, section in sections.items():
        text = page("fluidhook.conf.5").split(f".Sh {heading}\n")[1].split("\n.Sh ")[0]
        for part in text.split(".It Ic ")[1:]:
            described[section, re.match(r"\w+", part).group()] = part
    assert set(described) == {row[:2] for row in rows}, set(described) ^ {row[:2] for row in rows}
    for section, key, kind, least, most, names in rows:
        text = described[section, key]
        if kind in ("CONF_COUNT", "CONF_SIZE") and number(most):
            limits = [spelled(number(n), kind == "CONF_SIZE") for n in (least, most)]
            assert f"From {limits[0]} to {limits[1]}" in text, (key, limits)
        if names in choices:
            head = text.split("\n")[0]
            assert head.split("Cm ")[1].split(" | ") == choices[names], (key, head)


if __name__ == "__main__":
    tap.run([tap.Test(function.__doc__, function) for function in
             (well_formed, installed, every_command, first_options, failed_reasons,
              hook_environment, every_key)])
