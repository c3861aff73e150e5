"""The gadgets: thin shells around `sorting`, `recon` and `denoising`, one module each, which a chain composes.

- `gadget`: what each of them keeps, and how one is driven through a scan.
- `shared`: results that images of one slice share. `shaped_image`: what steps on the k-space of images take and leave.
- `noise_adjust`, `accumulate`: from acquisitions to k-space; `compress_channels`, `grappa`, `taper` work on it.
- `coil_combine`: to images; `partial_fourier`, `kspace_filter`, `denoise`, `resize`, `image_finish` work on these.
"""
