# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The rules of a deployment's plan: environments, steps, notes. Only data; `_plan.py` puts them together.

A condition (`when`) is words that all must hold; `!word` must not. Words are `Facts.flags` and `strategy:<name>`.
In texts and commands `{app}` and the like are filled in; words in capitals are for whoever runs the plan.
Sources: https://fly.io/docs/reference/configuration/#picking-a-deployment-strategy,
https://fly.io/docs/blueprints/seamless-deployments/ and https://fly.io/docs/blueprints/rollback-guide/ (2026-11-21).
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

from .data_strategies import NO_VOLUMES

#: Files that are an environment's configuration, the first that is there. The order is that of deploying.
ENVIRONMENT_FILES: Dict[str, Tuple[str, ...]] = {
    "dev": ("fly.dev.toml", "fly.toml"),
    "staging": ("fly.staging.toml", "fly.toml"),
    "production": ("fly.production.toml", "fly.toml"),
}

#: A file or folder that comes with migrations -> the command that runs them.
MIGRATIONS: Tuple[Tuple[str, str], ...] = (
    ("prisma/migrations", "npx prisma migrate deploy"),
    ("manage.py", "python manage.py migrate --noinput"),
    ("alembic.ini", "alembic upgrade head"),
    ("db/migrate", "bin/rails db:prepare"),
    ("priv/repo/migrations", "bin/migrate"),
    ("drizzle.config.ts", "npx drizzle-kit migrate"),
    ("knexfile.js", "npx knex migrate:latest"),
)


PHASES: Dict[str, str] = {
    "once": "Once, before the first deployment",
    "secrets": "Secrets",
    "before": "Before each deployment",
    "deploy": "Deploy",
    "verify": "Verify",
    "back": "Only if it fails: back to the release before",
    "rotate": "Every so often: rotate a secret",
}


class Step(NamedTuple):
    """One step: what is done and why, the command, what must be seen before the next one.

    `each`: repeated for every item of that fact, whose fields fill the braces too.
    """

    phase: str
    text: str
    command: Tuple[str, ...] = ()
    when: str = ""
    why: str = ""
    expect: str = ""
    each: str = ""


_APP = ("--app", "{app}")
_CONFIG = ("--config", "{config}")

