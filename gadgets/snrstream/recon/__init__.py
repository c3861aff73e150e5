"""Reconstruction of arrays in SNR units: no ISMRMRD, no sockets.

Arrays are torch tensors with the axes `(..., channel, e2, e1, ro)`; two-dimensional functions
leave out `e2`. Readout is last and contiguous. `dtype` is complex64 unless a docstring says
otherwise, and no function changes its inputs.

Noise convention: prewhitened noise has a standard deviation (SD) of 1 per real part and 1 per
imaginary part, and all FFTs are orthonormal and centred, so that the SD stays known throughout.

- `plan`: the whole, from calibration lines to images and g-map. `options`: what can be chosen. `volume`: in slabs.
- `noise`: covariance and prewhitening. `fft`: transforms. `device`: where tensors live.
- `lattice`, `sampling`, `acquired`: which lines there are. `spectrum`: how noise is correlated.
- `grappa`, `coil_maps`, `unmixing`, `combine`: the steps of a plan. `gmaps`: of scans that were not accelerated.
- `compression`: virtual channels. `partial_fourier`, `kspace_filter`, `resize`: on images; `noise_spread`: their noise.
"""
