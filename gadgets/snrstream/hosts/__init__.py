"""Everything that talks to the outside: server, client, pipes, and the inside of a real Gadgetron."""
