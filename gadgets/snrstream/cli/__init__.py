"""The commands of `snrstream`.

- `main`: the process, its log and its status. `parser`: what the command line takes.
- `recon`, `serve`, `send`, `models`, `gadgets`: one command each, which gives its lines for stdout.
- `outputs`: what `recon` and `send` leave behind.
"""
