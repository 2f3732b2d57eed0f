"""Speed and size, measured: tables with a peer in the same run, never assertions."""
