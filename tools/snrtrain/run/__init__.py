"""A training run: its optimiser, checkpoints, processes and reports."""
