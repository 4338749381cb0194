"""The process engine: replicas as plain processes of this server, without Docker and without root (D19)."""
