"""The model registry: numbered events in annotated git tags, and what they add up to."""
