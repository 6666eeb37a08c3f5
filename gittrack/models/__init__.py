"""What people do with models: register, promote, roll back, look, verify; decided on the newest state, shared at once."""
