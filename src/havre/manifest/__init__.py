"""havre.yaml: what Compose cannot say, read into an App with its environment merged in."""

from havre.manifest.load import load_app, parse_app

__all__ = ["load_app", "parse_app"]
