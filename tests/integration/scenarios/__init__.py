"""Scenarios: what has to be true of the receiver, whichever way a request reaches it.

Each is a function of a Trial whose first line of documentation is its name. A scenario belongs to a
world, that is a configuration; worlds.py runs all scenarios of all worlds through one front.
"""
