"""The bytes of runs: which objects they need, bringing them here and back, checking them, letting them go."""
