"""A folder for PYTHONPATH: what every Python that `gittrack run` starts loads first."""
