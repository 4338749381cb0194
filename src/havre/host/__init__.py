"""The only room that touches this machine: commands, files, locks, ports, memory, the clock."""
