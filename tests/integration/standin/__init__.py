"""A stand-in for Fluid's API: what the tests call instead of api.fluid.app.

It knows webhooks, their resources, droplet installations and the exchange of one-time tokens, remembers
every request, and fails in chosen ways on demand. Only Python's standard library is used, and openssl
where it speaks TLS. It listens on loopback only.
"""

from .company import Company
from .faults import SHAPES, Fault
from .server import StandIn

__all__ = ["SHAPES", "Company", "Fault", "StandIn"]
