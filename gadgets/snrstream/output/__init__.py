"""What a reconstruction leaves.

- `files`: a folder with ISMRMRD images, DICOM files and a preview. `images_file`, `dicom/`, `preview`: the three.
- `folder`: what it may hold before, and what becomes of that.
- `image_values`: what the pixels of an image mean. `orientation`: which side of the patient an edge lies on.
"""
