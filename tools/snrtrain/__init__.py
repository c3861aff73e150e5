"""Offline tools: training, evaluation and benchmarks of denoisers. None of it runs at the scanner."""
