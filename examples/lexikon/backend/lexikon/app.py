"""The HTTP interface: health, metrics, registration and the words."""

from __future__ import annotations

import hmac
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from redis import Redis, RedisError
from sqlalchemy.exc import SQLAlchemyError

from lexikon import logs, passwords
from lexikon.cache import Cache
from lexikon.database import Database, EmailTakenError
from lexikon.metrics import Counters, report
from lexikon.settings import load

log = logging.getLogger("lexikon")
settings = load()
redis = Redis.from_url(settings.redis_url, password=settings.redis_password, socket_timeout=2, socket_connect_timeout=2)
counters = Counters(redis)
cache = Cache(redis, counters)
database = Database(
    settings.database_url,
    pool_size=settings.pool_size,
    max_overflow=settings.max_overflow,
    on_query=lambda: counters.add("queries"),
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Flush the counters while serving; leave nothing open afterwards."""
    stop = threading.Event()
    flusher = threading.Thread(target=counters.flush_forever, args=(stop,), name="counters")
    flusher.start()
    log.info("ready", extra={"fields": {"version": settings.version}})
    yield
    stop.set()
    flusher.join()
    database.close()
    redis.close()
    log.info("stopped")


app = FastAPI(title="Lexikon", version=settings.version, lifespan=lifespan)
app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"])


class NewUser(BaseModel):
    """What somebody who registers tells us."""

    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)
    password: str = Field(min_length=8, max_length=128)
    first_name: str = Field(min_length=1, max_length=100)
    last_name: str = Field(min_length=1, max_length=100)


class Credentials(BaseModel):
    """What somebody who returns tells us."""

    email: str
    password: str


class Meaning(BaseModel):
    """What a word means."""

    meaning: str = Field(min_length=1, max_length=2000)


@app.middleware("http")
async def observe(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give each request an id, count it, and write one line about it."""
    request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
    token = logs.request_id.set(request_id)
    started = time.perf_counter()
    try:
        response = await _answer(request, call_next)
        response.headers["x-request-id"] = request_id
        _record(request, response.status_code, started)
    finally:
        logs.request_id.reset(token)
    return response


async def _answer(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    try:
        return await call_next(request)
    except (SQLAlchemyError, RedisError):
        log.exception("a server this request needs did not answer")
        return JSONResponse({"detail": "temporarily unavailable"}, status_code=503)


def _record(request: Request, status: int, started: float) -> None:
    counters.add("requests")
    if status >= 500:
        counters.add("requests_failed")
    fields = {
        "method": request.method,
        "path": request.url.path,
        "status": status,
        "duration_ms": round(1000 * (time.perf_counter() - started), 1),
        "client": request.client.host if request.client else None,
    }
    level = logging.ERROR if status >= 500 else logging.INFO
    log.log(level, "%s %s %d", request.method, request.url.path, status, extra={"fields": fields})


@app.get("/health")
def health() -> JSONResponse:
    """Healthy means that the database and the cache answer now."""
    failures = [failure for failure in (_failure("database", database.ping), _failure("redis", redis.ping)) if failure]
    if failures:
        return JSONResponse({"status": "unhealthy", "error": "; ".join(failures)}, status_code=503)
    return JSONResponse({"status": "healthy", "database": "ok", "redis": "ok", "version": settings.version})


def _failure(name: str, ping: Callable[[], object]) -> str | None:
    try:
        ping()
    except (SQLAlchemyError, RedisError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()
        return f"{name}: {reason[0] if reason else type(error).__name__}"
    return None


@app.get("/metrics")
def metrics() -> dict[str, dict[str, int | float]]:
    """What was counted over all workers and replicas."""
    return report(counters.totals())


@app.get("/api/version")
def version() -> dict[str, str]:
    """Which release answers."""
    return {"version": settings.version}


@app.get("/api/whoami")
def whoami(request: Request) -> dict[str, str | None]:
    """The request as the application sees it, behind whatever proxies there are."""
    client = request.client.host if request.client else None
    return {"client": client, "scheme": request.url.scheme, "host": request.headers.get("host")}


@app.get("/api/auth/providers")
def providers() -> dict[str, tuple[str, ...]]:
    """Which other accounts can be used to sign in; none unless they were configured."""
    return {"providers": settings.oauth_providers}


@app.post("/api/auth/register", status_code=201)
def register(user: NewUser) -> dict[str, Any]:
    """Create an account."""
    email = user.email.lower()
    try:
        number = database.add_user(
            email=email,
            password_hash=passwords.hash_password(user.password),
            first_name=user.first_name,
            last_name=user.last_name,
        )
    except EmailTakenError:
        raise HTTPException(409, "this email address is already registered") from None
    log.info("user registered", extra={"fields": {"user_id": number}})
    return {"id": number, "email": email, "first_name": user.first_name, "last_name": user.last_name}


@app.post("/api/auth/login")
def login(credentials: Credentials) -> dict[str, str]:
    """Exchange a password for a session token."""
    user = database.find_user(credentials.email.lower())
    if user is None or not passwords.is_password(credentials.password, user["password_hash"]):
        raise HTTPException(401, "email or password is wrong")
    return {"token": passwords.issue_token(user["email"], settings.jwt_secret), "token_type": "bearer"}


@app.get("/api/auth/me")
def me(authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    """The bearer of a session token."""
    email = passwords.bearer(authorization.removeprefix("Bearer "), settings.jwt_secret)
    user = database.find_user(email) if email else None
    if user is None:
        raise HTTPException(401, "sign in first")
    return {key: user[key] for key in ("id", "email", "first_name", "last_name")}


@app.get("/api/words")
def words() -> dict[str, list[str]]:
    """All words."""
    return {"words": database.list_words()}


@app.get("/api/words/{word}")
def word_meaning(word: str, response: Response) -> dict[str, Any]:
    """One word and its meaning, from the cache when it was asked for within the last minute."""
    key = f"word:{word.lower()}"
    found = cache.get(key)
    response.headers["x-cache"] = "hit" if found else "miss"
    if found is None:
        found = database.find_word(word.lower())
        if found is None:
            raise HTTPException(404, "no such word")
        cache.put(key, found)
    return found


@app.put("/api/words/{word}", status_code=204)
def define(word: str, body: Meaning, x_api_key: Annotated[str, Header()] = "") -> None:
    """Add or change a word; needs the editors' key."""
    if not hmac.compare_digest(x_api_key.encode(), settings.api_key.encode()):
        raise HTTPException(403, "the X-API-Key header does not hold the editors' key")
    database.put_word(word.lower(), body.meaning)
    cache.forget(f"word:{word.lower()}")
