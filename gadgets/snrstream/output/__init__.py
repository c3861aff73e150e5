"""What a reconstruction leaves.

- `files`: a folder with ISMRMRD images, DICOM files and a preview. `dicom/`, `preview`: the latter two.
- `image_values`: what the pixels of an image mean. `orientation`: which side of the patient an edge lies on.
"""
