"""Everything that talks to the outside; only these files open sockets (and `noise.storage_server`).

- `session`: what a peer wants and gets, in each dialect, without sockets; `openrecon` and `queries` are parts of it.
- `link`, `spool`, `gate`: messages on a socket, under back-pressure and when the server stops.
- `server`, `conversation`, `raw_record`: sessions by the socket, one a thread, whatever goes wrong. `client`: the peer.
- `gadgetron_start`, `gadgetron_connection`, `gadgetron_module`: the same session inside a real Gadgetron.
- `pipes`, `pipe_ends`, `message_stream`, `mrd2_stream`: a scan by stdin and stdout, in either format.
"""
