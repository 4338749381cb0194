"""Secrets that are written where they stay: found in images, sources and Compose files, and never shown."""

from __future__ import annotations

import pytest

from havre.checks.baked import final_stage, holds_secret
from havre.checks.written import is_env_with_secrets, secrets_written
from havre.errors import Severity
from havre.model.server import BuildFact, FileFacts

WEB = "services:\n  web:\n    build: ./web\n"
STRIPE = "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc"
"""Put together here, so that nobody's scanner finds a key in this file."""

AWS = "AKIA" + "Q3EGRZNDTQ7Y2HPL"


def build(text: str, *files: str, env_secrets: tuple[str, ...] = (), **more: object) -> FileFacts:
    fact = BuildFact(
        service="web", dockerfile="web/Dockerfile", text=text, files=frozenset({"app.py", *files}),
        env_secrets=frozenset(env_secrets), **more,  # type: ignore[arg-type]
    )  # fmt: skip
    return FileFacts(is_complete=True, builds=(fact,))


@pytest.mark.parametrize(
    ("dockerfile", "files", "taken"),
    [
        ("FROM a\nCOPY . .\n", (".env",), "COPY . puts .env into the image"),
        ("FROM a\nCOPY app.py .env.prod /app/\n", (".env.prod",), "COPY .env.prod puts .env.prod into the image"),
        ("FROM a\nADD ./ /srv\n", ("deploy/id_rsa",), "COPY ./ puts deploy/id_rsa into the image"),
        ("FROM a AS base\nCOPY . .\nFROM base\nRUN x\n", (".env",), "COPY . puts .env into the image"),
    ],
)
def test_env_files_and_keys_that_a_copy_takes_are_named(judge, dockerfile, files, taken) -> None:  # type: ignore[no-untyped-def]
    (found,) = judge.problems("secret-file-in-image", WEB, files=build(dockerfile, *files, env_secrets=files))
    assert (found.summary, found.severity) == (taken, Severity.ERROR)
    assert found.at.file == "web/Dockerfile"


@pytest.mark.parametrize(
    ("dockerfile", "files"),
    [
        ("FROM a\nCOPY app.py .\n", (".env",)),
        ("FROM a AS build\nCOPY . .\nFROM b\nCOPY --from=build /dist .\n", (".env",)),
        ("FROM a\nCOPY . .\n", (".env.example", "certs/ca.pem", "tests/server.key", "fullchain.pem")),
    ],
)
def test_what_stays_outside_and_what_is_no_secret_is_left_alone(judge, dockerfile, files) -> None:  # type: ignore[no-untyped-def]
    assert judge.problems("secret-file-in-image", WEB, files=build(dockerfile, *files, env_secrets=files)) == []


def test_the_final_stage_includes_the_stages_it_is_built_upon() -> None:
    text = "FROM a AS one\nRUN 1\nFROM x AS two\nRUN 2\nFROM one\nRUN 3\n"
    assert [step.words for step in final_stage(text)] == ["1", "3"]


def test_an_env_file_counts_only_with_a_real_secret_in_it() -> None:
    assert is_env_with_secrets(".env", "LOG_LEVEL=info\nJWT_SECRET='kx9f2kd8sl2p'\n")
    assert is_env_with_secrets("config/prod.env", "export API_TOKEN=kx9f2kd8sl2p\n")
    assert not is_env_with_secrets(".env", "LOG_LEVEL=info\nJWT_SECRET=changeme\nAPI_KEY=\n")
    assert not is_env_with_secrets("environment.ts", "JWT_SECRET=kx9f2kd8sl2p\n")


@pytest.mark.parametrize(
    "line", ["ENV JWT_SECRET=kx9f2kd8sl2p", "ENV JWT_SECRET kx9f2kd8sl2p", 'ARG NPM_TOKEN="kx9f2kd8sl2p"']
)
def test_a_secret_set_in_a_dockerfile_is_found_and_not_shown(judge, line: str) -> None:  # type: ignore[no-untyped-def]
    (found,) = judge.problems("secret-in-dockerfile", WEB, files=build(f"FROM a\n{line}\n"))
    assert found.at.line == 2
    assert "kx9f2" not in str(found)


@pytest.mark.parametrize(
    "line", ["ENV GPG_KEY=E3FF2839C048B25C084DEBE9", "ARG TOKEN", "ENV A_SECRET=$A_SECRET", "ENV TOKEN_TTL=3600x"]
)
def test_names_and_public_keys_in_a_dockerfile_are_no_secrets(judge, line: str) -> None:  # type: ignore[no-untyped-def]
    assert judge.problems("secret-in-dockerfile", WEB, files=build(f"FROM a\n{line}\n")) == []


