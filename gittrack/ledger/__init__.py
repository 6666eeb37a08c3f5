"""Finished runs at rest in git."""
