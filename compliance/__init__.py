"""Every case of the Autobahn testsuite against gws, each way to run it: `python -m compliance.run`."""
