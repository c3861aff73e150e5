"""MRD version 2, as the package `mrd-python` reads and writes it, in ISMRMRD's terms: `header`, and `items` of data."""

MAGIC = b"yardl"  # what every such stream begins with
