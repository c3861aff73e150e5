"""Types of the parts of the package `gadgetron` that are used here; it ships none."""
