# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Names of variables: where they are looked for, and how each kind of secret is rotated. Only data."""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

#: Files that list names for people to fill in. `.env` itself holds values and is never opened.
EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", "env.example", ".env.production.example")

_NAME = r"([A-Z][A-Z0-9_]+)"
_QUOTED = rf"\(\s*[\"'`]{_NAME}[\"'`]"
_JAVASCRIPT = (
    rf"\b(?:process|Bun|import\.meta)\.env\.{_NAME}\b",
    rf"\bprocess\.env\[[\"'`]{_NAME}[\"'`]\]",
    rf"\bDeno\.env\.get{_QUOTED}",
)
_RUBY = (rf"\bENV(?:\.fetch\(|\[)\s*[\"']{_NAME}[\"']",)
_ELIXIR = (rf"\bSystem\.(?:get_env|fetch_env!?){_QUOTED}",)

#: Suffix of a source file -> how it reads a variable.
REFERENCES: Dict[str, Tuple[str, ...]] = {
    **dict.fromkeys(("js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "vue", "svelte", "astro"), _JAVASCRIPT),
    **dict.fromkeys(("rb", "erb", "ru", "rake", "yml"), _RUBY),
    **dict.fromkeys(("ex", "exs"), _ELIXIR),
    "py": (
        rf"\bos\.environ(?:\.get\(|\[)\s*[\"']{_NAME}[\"']",
        rf"\bos\.getenv{_QUOTED}",
        rf"\benv(?:\.[a-z_]+)?{_QUOTED}",
        rf"\bconfig{_QUOTED}",
    ),
    "go": (rf"\bos\.(?:Getenv|LookupEnv){_QUOTED}",),
    "rs": (rf"\benv::var(?:_os)?{_QUOTED}",),
    "php": (rf"\b(?:getenv|env){_QUOTED}", rf"\$_(?:ENV|SERVER)\[\s*[\"']{_NAME}[\"']"),
    **dict.fromkeys(("java", "kt", "scala", "groovy"), (rf"\bSystem\.getenv{_QUOTED}",)),
}

#: Names that the platform or the shell sets.
PROVIDED = (
    r"^FLY_|^(?:PRIMARY_REGION|RELEASE_COMMAND|PATH|HOME|USER|PWD|SHELL|LANG|TMPDIR|TERM|CI)$"
    r"|^(?:NODE_ENV|PORT|HOST|HOSTNAME)$"
)
#: What `fly storage create` sets by itself.
STORAGE_NAMES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "BUCKET_NAME",
)


class Rotation(NamedTuple):
    """How secrets of one kind are rotated: `names` is a pattern, the first that matches holds."""

    kind: str
    names: str
    every_days: int
    how: str


ROTATIONS: Tuple[Rotation, ...] = (
    Rotation(
        "encryption key",
        r"ENCRYPT|MASTER_KEY|VAULT|KMS",
        365,
        "Data are encrypted with it: add the new key beside the old one, encrypt everything anew, only then unset"
        " the old.",
    ),
    Rotation(
        "database address",
        r"(?:DATABASE|POSTGRES\w*|PG|MYSQL|MARIADB|MONGO\w*|CLICKHOUSE)_(?:URL|URI|PASSWORD)$|CONNECTION_STRING",
        90,
        "Make a second database user with the same rights, deploy its address, see that nobody uses the old one,"
        " drop it.",
    ),
    Rotation(
        "signing key",
        r"SECRET_KEY|KEY_BASE|SESSION|JWT|COOKIE|SIGNING|APP_KEY|AUTH_SECRET|_SALT$",
        180,
        "Have the app accept old and new at once (NAME and NAME_OLD) until the longest session has ended, then unset"
        " the old; without that, everybody is logged out.",
    ),
    Rotation(
        "cache or queue address",
        r"(?:REDIS|VALKEY|AMQP|RABBITMQ|ELASTICSEARCH)_(?:URL|URI|PASSWORD)$",
        180,
        "Make new credentials beside the old ones, deploy them, see that no client uses the old ones, remove those.",
    ),
    Rotation(
        "credential of another service",
        r"",
        90,
        "Issue a second one there, deploy it, see it used, then revoke the first where it was issued.",
    ),
)
