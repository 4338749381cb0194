"""What a user reads when something is wrong: every problem at once, each with its place and a next step."""

from __future__ import annotations

import pytest
from compose_folder import refusal


def test_all_problems_of_a_file_are_told_in_order_of_their_place() -> None:
    told = refusal("""\
services:
  web:
    imagee: x
    ports: {a: b}
    restart: 5
    healthcheck:
      retrys: 3
netwroks: {}
""")
    assert (
        told
        == """\
compose.yaml:3:5: services.web: additional properties 'imagee' not allowed
  hint: did you mean `image`?
compose.yaml:4:5: services.web.ports: must be a list
  hint: write a list
compose.yaml:5:5: services.web.restart: must be a string, not '5'
  hint: quote it: "5"
compose.yaml:7:7: services.web.healthcheck: additional properties 'retrys' not allowed
  hint: did you mean `retries`?
compose.yaml:8:1: additional properties 'netwroks' not allowed
  hint: did you mean `networks`?"""
    )


def test_values_and_short_forms_are_told_beside_unknown_keys_and_wrong_types() -> None:
    told = refusal("""\
services:
  web:
    image: x
    imgae: typo
    ports: ['80:80:80:80']
    mem_limit: 12q
    stop_grace_period: ten
    healthcheck: {test: [CMD, x], interval: 5x, retries: many}
  db:
    image: [1]
    deploy: {resources: {limits: {memory: 1zb}}}
""")
    places = [line.split(": ")[0] for line in told.splitlines() if line.startswith("compose.yaml")]
    assert places == [
        f"compose.yaml:{place}" for place in ("4:5", "5:13", "6:5", "7:5", "8:35", "8:49", "10:5", "11:35")
    ]


def test_wrong_names_are_told_beside_wrong_values() -> None:
    told = refusal("""\
services:
  web:
    image: x
    ports: ['99999:80']
    depends_on: [apii, broken]
    networks: [frontt, default, front]
    volumes: ['datta:/x', 'odd:/y']
    helthcheck: {}
  api: {image: x, secrets: [s1], healthcheck: {interval: 5x}}
  broken: 5
networks: {front: {}}
volumes: {odd: {drivr: x}}
""")
    wrong = [line.partition('"web" ')[2] for line in told.splitlines() if '"web" ' in line]
    assert wrong == [
        'depends on undefined service "apii"',
        "refers to undefined network frontt",
        "refers to undefined volume datta",
    ]
    assert 'service "api" refers to undefined secret s1' in told
    assert len([line for line in told.splitlines() if line.startswith("compose.yaml:")]) == 9


def test_wrong_names_are_told_beside_values_that_only_their_units_make_wrong() -> None:
    told = refusal("services: {web: {image: x, mem_limit: 12q, depends_on: [db]}}")
    assert "invalid size: '12q'" in told
    assert 'depends on undefined service "db"' in told


def test_where_a_place_has_no_path_nothing_is_guessed_of_the_rest() -> None:
    told = refusal("services: {web: {image: x, 5: y, mem_limit: 12q, depends_on: [db]}}")
    assert [line for line in told.splitlines() if line.startswith("compose.yaml:")] == [
        "compose.yaml:1:28: non-string key in services.web: 5"
    ]


def test_a_name_that_a_later_file_declares_is_not_told() -> None:
    files: dict[str, str | bytes] = {
        "a.yaml": "services: {web: {image: x, ports: ['99999:80'], networks: [front], depends_on: [db]}}",
        "b.yaml": "services: {db: {image: x}}\nnetworks: {front: {}}",
    }
    told = refusal(files, files=("a.yaml", "b.yaml"))
    assert "undefined" not in told
    assert "Invalid hostPort" in told


def test_a_name_that_the_including_project_declares_is_not_told() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "include: [part/compose.yaml]\nservices: {db: {image: x}}",
        "part/compose.yaml": "services: {web: {image: x, mem_limit: 1q, depends_on: [db]}}",
    }
    told = refusal(files)
    assert "undefined" not in told
    assert "invalid size" in told


def test_what_is_wrong_is_told_once_and_nothing_is_told_of_what_it_hides() -> None:
    told = refusal("services: {web: {image: x, ports: [{target: web}, '80:x']}, db: {image: x, mem_limit: 1q}}")
    assert [line.split(": ")[1] for line in told.splitlines() if line.startswith("compose.yaml")] == [
        "services.web.ports[0].target",
        "services.db.mem_limit",
    ]


def test_a_wrong_value_tells_which_variable_it_came_from() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "services:\n  a:\n    image: x\n    mem_limit: ${MEMORY}\n",
        ".env": "A=1\nMEMORY=lots\n",
    }
    assert (
        refusal(files)
        == """\
compose.yaml:4:5: services.a.mem_limit: invalid size: 'lots'
    the value uses MEMORY (env file .env:2)
  hint: correct the value"""
    )


def test_an_override_file_is_named_when_it_is_the_one_that_is_wrong() -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": "services:\n  web:\n    image: x\n    ports: ['80:80']\n",
        "compose.prod.yml": "services:\n  web:\n    ports:\n      - '443:99999'\n",
    }
    told = refusal(files, files=("compose.yaml", "compose.prod.yml"))
    assert told.startswith("compose.prod.yml:4:9: services.web.ports[1]: Invalid containerPort: 99999")


