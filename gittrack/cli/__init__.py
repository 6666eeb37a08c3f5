"""The commands; the only room that speaks click, and its console is the only place that prints."""
