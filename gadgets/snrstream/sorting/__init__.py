"""Lines into images: where each line lies, what calibrates, and when an image is whole.

- `image_lines`: the lines of one image while they come in.
- `scan_image`: whether all of them are there, and what becomes of them.
- `line_store`: the readouts of lines.
- `readout_echo`, `readout_blocks`: which sample of them holds k = 0, and how they are stored.
- `image_lattice`, `settling`: the sampling that its lines follow, where they contradict the header's acceleration, too.
- `missing`: the lines that lack. `image_kspace`: those that came, put in place.
- `line_warnings`, `line_names`: what people are told of lines, and what these are called.
- `keys`: which image a line belongs to. `leaving`: when an image leaves. `spaces`: the encodings of images.
- `channels`: whether all lines have the same, and noise as it was measured.
- `embedded_calibration`: calibration lines without a flag.
- `calibration_block`, `interleaved`: calibration lines of one image, and of several repetitions.
- `oversampling`: of the readout, and whether it is still there.
"""
