"""Everything the environment decides, read once and in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

OAUTH_PROVIDERS = ("google", "github")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the process was started with."""

    database_url: str
    redis_url: str
    redis_password: str | None
    jwt_secret: str
    api_key: str
    host: str
    port: int
    workers: int
    version: str
    pool_size: int
    max_overflow: int
    trusted_proxies: str
    cors_origins: tuple[str, ...]
    oauth_providers: tuple[str, ...]


@cache
def load() -> Settings:
    """The settings of this process; a missing variable is named before anything starts."""
    missing = [name for name in ("DATABASE_URL", "JWT_SECRET", "API_KEY_SECRET") if not os.environ.get(name)]
    if missing:
        raise SystemExit(f"lexikon: {', '.join(missing)} must be set; .env.prod.example lists every variable")
    return Settings(
        database_url=with_driver(os.environ["DATABASE_URL"]),
        redis_url=os.environ.get("REDIS_URL", "redis://localhost:6379/0"),
        redis_password=os.environ.get("REDIS_PASSWORD") or None,
        jwt_secret=os.environ["JWT_SECRET"],
        api_key=os.environ["API_KEY_SECRET"],
        host=os.environ.get("HOST", "0.0.0.0"),
        port=int(os.environ.get("PORT", "8000")),
        workers=int(os.environ.get("UVICORN_WORKERS", "4")),
        version=os.environ.get("APP_VERSION", "development"),
        pool_size=int(os.environ.get("DB_POOL_SIZE", "20")),
        max_overflow=int(os.environ.get("DB_MAX_OVERFLOW", "5")),
        trusted_proxies=os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1"),
        cors_origins=tuple(
            origin.strip() for origin in os.environ.get("CORS_ORIGINS", "").split(",") if origin.strip()
        ),
        oauth_providers=tuple(name for name in OAUTH_PROVIDERS if os.environ.get(f"{name.upper()}_CLIENT_ID")),
    )


def with_driver(url: str) -> str:
    """`postgresql://` leaves the driver open; ours is psycopg 3."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgresql", "postgres") else url
