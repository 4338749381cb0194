"""What runs inside a replica of a known image before its server does: scripts of their own, standard library only."""
