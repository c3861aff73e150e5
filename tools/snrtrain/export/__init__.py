"""From a checkpoint to a model folder: file formats, manifest, card."""
