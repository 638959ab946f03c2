# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of deployments: every command is one that flyctl has, and what is not possible is refused with its reason."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._blueprint.tree import Tree
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._fly_app.secret_words import named, private
from ansible_collections.fuel_code.remote.plugins.module_utils._fly_plan import ENVIRONMENTS, STRATEGIES, plan
from ansible_collections.fuel_code.remote.plugins.module_utils._fly_plan._commands import problems
from ansible_collections.fuel_code.remote.plugins.module_utils._fly_plan._facts import Facts, Mount
from ansible_collections.fuel_code.remote.plugins.module_utils._fly_plan._names import names
from ansible_collections.fuel_code.remote.plugins.module_utils._fly_plan._plan import holds, make
from ansible_collections.fuel_code.remote.plugins.module_utils._fly_plan.data_plan import NOTES, PHASES, STEPS

FLAGS = (
    "volumes", "checks", "machine_checks", "release_command", "image", "secrets", "postgres", "redis", "storage", "web",
    "migration", "sqlite",
)  # fmt: skip


def facts(environment, chosen):
    flags = {environment, *chosen}
    flags |= set() if "image" in chosen else {"build"}
    flags |= set() if "web" in chosen else {"private"}
    mounts = (Mount("data", "/data", 3),) if "volumes" in chosen else ()
    return Facts("shop", "fly.toml", environment, "fra", frozenset(flags), mounts, release_command="migrate")


def every_kind():
    """Up to three of the flags, and all but up to three: whatever two rules can disagree about is in there."""
    few = [chosen for count in range(4) for chosen in itertools.combinations(FLAGS, count)]
    for environment in ENVIRONMENTS:
        for chosen in few:
            yield facts(environment, chosen)
            yield facts(environment, set(FLAGS) - set(chosen))


def project(tmp_path, toml='app = "shop"\nprimary_region = "fra"\n', **files):
    (tmp_path / "fly.toml").write_text(toml)
    for name, text in files.items():
        (tmp_path / name.replace("__", ".")).write_text(text)
    return str(tmp_path)


def commands(made, phase=None):
    return [" ".join(line.command) for line in made.lines if phase in (None, line.phase)]


def test_every_command_of_every_kind_of_project_is_one_that_flyctl_has():
    seen = set()
    for kind in every_kind():
        for line in make(kind).lines:
            seen.add(line.command)
            assert not any("{" in word for word in line.command), line
            assert "{" not in line.text + line.why + line.expect, line
    wrong = {command: problems(command) for command in seen if command[0] == "fly" and problems(command)}
    assert wrong == {}
    assert {command[0] for command in seen} == {"fly", "curl", "fuelctl"}


def test_every_step_and_every_note_comes_up_somewhere():
    kinds = [(kind, make(kind)) for kind in every_kind()]
    flags = [kind.flags | {f"strategy:{made.strategy}"} for kind, made in kinds]
    flags += [kind.flags | {"strategy:immediate"} for kind, _made in kinds]
    assert [step.text for step in STEPS if not any(holds(step.when, one) for one in flags)] == []
    assert [text for when, text in NOTES if not any(holds(when, one) for one in flags)] == []
    assert {step.phase for step in STEPS} == set(PHASES)


def test_what_is_chosen_is_always_possible():
    for kind in every_kind():
        made = make(kind)
        assert made.strategy not in made.impossible
        assert "rolling" not in made.impossible
        assert "immediate" not in made.impossible


@pytest.mark.parametrize("strategy", ["bluegreen", "canary"])
@pytest.mark.parametrize("asked", [True, False])
def test_volumes_refuse_what_starts_a_machine_beside_the_old_one(tmp_path, strategy, asked):
    toml = 'app = "shop"\n[mounts]\nsource = "data"\ndestination = "/data"\n'
    folder = project(tmp_path, toml if asked else f'{toml}[deploy]\nstrategy = "{strategy}"\n')
    with pytest.raises(UsageError) as caught:
        plan(folder, strategy=strategy if asked else None)
    assert "attached to one Machine only" in caught.value.message
    assert caught.value.where == ("--strategy" if asked else "fly.toml")
    assert caught.value.hint == "use rolling or immediate"


