"""The only room that speaks DVC."""
