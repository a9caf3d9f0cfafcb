"""What linkbus costs, as ratios and differences within one run: `python -m benchmarks`."""
