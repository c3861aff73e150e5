"""What takes long, beyond the tests: `--help` says how; the command is `snrtrain.commands.soak`."""

from snrtrain.commands import run

if __name__ == "__main__":
    run("soak")
