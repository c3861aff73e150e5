"""Denoising by a model file and its manifest: no training code, no network classes.

- `manifest` and `manifest_fields`, `_values`, `_checks`: what a model's folder says, and whether that can be.
- `model`: a loaded model. `devices`: what it is run on, and its fallbacks. `runs`: one run of it, tile after tile.
  `tiling`: where the tiles lie.
- `series`, `state`: frames run once, one after the other, and what is kept of them.
- `contracts`: images to a network's input and back. `backend`, `onnx_backend`, `torchscript_backend`: what runs it.
- `safety`: what must hold of input and answer. `check`, `seam`, `recorded`: what a run of a model shows.
- `scan_kind`: along which axis a scan's images are neighbours. `feed`: what the network is given of it, by way of
  `neighbours`, `streams`, `group`, `gaps` and `stack`. `images`, `alpha`: the images that come of it.
"""
