"""The version, in a file that imports nothing, so that `gittrack --version` stays instant."""

__version__ = "0.1.0"
