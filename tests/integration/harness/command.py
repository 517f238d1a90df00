"""The command `fluidhook`, run over a site as the user that everything under test runs as."""


class Command:
    """Everything that it prints, as text, is kept in `said`."""

    def __init__(self, site):
        self.site = site
        self.said = []
        self.program = site.command

    def run(self, *words, stdin=None, **env):
        """env: for the environment. Returns what subprocess.run() does."""
        done = self.site.execute(*words, env=env, text=True, **({} if stdin is None else {"input": stdin}))
        self.said.append(done.stdout + done.stderr)
        return done

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def fails(self, status, *words, **more):
        """Standard output and standard error of a run that has to end with this status."""
        done = self.run(*words, **more)
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout, done.stderr
