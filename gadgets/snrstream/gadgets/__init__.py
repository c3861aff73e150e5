"""The gadgets: thin shells around `sorting`, `recon` and `denoising`, which a chain composes."""
