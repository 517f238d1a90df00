"""Processes and temporary directories, and getting rid of both.

Run as root, everything under test runs as an unprivileged user, as it would on a real system:
Apache refuses to be root, and root is refused no permission.
"""

import atexit
import ctypes
import errno
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

DEADLINE = 300.0    # seconds after which what a test waits for is taken to hang; no measure of speed
PR_SET_PDEATHSIG = 1

_directories = []
_sessions = {}
_libc = ctypes.CDLL(None, use_errno=True)


def _unprivileged():
    """The user for everything under test; None: the one we are."""
    if os.geteuid() != 0:
        return None
    for name in ("nobody", "www-data", "daemon"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("run as root, the tests need the user nobody or www-data")


USER = _unprivileged()


def identity():
    """The arguments that make subprocess run something as that user."""
    if USER is None:
        return {}
    return {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []}


def give(path):
    """Make a file or directory that user's."""
    if USER is not None:
        os.chown(path, USER.pw_uid, USER.pw_gid, follow_symlinks=False)


def temporary_directory():
    """A directory of our own, removed at the end. Short: sockets lie in it."""
    path = tempfile.mkdtemp(prefix="fh-")
    _directories.append(path)
    give(path)
    return path


def environment(**more):
    """A small known environment, so that nobody's own settings count."""
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8"}
    for name in ("LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update({k: v for k, v in more.items() if v is not None})
    return env


def _end_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def start(argv, prepare=None, **more):
    """Start a server in a session of its own, which clean_up() ends. Call it from the main thread:
    the server is told to end when the thread does. prepare: runs in the child before exec."""
    def child():
        _end_with_parent()
        if prepare:
            prepare()

    proc = subprocess.Popen(argv, start_new_session=True, preexec_fn=child, **identity(), **more)
    _sessions[proc.pid] = proc
    return proc


def session_members(session):
    """The pids of a session that still run (zombies left out)."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry))
    return found


def is_gone(pid):
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children(pid):
    """The pids of a process's children."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += [int(child) for child in f.read().split()]
    except OSError:
        pass
    return found


def wait_until(condition, what, deadline=DEADLINE):
    """Poll until condition() gives something true, and return that."""
    end = time.monotonic() + deadline
    pause = 0.001
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:g} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def signal_quietly(pid, number):
    """Send a signal; a process that is gone already is as good."""
    try:
        os.kill(pid, number)
    except OSError as e:
        if e.errno not in (errno.ESRCH,):
            raise


def stop(proc, deadline=DEADLINE, number=signal.SIGTERM):
    """Ask a server to end, and make sure that its whole session has. Returns its exit status."""
    if proc.poll() is None:
        signal_quietly(proc.pid, number)
    try:
        proc.wait(deadline)
    except subprocess.TimeoutExpired:
        signal_quietly(proc.pid, signal.SIGKILL)
        proc.wait()
    end = time.monotonic() + 10
    while members := session_members(proc.pid):
        for pid in members:
            signal_quietly(pid, signal.SIGKILL)
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    _sessions.pop(proc.pid, None)
    return proc.returncode


def clean_up():
    """End all that was started and remove all directories."""
    for proc in list(_sessions.values()):
        stop(proc, deadline=2)
    while _directories:
        remove(_directories[-1])


def remove(path):
    """Remove one temporary directory now."""
    for directory, _names, _files in os.walk(path):
        try:
            os.chmod(directory, 0o700)
        except OSError:
            pass
    shutil.rmtree(path, ignore_errors=True)
    if path in _directories:
        _directories.remove(path)


atexit.register(clean_up)
