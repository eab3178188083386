"""graphc and its peers, each in a process of its own, measured in turns."""
