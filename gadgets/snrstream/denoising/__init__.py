"""Denoising by a model file and its manifest: no training code, no network classes."""
