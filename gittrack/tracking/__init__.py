"""The write side: active runs, and how they become commits. It never touches the index."""
