"""ISMRMRD between bytes and messages: no sockets, no numerics.

- `messages`: what travels; `decoder`, `encoder`: from bytes and to bytes. `sizes` and `parsers` are their tables, one
  entry a message; `gadgetron_sizes` and `gadgetron_codecs` are for the messages of a real Gadgetron.
- `header`, `measurement`: what the XML header says. `acquisitions`: headers and flags of single lines.
- `scan_file`: raw data in HDF5. `v2`: MRD version 2 in ISMRMRD's terms.
"""
