"""A stand-in for Fluid, a site, and the command with a company token."""

from standin import Company as FluidCompany
from standin import StandIn

from . import fluid
from .command import Command
from .fluid import Droplet
from .site import Site


class FluidWorld:
    """droplets: without any, one that has no secret yet. conf: more lines of the configuration."""

    def __init__(self, droplets=None, conf="", **fields):
        self.token = fluid.credential("C-")
        self.fluid = FluidCompany(company_token=self.token, allow_http=True)
        self.standin = StandIn(company=self.fluid, **fields).start()
        self.site = Site(droplets=droplets or [Droplet(n_secrets=0)])
        self.site.write(self.site.dir / "company.token", self.token + "\n")
        self.site.write_conf(self.site.conf_text() + f"""
[fluid]
api = {self.standin.url}
webhooks = {self.standin.url}/api/webhooks {self.standin.url}/api/company/webhooks
company_token = company.token
timeout = 5
{conf}
""")
        self.command = Command(self.site)

    def secrets(self, droplet=None):
        """The live secrets of a droplet, the newest first."""
        text = self.site.secrets_file(droplet or self.site.droplets[0]).read_text()
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    def webhooks(self):
        return [(f"{w['resource']}.{w['event']}", w["url"], w["auth_token"], w["active"])
                for w in self.fluid.webhooks]

    def bodies(self):
        return [r.json() for r in self.standin.requests if r.method in ("POST", "PUT")]

    def close(self):
        """Stop it all. No credential was shown."""
        self.standin.stop()
        said = "".join(self.command.said) + self.site.log_text()
        for secret in fluid.CREDENTIALS | set(self.secrets()):
            assert secret not in said, f"{secret} was shown"
        self.site.close()


def with_world(function, **fields):
    """The test function, called with a world of its own."""
    def run():
        world = FluidWorld(**fields)
        try:
            function(world)
        finally:
            world.close()
    return run
