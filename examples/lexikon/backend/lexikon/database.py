"""PostgreSQL: the pool, and the questions the application asks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import QueuePool

log = logging.getLogger("lexikon.database")


class EmailTakenError(Exception):
    """Somebody registered with this address before."""


class Database:
    """A pool of connections; `on_query` hears of every statement."""

    def __init__(self, url: str, *, pool_size: int, max_overflow: int, on_query: Callable[[], None]) -> None:
        self._limit = pool_size + max_overflow
        self._engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=max_overflow,
            pool_timeout=5,
            pool_pre_ping=True,  # a connection that the database closed while it rested is replaced, not reported
            connect_args={"connect_timeout": 3},
        )
        event.listen(self._engine, "before_cursor_execute", lambda *_: on_query())

    def ping(self) -> None:
        """Raise unless the database answers."""
        with self._connect() as connection:
            connection.execute(text("SELECT 1"))

    def add_user(self, *, email: str, password_hash: str, first_name: str, last_name: str) -> int:
        """Store a user and return the id."""
        statement = text(
            "INSERT INTO users (email, password_hash, first_name, last_name)"
            " VALUES (:email, :password_hash, :first_name, :last_name) RETURNING id"
        )
        values = {"email": email, "password_hash": password_hash, "first_name": first_name, "last_name": last_name}
        with self._connect() as connection:
            try:
                return int(connection.execute(statement, values).scalar_one())
            except IntegrityError as taken:
                raise EmailTakenError(email) from taken

    def find_user(self, email: str) -> dict[str, Any] | None:
        """The user with this address."""
        return self._first(
            "SELECT id, email, password_hash, first_name, last_name FROM users WHERE email = :key", email
        )

    def find_word(self, word: str) -> dict[str, Any] | None:
        """A word with its meaning."""
        return self._first("SELECT word, meaning FROM words WHERE word = :key", word)

    def put_word(self, word: str, meaning: str) -> None:
        """Add a word, or change its meaning."""
        statement = "INSERT INTO words VALUES (:word, :meaning) ON CONFLICT (word) DO UPDATE SET meaning = :meaning"
        with self._connect() as connection:
            connection.execute(text(statement), {"word": word, "meaning": meaning})

    def list_words(self) -> list[str]:
        """All words, in order."""
        with self._connect() as connection:
            return list(connection.execute(text("SELECT word FROM words ORDER BY word")).scalars())

    def close(self) -> None:
        """Give all connections back to the database."""
        self._engine.dispose()

    def _first(self, statement: str, key: str) -> dict[str, Any] | None:
        with self._connect() as connection:
            row = connection.execute(text(statement), {"key": key}).mappings().first()
        return dict(row) if row else None

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        pool = self._engine.pool
        if isinstance(pool, QueuePool) and pool.checkedout() >= self._limit:
            log.warning("waiting for connection", extra={"fields": {"in_use": pool.checkedout(), "limit": self._limit}})
        with self._engine.begin() as connection:
            yield connection
