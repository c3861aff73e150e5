"""Lines into images: where each line lies, what calibrates, and when an image is whole."""
