"""Looks at what is live, as visitors and operators meet it; each is bounded, and none changes anything."""
