"""The only room that speaks dulwich or starts the git program; it knows nothing of runs."""
