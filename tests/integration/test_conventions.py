#!/usr/bin/env python3
"""What users of git and gh expect of a command: help, version, suggestions, completion."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import process, tap  # noqa: E402
from harness.site import COMMAND, SOURCE  # noqa: E402



def run(*words):
    return subprocess.run([COMMAND, *words], env=process.environment(), text=True, check=False,
                          capture_output=True, timeout=600, stdin=subprocess.DEVNULL)


def ok(*words):
    done = run(*words)
    assert done.returncode == 0 and done.stderr == "", (words, done)
    return done.stdout


def listed(text):
    """The commands of a help text: indented by two, described behind two blanks."""
    return re.findall(r"^  ([a-z]+)  +[A-Z]", text, re.MULTILINE)


def candidates(*words):
    return [line.split("\t")[0] for line in ok("__complete", *words).splitlines()]


def every_command():
    """Each command, and each one that follows it, as a list of words."""
    found = []
    for name in listed(ok("--help")):
        text = ok(name, "--help")
        following = listed(text) if text.startswith(f"Usage: fluidhook {name} COMMAND") else []
        found += [[name, sub] for sub in following] or [[name]]
    assert len(found) > 20, found
    return found


def helps():
    """help COMMAND, COMMAND --help and COMMAND -h print the same, and exit 0"""
    assert ok("help") == ok("--help") == ok("-h")
    for words in [["webhook"], ["secret"]] + every_command():
        text = ok(*words, "--help")
        assert text.startswith("Usage: fluidhook " + " ".join(words)), text
        assert ok(*words, "-h") == text == ok("help", *words), words


def groups():
    """help lists the commands in groups, each command once"""
    text = ok("help")
    titles = re.findall(r"^([A-Z][\w' -]+)$", text, re.MULTILINE)
    assert len(titles) >= 5, titles
    assert len(listed(text)) == len(set(listed(text))), listed(text)


def versions():
    """version and --version print the same line"""
    assert re.fullmatch(r"fluidhook \d+\.\d+\.\d+\S*\n", ok("version"))
    assert ok("version") == ok("--version")


def suggestions():
    """A mistyped command or option: exit 2, and the one that was meant"""
    for words, meant in ((("lsit",), "fluidhook list"), (("delivries",), "fluidhook deliveries"),
                         (("webhook", "creat"), "fluidhook webhook create"),
                         (("help", "regster"), "fluidhook register"),
                         (("list", "--jsno"), "--json"), (("list", "--statsu", "x"), "--status"),
                         (("prune", "--dryrun"), "--dry-run")):
        done = run(*words)
        assert done.returncode == 2 and done.stdout == "", (words, done)
        assert "did you mean" in done.stderr.lower() and meant in done.stderr, (words, done.stderr)
    for words in (("frobnicate",), ("list", "--frobnicate"), ("webhook", "x")):
        done = run(*words)
        assert done.returncode == 2 and "mean" not in done.stderr, (words, done.stderr)


def completes():
    """Completion knows every command, every option of its help, and known values"""
    assert candidates("") == listed(ok("help"))
    assert candidates("we") == ["webhook"] and candidates("help", "we") == ["webhook"]
    assert candidates("-c", "some.conf", "we") == ["webhook"]
    for words in every_command():
        if words == ["help"]:
            continue
        wanted = set(re.findall(r"^ {2,6}(?:-[a-z], )?(--[a-z-]+)", ok(*words, "--help"), re.MULTILINE))
        assert set(candidates(*words, "--")) == wanted | {"--help"}, words
    assert candidates("webhook", "cr") == ["create"]
    assert candidates("list", "--status", "un") == ["unconfirmed", "uninstalled"]
    assert "order.created" in candidates("deliveries", "--limit", "5", "--event", "order")
    assert candidates("webhook", "create", "--method", "p") == ["post", "put"]
    # File names are the shell's.
    assert candidates("send", "--body", "x") == [] and candidates("-c", "") == []


def in_shell(shell, script):
    if not shutil.which(shell):
        raise tap.Skip(f"{shell} is missing")
    env = process.environment(PATH=f"{COMMAND.parent}:{os.environ['PATH']}")
    done = subprocess.run([shell, "-c", script], env=env, text=True, check=False, timeout=600,
                          capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done
    return done.stdout.split()


def bash():
    """The script for bash fills COMPREPLY"""
    script = f"""source {SOURCE}/completion/bash/fluidhook
        COMP_WORDS=(fluidhook webhook cr) COMP_CWORD=2
        _fluidhook; echo "${{COMPREPLY[@]}}"
        cd {SOURCE}; COMP_WORDS=(fluidhook send --body README) COMP_CWORD=3
        _fluidhook; echo "${{COMPREPLY[@]}}"
    """
    assert in_shell("bash", script) == ["create", "README.md"]


def fish():
    """The script for fish completes commands"""
    got = in_shell("fish", f"source {SOURCE}/completion/fish/fluidhook.fish; "
                           "complete -C 'fluidhook webhook cr'")
    assert got[:1] == ["create"], got


def zsh():
    """The script for zsh parses"""
    in_shell("zsh", f"zsh -n {SOURCE}/completion/zsh/_fluidhook")


if __name__ == "__main__":
    tap.run([tap.Test(function.__doc__, function) for function in
             (helps, groups, versions, suggestions, completes, bash, fish, zsh)])
