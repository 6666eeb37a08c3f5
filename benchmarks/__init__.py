"""What gittrack costs in time, memory and disk, beside limits measured in the same run: `python -m benchmarks`."""
