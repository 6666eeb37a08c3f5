"""What surrounds a run: its code, environment, hardware, utilisation and console."""
