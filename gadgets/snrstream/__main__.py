"""`python -m snrstream`."""

from .cli.main import command

command()
