"""The pure core: no sockets, threads or clocks. Time comes in as an argument."""
