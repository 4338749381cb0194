"""The docker engine: replicas are containers of a Docker Engine, spoken to over its own API (D18)."""
