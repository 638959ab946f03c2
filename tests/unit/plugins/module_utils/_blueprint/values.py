# SPDX-License-Identifier: GPL-3.0-or-later
"""Good and bad values of a blueprint's fields, for every validator that there is."""

from __future__ import annotations

from typing import Any


def _service(**values: Any) -> dict[str, Any]:
    return {"services": [{"name": "db", "image": "postgres:16", **values}]}


def _runtime(**values: Any) -> dict[str, Any]:
    return {"runtimes": [{"name": "node", **values}]}


GOOD: list[dict[str, Any]] = [
    {},
    {"version": 1},
    *(
        {"image": image}
        for image in (
            "node:22-bookworm",
            "ghcr.io/team/app:1.2",
            "localhost:5000/a/b",
            "a",
            "a@sha256:" + "0" * 64,
            "mcr.microsoft.com/dotnet/sdk:8.0",
        )
    ),
    *({"name": name} for name in ("", "a", "a-b", "a" * 40)),
    *(_runtime(version=version) for version in ("", "22", "20.11.1", "22.0.0-rc.1", "latest")),
    _runtime(package_manager="pnpm"),
    *({"system_packages": [package]} for package in ("libpq-dev", "g++", "libpq-dev=15.8-0+deb12u1")),
    *({"setup": [command]} for command in ("npm ci", "echo '$(id)'", "a\nb\n", "  x  ")),
    {"ports": [1, 80, 65535]},
    *({"env": {name: "x"}} for name in ("A", "_a", "A1", "DATABASE_URL", "NODE_OPTIONS", "PATHS")),
    *({"env": {"A": value}} for value in ("", "x: y", "{{ lookup('pipe', 'id') }}", "$(id)", "a\tb", "é", "x" * 65536)),
    {"secrets": ["API_KEY"]},
    _service(env={"A": "1"}, ports=[5432], command=["-c", "fsync=off"]),
    *(
        {"resources": {"instance_type": kind}}
        for kind in ("", "t3.medium", "m7i-flex.large", "c7g.16xlarge", "shared-cpu-2x", "r8g.metal-24xl")
    ),
    {"resources": {"cpus": 0.5, "memory_gb": 1.5, "disk_gb": 8}},
    {"resources": {"disk_gb": 1000}},
    *({"provider": {"region": region}} for region in ("", "eu-central-1", "fra")),
    {"provider": {"name": "ec2", "options": {"anything": [1, {"goes": None}]}}},
    *({"ttl": ttl} for ttl in ("1m", "8h", "30d", "1h30m", "60s")),
    {
        "agent": {
            "name": "claude-code",
            "version": "2.1.330",
            "settings": {"a": 1},
            "hooks": {},
            "mcp_servers": {"x": {"command": "y"}},
            "skills": ["auto", "flyio", "our-own-2"],
        }
    },
    {"agent": {"skills": []}},
    *({"user": user} for user in ("", "dev", "node", "_a-1")),
]

