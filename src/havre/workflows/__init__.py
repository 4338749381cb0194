"""One module per thing a user asks for; `deploy` is where a newcomer starts reading."""
