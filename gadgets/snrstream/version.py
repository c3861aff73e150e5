"""The version of the package, in a place of its own: what writes it into files need not import the package's face."""

__version__ = "0.1.0"
