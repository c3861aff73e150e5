"""Scanner-side streaming MRI reconstruction and denoising of ISMRMRD raw data."""

__version__ = "0.1.0"
