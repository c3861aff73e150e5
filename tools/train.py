"""Train and export a denoiser: `--help` says how; the command is `snrtrain.commands.train`."""

from snrtrain.commands import run

if __name__ == "__main__":
    run("train")
