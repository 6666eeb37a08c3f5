"""What differs between runs, as values; only `code` asks git for something."""
