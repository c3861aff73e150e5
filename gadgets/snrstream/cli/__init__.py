"""The commands of `snrstream`."""
