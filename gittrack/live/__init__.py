"""One active run on disk: its journal, who writes it, and how it is read back."""
