"""The derived index, a SQLite file that may be deleted at any time; the only room that speaks SQL."""

from gittrack.index.index import Index

__all__ = ["Index"]
