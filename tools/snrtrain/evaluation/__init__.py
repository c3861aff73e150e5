"""What `tools/evaluate.py` measures: one module for each sub-command, and what they share."""
