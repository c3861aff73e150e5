"""Simulate raw scans: `--help` says how; the command is `snrtrain.commands.simulate`."""

from snrtrain.commands import run

if __name__ == "__main__":
    run("simulate")