def test_bluegreen_needs_a_check(tmp_path):
    with pytest.raises(UsageError, match="health check"):
        plan(project(tmp_path), strategy="bluegreen")
    folder = project(
        tmp_path, 'app = "shop"\n[http_service]\ninternal_port = 80\n[[http_service.checks]]\npath = "/up"\n'
    )
    (made,) = plan(folder)
    assert made.strategy == "bluegreen"
    assert "https://shop.fly.dev/up" in commands(made, "verify")[2]


def test_the_way_back_leaves_out_the_release_command_and_names_the_image(tmp_path):
    (made,) = plan(project(tmp_path, 'app = "shop"\n[deploy]\nrelease_command = "migrate"\n'), label="v1")
    assert "--image registry.fly.io/shop:v1" in commands(made, "deploy")[1]
    assert "--skip-release-command" in commands(made, "back")[0]
    assert "--image PREVIOUS_IMAGE" in commands(made, "back")[0]
    (bare,) = plan(project(tmp_path, 'app = "shop"\n[build]\nimage = "nginx:1.27"\n'))
    assert "--image" not in commands(bare, "deploy")[0]


def test_secrets_are_found_by_name_and_no_value_is_ever_told(tmp_path):
    value = "canary" + "-" + "value"
    folder = project(
        tmp_path,
        f'app = "shop"\n[env]\nSTRIPE_SECRET_KEY = "{value}"\nLOG_LEVEL = "info"\n',
        __env__example=f"# names\nDATABASE_URL=postgres://u:{value}@h/d\nexport SECRET_KEY_BASE={value}\nTZ=UTC\n",
        __env=f"ONLY_IN_DOTENV_TOKEN={value}\n",
        app__js=f'fetch(process.env.MAIL_API_KEY); key = "{value}"; process.env.VITE_TOKEN',
        app__py='os.environ["SENTRY_DSN"]; os.getenv("WORKERS"); os.environ.get("FLY_REGION")',
        main__go='os.LookupEnv("GO_TOKEN")',
        config__exs='System.fetch_env!("RELEASE_COOKIE")',
        app__rb='ENV.fetch("RAILS_MASTER_KEY")',
    )
    (made,) = plan(folder)
    document = made.as_dict()
    assert [each["name"] for each in document["secrets"]] == [
        "DATABASE_URL", "GO_TOKEN", "MAIL_API_KEY", "RAILS_MASTER_KEY", "RELEASE_COOKIE", "SECRET_KEY_BASE",
        "SENTRY_DSN",
    ]  # fmt: skip
    assert document["exposed"] == ["STRIPE_SECRET_KEY"]
    assert {each["name"] for each in document["settings"]} == {"TZ", "VITE_TOKEN", "WORKERS"}
    assert document["secrets"][0]["sources"] == [".env.example:2"]
    assert document["secrets"][0]["rotation"]["kind"] == "database address"
    assert value not in repr(document)
    assert "ONLY_IN_DOTENV_TOKEN" not in repr(document)
    # Attached by Fly.io, so nobody is asked for it.
    asked = next(line for line in made.lines if "import" in line.command)
    assert "SECRET_KEY_BASE" in asked.text
    assert "DATABASE_URL" not in asked.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DATABASE_URL", True), ("API_KEY", True), ("JWT_SECRET", True), ("GITHUB_TOKEN", True), ("PGPASSWORD", True),
        ("SMTP_URL", True), ("TOKEN_TTL", False), ("NEXT_PUBLIC_API_KEY", False), ("STRIPE_PUBLISHABLE_KEY", False),
        ("LOG_LEVEL", False), ("PUBLIC_URL", False), ("AWS_ACCESS_KEY_ID", False), ("AWS_SECRET_ACCESS_KEY", True),
    ],
)  # fmt: skip
def test_what_a_name_says(name, expected):
    assert private(name) is expected
    assert expected or not named(name)


def test_an_address_without_a_password_in_env_is_no_secret(tmp_path):
    folder = project(
        tmp_path, 'app = "shop"\n[env]\nDATABASE_URL = "sqlite:////data/app.db"\n', __env__example="DATABASE_URL=\n"
    )
    (made,) = plan(folder)
    assert made.as_dict()["exposed"] == []
    assert made.as_dict()["secrets"] == []
    assert not any("mpg" in command for command in commands(made))


