"""Benchmarks, as tables of ratios: `--help` says how; the command is `snrtrain.commands.bench`."""

from snrtrain.commands import run

if __name__ == "__main__":
    run("bench")
