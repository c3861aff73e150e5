"""Measure models: `--help` says how; the command is `snrtrain.commands.evaluate`."""

from snrtrain.commands import run

if __name__ == "__main__":
    run("evaluate")