def test_sqlite_has_one_volume_and_one_machine(tmp_path):
    toml = 'app = "shop"\n[env]\nDATABASE_PATH = "/data/app.db"\n[mounts]\nsource = "data"\ndestination = "/data"\n'
    (made,) = plan(project(tmp_path, toml))
    volumes = [command for command in commands(made, "once") if "volumes create" in command]
    assert len(volumes) == 1
    assert "--count" not in volumes[0]
    assert not any("scale" in command for command in commands(made))


def test_what_init_lists_in_the_file_is_known(tmp_path):
    toml = 'app = "shop"\n# Secrets that it needs:\n#   DATABASE_URL (package.json:1)\n#   RAILS_MASTER_KEY\n# A NOTE\n'
    (made,) = plan(project(tmp_path, toml))
    assert [each["name"] for each in made.as_dict()["secrets"]] == ["DATABASE_URL", "RAILS_MASTER_KEY"]
    assert made.as_dict()["secrets"][0]["sources"] == ["fly.toml:3"]
    assert any("fly mpg attach" in command for command in commands(made))


def test_environments_by_their_files(tmp_path):
    folder = project(tmp_path, fly__staging__toml='app = "shop-staging"\n')
    assert [(made.facts.environment, made.facts.app) for made in plan(folder)] == [
        ("staging", "shop-staging"),
        ("production", "shop"),
    ]
    (dev,) = plan(folder, environment="dev")
    assert (dev.facts.app, dev.facts.config, dev.strategy) == ("shop-dev", "fly.toml", "immediate")
    assert any("no file of its own" in note for note in dev.notes)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('app = "--rm"\n', "not usable"),
        ('app = "a b"\n', "not usable"),
        ("app = 3\n", "not usable"),
        ('primary_region = "; rm -rf"\n', "not usable"),
        ('[mounts]\nsource = "$(id)"\ndestination = "/"\n', "no volume's name"),
        ("app = \n", "not TOML"),
        ("", "empty"),
    ],
)
def test_what_is_hostile_or_broken_is_refused(tmp_path, toml, message):
    with pytest.raises(FuelError, match=message):
        plan(project(tmp_path, toml))


def test_no_file_and_wrong_words(tmp_path):
    with pytest.raises(FuelError, match=r"no fly\.toml"):
        plan(str(tmp_path))
    folder = project(tmp_path)
    for wrong in ({"strategy": "yolo"}, {"environment": "moon"}, {"label": "a b"}):
        with pytest.raises(UsageError):
            plan(folder, **wrong)


def test_a_migration_without_a_release_command_is_told(tmp_path):
    (made,) = plan(project(tmp_path, manage__py=""))
    assert any("python manage.py migrate --noinput" in note for note in made.notes)


def test_text_of_the_project_is_filled_in_once(tmp_path):
    (made,) = plan(project(tmp_path, 'app = "shop"\n[deploy]\nrelease_command = "echo {app} {label}"\n'))
    assert any("echo {app} {label}" in line.text for line in made.lines)


def test_the_list_of_commands_refuses_what_is_not_in_it():
    assert problems(["fly", "releases", "rollback"]) == ["fly releases does not take 'rollback'"]
    assert problems(["fly", "rollback"]) == ["flyctl has no command 'rollback'"]
    assert problems(["fly", "deploy", "--force"]) == ["fly deploy has no flag --force"]
    assert problems(["fly", "deploy", "--strategy"]) == ["fly deploy --strategy wants a value"]
    assert problems(["fly", "deploy", "--strategy=canary", "-a", "shop", "--", "--anything"]) == []
    assert problems(["kubectl", "get"]) == ["no flyctl command: kubectl get"]
    assert set(STRATEGIES) == {"rolling", "canary", "bluegreen", "immediate"}


def test_names_are_bounded_and_stay_inside(tmp_path):
    inside = tmp_path / "app"
    (inside / "node_modules").mkdir(parents=True)
    (inside / "node_modules" / "x.js").write_text("process.env.OTHER_TOKEN")
    (tmp_path / "outside.js").write_text("process.env.OUTSIDE_TOKEN")
    (inside / "link.js").symlink_to("../outside.js")
    (inside / "own.js").write_text("process.env.OWN_TOKEN")
    assert [name.name for name in names(Tree(str(inside)), {}, "fly.toml")] == ["OWN_TOKEN"]
