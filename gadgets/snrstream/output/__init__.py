"""What a reconstruction leaves: ISMRMRD images, DICOM files and a preview."""
