"""Reconstruction of arrays in SNR units: no ISMRMRD, no sockets.

Arrays are torch tensors with the axes `(..., channel, e2, e1, ro)`; two-dimensional functions
leave out `e2`. Readout is last and contiguous. `dtype` is complex64 unless a docstring says
otherwise, and no function changes its inputs.

Noise convention: prewhitened noise has a standard deviation (SD) of 1 per real part and 1 per
imaginary part, and all FFTs are orthonormal and centred, so that the SD stays known throughout.
"""