#: (path of the one problem, data)
BAD: list[tuple[str, Any]] = [
    ("", None),
    ("", []),
    ("", "text"),
    ("", 1),
    ("imge", {"imge": "a"}),
    ("version", {"version": 2}),
    ("version", {"version": "1"}),
    ("version", {"version": True}),
    ("version", {"version": None}),
    *(
        ("image", {"image": image})
        for image in (
            "",
            "-x",
            "--privileged",
            "A",
            "a b",
            "a:",
            "a:b:c",
            "a\n",
            "a/../b",
            "$(id)",
            "a@sha256:12",
            "a" * 600,
            1,
            None,
            ["a"],
            "http://a/b",
        )
    ),
    *(("name", {"name": name}) for name in ("-a", "a-", "A", "a b", "a" * 41, "a\n", "a_b", "ä")),
    ("runtimes", {"runtimes": {"name": "node"}}),
    ("runtimes[0]", {"runtimes": ["node"]}),
    ("runtimes[0].name", {"runtimes": [{"version": "1"}]}),
    ("runtimes[0].name", {"runtimes": [{"name": "cobol"}]}),
    *(
        ("runtimes[0].version", _runtime(version=version))
        for version in (22, 3.1, "-1", "a b", "1;id", "x" * 65, "8", "0.10", "11.15", "22\n")
    ),
    ("runtimes[0].version", {"runtimes": [{"name": "python", "version": "2.7.18"}]}),
    ("runtimes[0].version", {"runtimes": [{"name": "java", "version": "1.7"}]}),
    ("runtimes[0].package_manager", _runtime(package_manager="--x")),
    ("runtimes[0].color", _runtime(color="x")),
    *(
        ("system_packages[0]", {"system_packages": [package]})
        for package in ("-o", "", "A", "a;b", "a b", "libpq-dev\n", "../x", 1)
    ),
    *(("setup[0]", {"setup": [command]}) for command in ("", " ", "\n", "a\0b", 1, None, {"run": "x"})),
    ("setup", {"setup": "npm ci"}),
    *(("ports[0]", {"ports": [port]}) for port in (0, 65536, -1, "80", 8.5, True, None)),
    *(
        (f"env.{name}", {"env": {name: "x"}})
        for name in (
            "PATH",
            "LD_PRELOAD",
            "ld_preload",
            "HOME",
            "BASH_ENV",
            "LD_ANYTHING",
            "BASH_FUNC_x",
            "GIT_SSH_COMMAND",
            "1A",
            "A-B",
            "A B",
            "",
            "A=B",
            "Ä",
            "A\n",
            "$(id)",
            "FUEL_CODE_TOKEN",
        )
    ),
    *(("env.A", {"env": {"A": value}}) for value in ("a\nb", "a\rb", "a\0b", "x" * 65537, 1, None, True, ["x"])),
    ("env", {"env": ["A=1"]}),
    ("secrets[0]", {"secrets": ["LD_PRELOAD"]}),
    ("secrets[0]", {"secrets": ["A=hunter2"]}),
    ("services[0].name", _service(name="-db")),
    ("services[0].name", _service(name="a/b")),
    ("services[0].image", _service(image="--rm")),
    ("services[0].env.PATH", _service(env={"PATH": "x"})),
    ("services[0].command", _service(command="a b")),
    ("services[0].command[0]", _service(command=["a\0"])),
    ("services[0].privileged", _service(privileged=True)),
    ("resources.disk_gb", {"resources": {"disk_gb": 7}}),
    ("resources.disk_gb", {"resources": {"disk_gb": 1001}}),
    ("resources.disk_gb", {"resources": {"disk_gb": "20"}}),
    ("resources.cpus", {"resources": {"cpus": 0}}),
    ("resources.memory_gb", {"resources": {"memory_gb": True}}),
    *(
        ("resources.instance_type", {"resources": {"instance_type": kind}})
        for kind in ("t99.large", "t3", "t3.", "t3.medium\n", "shared-cpu-3x", "T3.medium")
    ),
    ("provider.region", {"provider": {"region": "eu-central-9"}}),
    ("provider.name", {"provider": {"name": "../local"}}),
    ("provider.name", {"provider": {"name": ""}}),
    ("provider.options", {"provider": {"options": []}}),
    *(("ttl", {"ttl": ttl}) for ttl in ("", "8", "59s", "31d", "forever", "8h\n", 8, "8 h")),
    *(("user", {"user": user}) for user in ("root", "a b", "-x", "A", "a" * 33, "0")),
    ("agent.version", {"agent": {"version": "1"}}),
    ("agent.settings", {"agent": {"settings": "x"}}),
    ("agent.skills", {"agent": {"skills": "auto"}}),
    *(("agent.skills[0]", {"agent": {"skills": [name]}}) for name in ("", "../x", "A", "-a", "a--b", "a" * 65)),
]
