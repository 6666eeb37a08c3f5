"""Guards: what git's hooks ask before a commit, a push or a pushed ref is let through."""
