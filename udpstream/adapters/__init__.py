"""The edges: sockets, codecs, cameras, files, windows. Each knows one outside thing."""
