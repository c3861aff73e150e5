"""Everything that talks to the outside; only these files open sockets (and `noise.storage_server`).

- `session`: what a peer wants and gets, in each dialect, without sockets; `openrecon` and `queries` are parts of it.
- `link`, `spool`, `gate`: messages on a socket, under back-pressure and when the server stops.
- `server`, `conversation`, `failure`, `raw_record`: sessions by the socket, one a thread, whatever goes wrong.
- `client`: the peer. `server_process`: a server to try it with.
- `gadgetron_start`, `gadgetron_connection`, `gadgetron_module`: the same session inside a real Gadgetron.
- `scan_source`: raw data that lies somewhere, in any format. `stream_reader`, `message_stream`, `mrd2_stream`: streams.
- `pipes`, `pipe_ends`: a scan by stdin and stdout.
"""
