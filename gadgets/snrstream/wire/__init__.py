"""ISMRMRD between bytes and messages: no sockets, no numerics."""
