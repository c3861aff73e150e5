"""Training methods: what a network learns from, and what it is held against."""
