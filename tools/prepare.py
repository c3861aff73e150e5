"""Make a training archive: `--help` says how; the command is `snrtrain.commands.prepare`."""

from snrtrain.commands import run

if __name__ == "__main__":
    run("prepare")
