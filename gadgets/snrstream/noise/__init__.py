"""Noise measurements: made, kept, asked for, and turned into whitening matrices.

- `measurement`: a noise covariance with what must be known to use it, from a scan's own noise acquisitions.
- `whitening`: which measurement a scan uses, and the matrix that it gives.
- `store`: measurements kept in a folder by their id; `query`: the answers to who asks for them.
- `storage_server`: the same in Gadgetron's storage server, the one file outside `hosts` that opens a socket; `blob`:
  how a measurement looks there.
"""
