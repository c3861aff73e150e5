"""What `tools/bench.py` and `tools/soak.py` measure."""