STEPS: Tuple[Step, ...] = (
    Step("once", "Be logged in.", ("fly", "auth", "whoami"), expect="your address; else: fly auth login"),
    Step(
        "once",
        "Make the app.",
        ("fly", "apps", "create", "{app}"),
        expect="the app's name, or that you have it already",
    ),
    Step(
        "once",
        "Make volume {source} ({size} GB, mounted at {destination}).",
        ("fly", "volumes", "create", "{source}", "--region", "{region}", "--size", "{size}", *_APP, "--yes"),
        each="mounts",
        when="!production !sqlite",
        why="a Machine needs a volume of its own, in its region",
    ),
    Step(
        "once",
        "Make volume {source} ({size} GB, mounted at {destination}).",
        ("fly", "volumes", "create", "{source}", "--region", "{region}", "--size", "{size}", *_APP, "--yes"),
        each="mounts",
        when="sqlite",
        why="one only: SQLite has one writer, so there is one Machine; copy its file away all the time (Litestream)",
    ),
    Step(
        "once",
        "Make two volumes {source} ({size} GB each, mounted at {destination}).",
        (
            "fly",
            "volumes",
            "create",
            "{source}",
            "--count",
            "2",
            "--region",
            "{region}",
            "--size",
            "{size}",
            *_APP,
            "--yes",
        ),
        each="mounts",
        when="production !sqlite",
        why="a volume lies on one host: with one only, that host's failure is an outage. They are not replicated;"
        " the app"
        " has to do that",
    ),
    Step(
        "once",
        "Make a Postgres cluster.",
        ("fly", "mpg", "create", "--name", "{app}-db", "--region", "{region}"),
        when="postgres",
        why="managed: backups and failover are its own",
        expect="the cluster's id, CLUSTER_ID from here on",
    ),
    Step(
        "once",
        "Have the app use it.",
        ("fly", "mpg", "attach", "CLUSTER_ID", *_APP),
        when="postgres",
        expect="DATABASE_URL among the secrets; nobody needs to see its value",
    ),
    Step(
        "once",
        "Make a Redis, and set its address as REDIS_URL with the other secrets.",
        (
            "fly",
            "redis",
            "create",
            "--name",
            "{app}-redis",
            "--region",
            "{region}",
            "--no-replicas",
            "--disable-eviction",
        ),
        when="redis",
        why="without eviction, because queues and sessions must not be dropped; a mere cache takes --enable-eviction",
    ),
    Step(
        "once",
        "Make a bucket; it sets its own secrets ({storage_names}).",
        ("fly", "storage", "create", "--name", "{app}-files", *_APP),
        when="storage",
    ),
    Step("secrets", "See what is set: names and digests only.", ("fly", "secrets", "list", *_APP), when="secrets"),
    Step(
        "secrets",
        "Set what is missing. Type NAME=VALUE lines, then Ctrl-D. Names: {secret_names}.",
        ("fly", "secrets", "import", "--stage", *_APP),
        when="secrets",
        why="read from standard input, values are in no shell history and no list of processes; staged, they come"
        " with the"
        " next deployment instead of restarting everything now",
        expect="every name in: fly secrets list",
    ),
    Step("before", "Check the files.", ("fuelctl", "fly", "check", "{config}"), expect="exit code 0: no error"),
    Step(
        "before",
        "Have flyctl check them too.",
        ("fly", "config", "validate", "--strict", *_CONFIG, *_APP),
        expect="that the configuration is valid",
    ),
    Step(
        "before",
        "Note which image runs now, PREVIOUS_IMAGE from here on.",
        ("fly", "releases", "--image", *_APP),
        why="it is the way back; Fly.io has no roll-back command, an older image is deployed again",
        expect="the newest line whose status is complete",
    ),
    Step(
        "before", "See that all is well.", ("fly", "status", *_APP), expect="every Machine started, its checks passing"
    ),
    Step(
        "before",
        "Back the database up.",
        ("fly", "mpg", "backup", "create", "CLUSTER_ID"),
        when="postgres !dev",
        why="a migration is not undone by going back to an older image",
        expect="the backup in: fly mpg backup list CLUSTER_ID",
    ),
    Step(
        "before",
        "Find the volumes of {source}.",
        ("fly", "volumes", "list", *_APP),
        each="mounts",
        when="!dev",
        expect="their ids, VOLUME_ID from here on",
    ),
    Step(
        "before",
        "Take a snapshot of each volume of {source}.",
        ("fly", "volumes", "snapshots", "create", "VOLUME_ID", *_APP),
        each="mounts",
        when="!dev",
        why="the daily ones may be a day old",
        expect="it in: fly volumes snapshots list VOLUME_ID",
    ),
    Step(
        "deploy",
        "Build and push, and change nothing that runs.",
        ("fly", "deploy", "--build-only", "--push", "--image-label", "{label}", *_CONFIG, *_APP),
        when="build",
        why="what fails to build is known before anything is touched, and the image has a name to come back to",
        expect="image: registry.fly.io/{app}:{label}",
    ),
    Step(
        "deploy",
        "Release it ({strategy}). First runs, in a Machine of its own: {release_command}",
        ("fly", "deploy", "{image_flag}", "--strategy", "{strategy}", "{strategy_flags}", *_CONFIG, *_APP),
        when="release_command",
        why="the release command has secrets and network but no volume; if it fails, nothing is released. Old code"
        " runs on until it is replaced: migrations must leave it working (add first, remove a release later)",
        expect="release_command completed; then every Machine in a good state. failed to get manifest: the registry is"
        " not ready yet, repeat it in a minute",
    ),
    Step(
        "deploy",
        "Release it ({strategy}).",
        ("fly", "deploy", "{image_flag}", "--strategy", "{strategy}", "{strategy_flags}", *_CONFIG, *_APP),
        when="!release_command",
        expect="every Machine in a good state. failed to get manifest: the registry is not ready yet, repeat it in a"
        " minute",
    ),
    Step("verify", "Machines.", ("fly", "status", *_APP), expect="all of one version, started"),
    Step("verify", "Health checks.", ("fly", "checks", "list", *_APP), when="checks", expect="all passing"),
    Step(
        "verify",
        "From outside.",
        ("curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "https://{app}.fly.dev{health_path}"),
        when="web",
        expect="exit code 0",
    ),
    Step("verify", "What it says.", ("fly", "logs", "--no-tail", *_APP), expect="no new error"),
    Step(
        "verify",
        "How many Machines there are.",
        ("fly", "scale", "show", *_APP),
        when="production !sqlite",
        expect="two at least, for a host may fail; else: fly scale count 2",
    ),
    Step("verify", "Which image runs.", ("fly", "releases", "--image", *_APP), expect="the newest is complete"),
    Step(
        "back",
        "Deploy the image from before.",
        (
            "fly",
            "deploy",
            "--image",
            "PREVIOUS_IMAGE",
            "--strategy",
            "{back_strategy}",
            "--skip-release-command",
            *_CONFIG,
            *_APP,
        ),
        when="release_command",
        why="without its release command: the schema is ahead of that image and stays so",
        expect="every Machine in a good state",
    ),
    Step(
        "back",
        "Deploy the image from before.",
        ("fly", "deploy", "--image", "PREVIOUS_IMAGE", "--strategy", "{back_strategy}", *_CONFIG, *_APP),
        when="!release_command",
        expect="every Machine in a good state",
    ),
    Step(
        "back",
        "If {config} changed too, give the one of that release by --config; see what is set now:",
        ("fly", "config", "show", "--toml", *_APP),
        why="an image takes neither configuration nor secrets back with it",
    ),
    Step(
        "back",
        "Blue-green was broken off: see whether new Machines were left.",
        ("fly", "machine", "list", *_APP),
        when="strategy:bluegreen",
        expect="only Machines of PREVIOUS_IMAGE; others: fly machine destroy --force MACHINE_ID",
    ),
    Step(
        "back",
        "Only when data were harmed: restore into a new cluster, then attach that one.",
        ("fly", "mpg", "restore", "CLUSTER_ID", "--backup-id", "BACKUP_ID"),
        when="postgres !dev",
        why="a restore never changes the cluster it was taken from; what was written since the backup is in the old"
        " one only",
        expect="the new cluster ready in: fly mpg list",
    ),
    Step(
        "back",
        "Only when data were harmed: make a volume {source} from the snapshot, then replace the Machine that has the"
        " bad one.",
        (
            "fly",
            "volumes",
            "create",
            "{source}",
            "--snapshot-id",
            "SNAPSHOT_ID",
            "--region",
            "{region}",
            "--size",
            "{size}",
            *_APP,
            "--yes",
        ),
        each="mounts",
        when="!dev",
    ),
    Step("back", "See that it serves.", ("fly", "status", *_APP), expect="as before the deployment"),
    Step(
        "rotate",
        "Set the new value beside the old one; type NAME=VALUE, then Ctrl-D.",
        ("fly", "secrets", "import", "--stage", *_APP),
        when="secrets",
        why="how each kind is rotated stands at its name",
    ),
    Step(
        "rotate",
        "Give it to the Machines, without a new build.",
        ("fly", "secrets", "deploy", *_APP),
        when="secrets",
        expect="fly secrets list says Deployed",
    ),
    Step("rotate", "See that all is well.", ("fly", "status", *_APP), when="secrets", expect="checks passing"),
    Step(
        "rotate",
        "Take away what nobody uses any more.",
        ("fly", "secrets", "unset", "NAME_OLD", *_APP),
        when="secrets",
        why="then revoke the old value where it was issued: what leaked stays valid until that is done",
    ),
)

#: Things to say: condition -> text.
NOTES: Tuple[Tuple[str, str], ...] = (
    ("volumes", "Volumes: bluegreen and canary are not possible, because " + NO_VOLUMES + "."),
    (
        "volumes release_command",
        "The release command runs in a Machine without volumes: a database file on a volume is migrated when the app"
        " starts, not there.",
    ),
    (
        "migration",
        'There are migrations and no release_command. Under [deploy]: release_command = "{migration}". Until then'
        " somebody has to run them.",
    ),
    ("web !checks", "There is no health check: flyctl cannot tell a release that serves from one that only runs."),
    ("production web !checks", "Add [[http_service.checks]] with a path and a grace_period before production."),
    ("sqlite", "SQLite on a volume: one Machine, and a short outage at each deployment while it is replaced."),
    ("image", "[build] names an image: nothing is built, and the way back is that line's value of before."),
    ("private", "No service is open to the internet: it is verified by its checks and logs."),
    (
        "strategy:rolling release_command",
        "While it rolls, old and new code use the same database: change a schema in two releases (add, then remove).",
    ),
    ("strategy:immediate production", "immediate in production waits for no check. It is for emergencies."),
)
