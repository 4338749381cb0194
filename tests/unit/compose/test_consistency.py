"""Whether the parts of a project fit together."""

from __future__ import annotations

import pytest
from compose_folder import load, refusal


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("services: {a: {}}", '1:12: services.a: service "a" has neither an image nor a build context'),
        ("services: {a: {build: {dockerfile: D, dockerfile_inline: x}}}", "dockerfile and dockerfile_inline"),
        ("services: {a: {platform: x, build: {platforms: [y]}}}", "MUST include service.platform"),
        ("services: {a: {build: {secrets: [s]}}}", "undefined build secret s"),
        ("services: {a: {build: {additional_contexts: {o: 'service:b'}}}}", 'unknown service "b"'),
        (
            "services: {a: {build: {additional_contexts: {o: 'service:b'}}}, b: {image: x}}",
            'non-buildable service "b" as additional context o\n  hint: add `build:` to b',
        ),
        ("services: {a: {image: x, network_mode: host, networks: [n]}}\nnetworks: {n: }", "mutually exclusive"),
        ("services: {a: {image: x, networks: [fornt]}}\nnetworks: {front: }", "did you mean `front`?"),
        ("services: {a: {image: x, networks: [x-n]}}\nnetworks: {x-n: }", "Compose reads it as an extension"),
        ("services: {a: {image: x, gpus: [{count: 1, device_ids: []}]}}", "attributes are exclusive"),
        ("services: {a: {image: x, models: [m]}}", "undefined model m"),
        (
            "services: {a: {image: x, depends_on: [dbb]}, db: {image: x}}",
            'undefined service "dbb"\n  hint: did you mean `db`?',
        ),
        ("services: {a: {image: x, depends_on: [p]}, p: {image: x, profiles: [q]}}", "a profile that is not active"),
        (
            "services: {a: {image: x, volumes: [data:/x]}}",
            "undefined volume data\n  hint: declare it under top-level `volumes:`",
        ),
        ("services: {a: {image: x, configs: [c]}}", "undefined config c"),
        ("services: {a: {image: x, secrets: [s]}}", "undefined secret s"),
        ("services: {a: {image: x, healthcheck: {test: [curl]}}}", "must start either by"),
        ("services: {a: {image: x, scale: 2, deploy: {replicas: 3}}}", "distinct values on 'scale'"),
        ("services: {a: {image: x, scale: -1}}", "services.a.scale: must be greater than or equal to 0"),
        ("services: {a: {image: x, deploy: {replicas: 2}, container_name: cc}}", "can't set container_name and scale"),
        (
            "services: {a: {image: x, mem_limit: 1g, deploy: {resources: {limits: {memory: 2g}}}}}",
            "distinct values on 'mem_limit'",
        ),
        ("services: {a: {image: x, develop: {watch: [{path: /x, action: sync}]}}}", "target is required"),
        ("services: {a: {image: x, develop: {watch: [{path: '', action: rebuild}]}}}", "value can't be blank"),
        (
            "services: {a: {image: x, tmpfs: ['/x:size=1m'], volumes: [/x]}}",
            "services.a.volumes[0]: target /x already mounted as services.a.tmpfs[0]",
        ),
        ("services: {a: {image: x, links: [a]}}", "dependency cycle detected: a -> a"),
        ("services: {a: {image: x, ipc: 'service:b'}, b: {image: x, volumes_from: [a]}}", "a -> b -> a"),
        ("secrets: {s: {}}", "one of file|environment must be set"),
        ("secrets: {s: {driver: d}}", "must declare either `file` or `environment`"),
        ("configs: {c: {content: x, file: y}}", "mutually exclusive"),
        ("volumes: {v: {external: true, driver: x}}", 'conflicting parameters "external" and "driver"'),
        ("networks: {n: {name: a, external: {name: b}}}", "name and external.name conflict"),
        ("services: {a: {image: x, ports: [{target: 1, host_ip: nowhere}]}}", "invalid ip address: nowhere"),
        ("services: {a: {image: x, gpus: [{count: 1, device_ids: [a]}]}}", '"count" and "device_ids"'),
    ],
)
def test_what_does_not_fit_is_told(text: str, told: str) -> None:
    assert told in refusal(text)


def test_what_fits_is_accepted() -> None:
    project = load("""\
services:
  a:
    build: {context: ., platforms: [p], secrets: [s], additional_contexts: {o: "service:b", r: "https://x"}}
    platform: p
    networks: [front]
    models: [m]
    depends_on: {gone: {condition: service_started, required: false}}
    volumes: [data:/d, {type: volume, target: /anonymous}, {type: tmpfs, target: /t}]
    configs: [c]
    secrets: [s]
    scale: 2
    deploy: {replicas: 2, resources: {limits: {memory: 1g}}}
    mem_limit: 1g
    develop: {watch: [{path: ., action: rebuild}]}
    ports: [{target: 1, host_ip: "::1"}, {target: 2, host_ip: ""}]
    gpus: all
  b: {image: x, build: ., links: ["a:alias"], volumes_from: ["container:x", "a:ro"], pid: "service:a"}
  gone: {image: x, profiles: [q]}
  hosted: {provider: {type: t, options: {a: [1, x], b: true}}}
networks: {front: {external: {name: real}}}
volumes: {data: {external: true}}
configs: {c: {external: true}}
secrets: {s: {environment: S}}
models: {m: {model: ai/x}}
""")
    services = project.model["services"]
    assert services["b"]["depends_on"]["a"] == {"condition": "service_started", "restart": True, "required": True}
    assert services["hosted"]["provider"]["options"] == {"a": ["1", "x"], "b": ["true"]}
    assert "networks" not in services["hosted"]
    assert services["a"]["gpus"] == [{"count": -1}]
    assert project.model["networks"]["front"] == {"external": True, "name": "real"}
    assert project.model["volumes"]["data"] == {"external": True, "name": "data"}
    assert project.disabled_services == ("gone",)
