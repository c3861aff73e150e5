"""Lines into images: where each line lies, what calibrates, and when an image is whole.

- `scan_image`: one image while its lines come in. `line_store`: the readouts of its lines.
- `calibration_block`, `interleaved`: calibration lines of one image, and of several repetitions.
- `oversampling`: of the readout, and whether it is still there.
"""