@pytest.mark.parametrize(
    ("source", "what", "is_certain"),
    [
        (f'stripe.api_key = "{STRIPE}"', "a Stripe key", True),
        (f"const id = '{AWS}';", "an AWS access key", True),
        ("KEY = '''-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow'''", "a private key", True),
        ('JWT_SECRET = "kx9f2kd8sl2p"', "the value of JWT_SECRET", False),
        ("  jwtSecret: 'kx9f2kd8sl2p',", "the value of jwtSecret", False),
        ('password := "kx9f2kd8sl2p"', "the value of password", False),
        ('"db_password" => "kx9f2kd8sl2p",', "the value of db_password", False),
        ('os.environ.get("JWT_SECRET", "kx9f2kd8sl2p")', "the value of JWT_SECRET", False),
        ('process.env.API_TOKEN || "kx9f2kd8sl2p"', "the value of API_TOKEN", False),
        ('private String apiKey = "kx9f2kd8sl2p";', "the value of apiKey", False),
        ('URL = "postgres://app:kx9f2kd8@db/x"', "a password in a URL", False),
    ],
)
def test_secrets_in_sources_are_found_with_their_line(source: str, what: str, is_certain: bool) -> None:
    (found,) = secrets_written([("src/settings.py", f"import os\n\n{source}\n")], "web")
    assert (found.what, str(found.at), found.is_certain) == (what, "web/src/settings.py:3", is_certain)


@pytest.mark.parametrize(
    "source",
    [
        'JWT_SECRET = os.environ["JWT_SECRET"]',
        'const TOKEN_HEADER = "x-csrf-token-v2"',
        'password: "Mot de passe 8 caractères"',
        'api_key_name = "X-Api-Key2"',
        'secret = "your-secret-key-1"',
        'TOKEN_URL = "https://auth.example.com/oauth2/token"',
        "token: `${prefix}123abcdef`",
        'url = "postgres://app:${PASSWORD1}@db/x"',
        'url = f"postgres://app:{password1}@db/x"',
        'cacheKey = "users:list:v2"',
        'primary_key = "user_id_v2_main"',
        'key = "AKIAIOSFODNN7EXAMPLE"',
        'PASSWORD_PATTERN = "^(?=.*[0-9])[a-zA-Z0-9]{8,}$"',
        'secretName: "db-credentials-v1"',
        'tokenType = "access_token_2"',
        "password_hash = hash_password('x1')",
    ],
)
def test_what_only_speaks_of_secrets_is_left_alone(source: str) -> None:
    assert secrets_written([("src/settings.py", source)], "web") == ()


@pytest.mark.parametrize("name", ["tests/test_app.py", "src/a.spec.ts", "README.md", "fixtures/x.json", "conftest.py"])
def test_tests_and_documentation_are_passed_over(name: str) -> None:
    assert secrets_written([(name, 'JWT_SECRET = "kx9f2kd8sl2p"')], "web") == ()


def test_a_providers_key_stops_a_production_release_and_is_never_shown(judge) -> None:  # type: ignore[no-untyped-def]
    written = secrets_written([("pay.py", f'key = "{STRIPE}"\nTOKEN = "kx9f2kd8sl2p"\n')], "web")
    facts = build("FROM a\n", written=written)
    found = judge.problems("secret-hard-coded", WEB, files=facts)
    assert [(one.severity, one.at.line) for one in found] == [(Severity.ERROR, 1), (Severity.WARNING, 2)]
    assert STRIPE not in repr(found)
    milder = judge.problems(
        "secret-hard-coded", WEB, "app: shop\nenvironments: {staging: {}}", environment="staging", files=facts
    )
    assert {one.severity for one in milder} == {Severity.WARNING}


def test_a_secret_in_the_compose_file_is_told_unless_it_comes_from_a_variable(judge) -> None:  # type: ignore[no-untyped-def]
    text = "services:\n  web:\n    image: a:1\n    environment:\n      A_SECRET: kx9f2kd8sl2p\n      B_SECRET: ${B:-}\n"
    (found,) = judge.problems("secret-in-compose", text, env="B=kx9f2kd8sl2q\n")
    assert "A_SECRET" in found.summary
    assert "kx9f2" not in str(found)
    settings = "{TOKEN: /run/secrets/token1, AUTH: oauth2, KEY: app.name.v1}"
    plain = f"services:\n  web:\n    image: a:1\n    environment: {settings}\n"
    assert judge.problems("secret-in-compose", plain) == []


def test_official_images_settings_are_no_secrets_and_a_token_is() -> None:
    official = {
        "GPG_KEY": "A035C8C19219BA821ECEA86B64E628F8D684696D",
        "RABBITMQ_PGP_KEY_ID": "0x0A9AF2115F4687BD29803A206B73A36E6026DFCA",
        "NGINX_VERSION": "1.27.1",
        "MYSQL_ROOT_PASSWORD": "",
        "PYTHON_SHA256": "3e26a672df17708c4dc928475a5974c3fb3a34a9b45c65fb4bd1e50504cc84ec",
    }
    assert not any(holds_secret(name, value) for name, value in official.items())
    assert holds_secret("NPM_TOKEN", "kx9f2kd8sl2p")
