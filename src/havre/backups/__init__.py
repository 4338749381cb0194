"""Snapshots of an app's data: taken as streams, proven while they are taken, kept encrypted, restored and drilled."""
