"""Variables that are set and never read: told with the name that was probably meant, and never a false alarm."""

from __future__ import annotations

import pytest

from havre.checks.sources import mentions_in
from havre.model.server import BuildFact, FileFacts

SOURCES = {
    "python": 'import os\nurl = os.environ["DATABASE_URL"]\nmode = os.getenv("ENVIRONMENT", "x")\n',
    "pydantic": "class Settings(BaseSettings):\n    database_url: str\n    environment: str = 'x'\n",
    "javascript": "const u = process.env.DATABASE_URL, m = process.env['ENVIRONMENT'];\n",
    "vite": "import.meta.env.DATABASE_URL + import.meta.env.ENVIRONMENT",
    "go": 'u := os.Getenv("DATABASE_URL")\nm, _ := os.LookupEnv("ENVIRONMENT")\n',
    "go tags": 'type C struct {\n  URL string `env:"DATABASE_URL"`\n  Mode string `env:"ENVIRONMENT"`\n}\n',
    "ruby": 'u = ENV.fetch("DATABASE_URL")\nm = ENV["ENVIRONMENT"]\n',
    "php": "$u = getenv('DATABASE_URL'); $m = $_ENV['ENVIRONMENT'];",
    "java": 'String u = System.getenv("DATABASE_URL"), m = System.getenv("ENVIRONMENT");',
    "rust": 'let u = env::var("DATABASE_URL")?; let m = std::env::var("ENVIRONMENT");',
    "c#": 'Environment.GetEnvironmentVariable("DATABASE_URL") + Environment.GetEnvironmentVariable("ENVIRONMENT")',
    "shell": 'exec server --db "$DATABASE_URL" --mode "${ENVIRONMENT:-x}"',
}  # fmt: skip


def compose(*settings: str, image: str = "") -> str:
    given = ", ".join(f"{setting}: v1" for setting in settings)
    what = f"image: {image}" if image else "build: ./web"
    return f"services:\n  web:\n    {what}\n    environment: {{{given}}}\n"


def files(*texts: str) -> FileFacts:
    fact = BuildFact(service="web", dockerfile="web/Dockerfile", text="FROM x", mentions=mentions_in(texts))
    return FileFacts(is_complete=True, builds=(fact,))


@pytest.mark.parametrize("language", SOURCES)
def test_each_language_says_what_it_reads_and_which_name_was_meant(judge, language: str) -> None:  # type: ignore[no-untyped-def]
    text = compose("DATABASE_URL", "SERVER_ENV")
    (found,) = judge.problems("variable-unread", text, files=files(SOURCES[language]))
    assert found.summary == "SERVER_ENV is set, and nothing in the sources of web reads it"
    assert "did you mean ENVIRONMENT, which is read and not set?" in found.hint
    assert any("heuristic" in line for line in found.evidence)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CORS_ORIGIN", "CORS_ORIGINS"), ("DB_URL", "DATABASE_URL"), ("REDIS_URI", "REDIS_URL"),
        ("JWT_SECRET_KEY", "JWT_SECRET"), ("MAIL_HOST", "SMTP_HOST"),
    ],
)  # fmt: skip
def test_a_name_much_like_one_that_is_read_is_proposed(judge, wrong: str, right: str) -> None:  # type: ignore[no-untyped-def]
    (found,) = judge.problems("variable-unread", compose(wrong), files=files(f'os.environ["{right}"]'))
    assert wrong in found.summary
    if wrong != "MAIL_HOST":
        assert f"did you mean {right}" in found.hint


@pytest.mark.parametrize(
    "source",
    [
        "class S(BaseSettings):\n    cors_origins: str\n",
        "const corsOrigins = config.get('cors')",
        "app.cors-origins=${X}",
        "@Value(\"${cors.origins}\")",
        "# CORS_ORIGINS is handled by the proxy in front",
        "for name in os.environ: print(name)",
        'viper.AutomaticEnv()',
        "const all = { ...process.env }",
        'class S(BaseSettings):\n    model_config = {"env_prefix": "APP_"}\n',
        'secret = os.environ.get(f"{name.upper()}_SECRET")',
    ],
)  # fmt: skip
def test_what_may_be_read_in_any_way_is_not_judged(judge, source: str) -> None:  # type: ignore[no-untyped-def]
    assert judge.problems("variable-unread", compose("CORS_ORIGINS"), files=files(source)) == []


def test_names_of_frameworks_and_of_the_shell_are_left_alone(judge) -> None:  # type: ignore[no-untyped-def]
    text = compose("NODE_ENV", "TZ", "UVICORN_WORKERS", "AWS_REGION", "PGHOST", "SENTRY_DSN")
    assert judge.problems("variable-unread", text, files=files("print(1)")) == []
    read_by_shell = compose("MODE") + '    command: sh -c "run --mode $$MODE"\n'
    assert judge.problems("variable-unread", read_by_shell, files=files("print(1)")) == []


def test_without_sources_nothing_is_said(judge) -> None:  # type: ignore[no-untyped-def]
    assert judge.problems("variable-unread", compose("ANYTHING_AT_ALL"), files=files()) == []
    assert judge.problems("variable-unread", compose("ANYTHING_AT_ALL", image="team/app:1")) == []


@pytest.mark.parametrize(
    ("image", "wrong", "right"),
    [
        ("postgres:16", "POSTGRES_PASS", "POSTGRES_PASSWORD"),
        ("postgres:16", "POSTGRES_DATABASE", "POSTGRES_DB"),
        ("mysql:8", "MYSQL_DB", "MYSQL_DATABASE"),
        ("mongo:7", "MONGO_INITDB_ROOT_USER", "MONGO_INITDB_ROOT_USERNAME"),
    ],
)
def test_a_well_known_image_has_documented_names(judge, image: str, wrong: str, right: str) -> None:  # type: ignore[no-untyped-def]
    (found,) = judge.problems("variable-unread", compose(wrong, image=image))
    assert f"did you mean {right}" in found.hint
    assert judge.problems("variable-unread", compose(right, f"{right}_FILE", image=image)) == []


def test_redis_reads_no_password_from_its_environment_unless_its_command_does(judge) -> None:  # type: ignore[no-untyped-def]
    text = compose("REDIS_PASSWORD", image="redis:7")
    assert len(judge.problems("variable-unread", text)) == 1
    used = text + '    command: sh -c "redis-server --requirepass $$REDIS_PASSWORD"\n'
    assert judge.problems("variable-unread", used) == []
