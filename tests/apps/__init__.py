"""Applications that the tests run, each in a process of its own; importing any of them patches the process first."""

from gevent import monkey

monkey.patch_all()
