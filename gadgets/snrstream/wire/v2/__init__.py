"""MRD version 2, as the package `mrd-python` reads and writes it."""

MAGIC = b"yardl"  # what every such stream begins with
