"""The process and its machine: threads, folders, progress bars, XML from strangers."""