def test_secrets_are_never_shown() -> None:
    told = refusal("services: {a: {image: x, mem_limit: $DB_PASSWORD}}", environment={"DB_PASSWORD": "hunter22"})
    assert "hunter22" not in told
    assert "services.a.mem_limit: invalid size: '********'" in told


def test_more_than_a_hundred_problems_are_counted() -> None:
    services = "".join(f"  s{number}: {{imag: x}}\n" for number in range(150))
    assert "50 further problems are not shown" in refusal(f"services:\n{services}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "compose.yaml:2:1: failed to parse YAML: while parsing a flow node"),
        (
            'a: "b\nc: d\n',
            "compose.yaml:3:1: failed to parse YAML: while scanning a quoted scalar (from line 1): found",
        ),
        ("a:\n  <<: *b", "unknown anchor `b`\n  hint: write `&b` at the value it stands for, above this line"),
        ("a:\n\tb: c", "compose.yaml:2:1: failed to parse YAML"),
        ("a: 1\na: 2", 'compose.yaml:2:1: mapping key "a" already defined at line 1'),
        ("1: x", "compose.yaml:1:1: non-string key at top level: 1"),
        ("services: {a: {environment: {1: x}}}", "non-string key in services.a.environment: 1"),
        ("services:\n  ? [a]\n  : b", "compose.yaml:2:5: failed to parse YAML: a mapping key must be plain text"),
        ("x-a: &a b\n*a : c", "compose.yaml:2:1: failed to parse YAML: a mapping key must be plain text"),
        ("a: *b", "compose.yaml:1:4: failed to parse YAML"),
        ("x-a: &a {b: *a}", "cycle detected: anchor `a` contains itself"),
        ("x-a: &a text\nservices: {b: {<<: *a}}", "map merge requires map or sequence of maps"),
        ("x-a: !!int text", "`text` cannot be read as int"),
        ("[]", "top-level object must be a mapping"),
        ("text", "top-level object must be a mapping"),
        ("services: {a: {image: x, command: '${A:?why}'}}", "required variable A is missing a value: why"),
        ("services: {a: {image: 'x${'}}", "invalid interpolation format"),
        ("services: {a: {image: x, init: perhaps}}", "services.a.init: invalid boolean: perhaps"),
        ("services: {a: {image: x, scale: many}}", 'services.a.scale: invalid integer: "many"'),
        ("services: {a: {image: x, cpus: fast}}", 'services.a.cpus: invalid number: "fast"'),
        ("services: {a: {image: x, cpus: .inf}}", "services.a.cpus: invalid number"),
        ("services: {a: {image: x, cpu_count: 0xffffffffffffffffff}}", "invalid integer: too large"),
        ("services: {a: {image: x, environment: {D: 2024-01-31}}}", 'a date; quote it: "2024-01-31"'),
        ("services: {a: {image: }}", "give it a value or remove the key"),
        ("services: {a b: {image: x}}", "the name 'a b' is not allowed"),
        ("services: {a: {image: x, cgroup: hosst}}", "did you mean `host`?"),
        ("services: {a: {image: x, security_opt: [A=1, A=1]}}", "items must be unique: A\n"),
        ("services: {a: {image: x, pull_policy: sometimes}}", "does not match pattern"),
        ("services: {a: {image: x, oom_score_adj: -2000}}", "must be greater than or equal to -1000"),
        ("services: {a: {image: x, cpu_percent: 101}}", "must be less than or equal to 100, not 101"),
        ("services: {a: {image: x, develop: {watch: [{path: .}]}}}", "missing property 'action'"),
        ("services: {a: {image: x, environment: ['A = 1']}}", "declared with a trailing space"),
        ("services: {a: {image: x, volumes: [{type: bind, target: /x}]}}", "field Source must not be empty"),
        ("services: {a: {image: x, volumes: [{type: volume}]}}", "missing a mount target"),
        ("services: {a: {image: x, ports: [{published: 80}]}}", "missing a target port"),
        ("services: {a: {image: x, command: 'sh -c \"open'}}", "invalid command line string"),
        ("services: {a: {image: x, stop_grace_period: soon}}", 'invalid duration "soon"'),
        ("services: {a: {image: x, extra_hosts: ['=x']}}", "bad host name"),
        ("services: {a: {image: x, gpus: [{count: some}]}}", "the only value allowed is 'all' or a number"),
        ("services: {a: {image: x, secrets: [{source: s, mode: rw}]}}", 'invalid file mode "rw"'),
        ("include: {a: b}", "`include` must be a list"),
    ],
)
def test_each_mistake_has_its_message(text: str, told: str) -> None:
    assert told in refusal(text) + "\n"


def test_files_that_are_missing_are_told_together_and_beside_names_that_are_wrong() -> None:
    told = refusal("""\
services:
  web:
    image: x
    env_file: [gone.env, away.env]
    label_file: gone.labels
    depends_on: [db]
""")
    missing = "create it, or correct the path"
    optional = f"{missing}, or write `required: false` beside its `path` if it may be absent"
    assert told.splitlines() == [
        "compose.yaml:4:16: env file gone.env not found: no such file or directory",
        f"  hint: {optional}",
        "compose.yaml:4:26: env file away.env not found: no such file or directory",
        f"  hint: {optional}",
        "compose.yaml:5:5: label file gone.labels not found: no such file or directory",
        f"  hint: {missing}",
        'compose.yaml:6:18: services.web.depends_on.db: service "web" depends on undefined service "db"',
        "  hint: declare it under top-level `services:`",
    ]
