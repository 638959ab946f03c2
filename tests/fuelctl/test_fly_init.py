# SPDX-License-Identifier: GPL-3.0-or-later
"""`fuelctl fly init`: every kind of project against its golden files, what the check says, how they are kept."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from importlib.resources import files as files_of
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner, Result

from fuelctl._shared._errors import UsageError
from fuelctl._shared._fly_app import resources
from fuelctl._shared._fly_app.checking import check
from fuelctl._shared._fly_app.planning import Options, plan
from fuelctl._shared._fly_app.rendering import render
from fuelctl.cli import _hadolint
from fuelctl.cli._app import app
from tests.fuelctl.fly_archive import contents, pack, unpack

Sample = Callable[[str], Path]

HERE = Path(__file__).parent
SAMPLES = sorted(path.stem for path in (HERE / "fly_samples").glob("*.txt"))
#: FLY_GOLDEN=write makes the golden files anew, to be read over before they are committed.
WRITE = os.environ.get("FLY_GOLDEN") == "write"
OPTIONS = Options(environments=("staging", "production"), ci="github", regions=("fra", "iad"))


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        unpack(HERE / "fly_samples" / f"{name}.txt", folder)
        return folder

    return make


def fuelctl(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["fly", "init", *arguments])


@pytest.mark.parametrize("name", SAMPLES)
def test_files_are_the_golden_ones(name: str, sample: Sample) -> None:
    planned = plan(str(sample(name)), OPTIONS)
    files = {path: text for path, text in render(planned).items() if path not in (".dockerignore", "fly.staging.toml")}
    golden = HERE / "fly_golden" / f"{name}.txt"
    if WRITE:
        golden.write_text(pack(files))
    assert files == contents(golden)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_check_and_hadolint_have_nothing_to_say(name: str, sample: Sample) -> None:
    folder = sample(name)
    assert fuelctl(str(folder), "--yes", "--region", "fra", "-e", "staging", "-e", "production").exit_code == 0
    program = _hadolint.program()
    assert program, "the extra `dev` brings hadolint"
    assert check(str(folder), [partial(_hadolint.lint, program)]).findings == []
    validator = jsonschema.Draft202012Validator(resources.schema())
    for file in ("fly.toml", "fly.staging.toml"):
        assert list(validator.iter_errors(tomllib.loads((folder / file).read_text()))) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_a_repeat_changes_nothing(name: str, sample: Sample) -> None:
    folder = sample(name)
    assert fuelctl(str(folder), "--yes", "--region", "fra", "-e", "dev").exit_code == 0
    fuelctl(str(folder), "--yes")
    before = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    done = fuelctl(str(folder), "--json", "--yes")
    assert {file["state"] for file in json.loads(done.stdout)["files"]} == {"same"}
    assert {path: path.read_text() for path in folder.rglob("*") if path.is_file()} == before


def test_every_decision_names_a_line_that_is_there(sample: Sample) -> None:
    for name in SAMPLES:
        folder = sample(name)
        for decision in plan(str(folder), OPTIONS).decisions:
            file, _colon, line = decision.source.rpartition(":")
            if line.isdigit():
                text = (folder / file).read_text() if (folder / file).is_file() else "\n"
                assert 1 <= int(line) <= text.count("\n") + 1, decision


@pytest.mark.parametrize(
    ("ci", "file", "schema"),
    [
        ("github", ".github/workflows/fly.yml", "github-workflows"),
        ("gitlab", ".gitlab-ci.yml", "gitlab-ci"),
        ("circleci", ".circleci/config.yml", "circle-ci"),
    ],
)
def test_workflows_fit_the_schemas_of_their_hosts(ci: str, file: str, schema: str, sample: Sample) -> None:
    files = render(plan(str(sample("express")), OPTIONS._replace(ci=ci)))
    place = files_of("check_jsonschema") / "builtin_schemas" / "vendor" / f"{schema}.json"
    workflow = yaml.safe_load(files[file].replace("\non:", '\n"on":'))
    rules = json.loads(place.read_text())
    jsonschema.validators.validator_for(rules)(rules).validate(workflow)
    text = files[file]
    assert text.index("--config fly.staging.toml" if ci != "circleci" else "fly.staging.toml") < text.rindex("fly.toml")
    assert "FLY_API_TOKEN" in text


def test_an_edited_file_is_kept_until_force(sample: Sample) -> None:
    folder = sample("express")
    fuelctl(str(folder), "--yes", "--region", "fra")
    edited = (folder / "Dockerfile").read_text() + "# mine\n"
    (folder / "Dockerfile").write_text(edited)
    (folder / "fly.toml").write_text('app = "taken"\nprimary_region = "ams"\n')
    done = fuelctl(str(folder), "--yes")
    assert (folder / "Dockerfile").read_text() == edited
    assert "-# mine" in done.stderr
    assert "kept" in done.stderr
    assert fuelctl(str(folder), "--force").exit_code == 0
    assert "# mine" not in (folder / "Dockerfile").read_text()
    made = tomllib.loads((folder / "fly.toml").read_text())
    assert (made["app"], made["primary_region"]) == ("taken", "ams")


def test_what_was_left_alone_is_updated(sample: Sample) -> None:
    folder = sample("express")
    fuelctl(str(folder), "--yes", "--region", "fra")
    (folder / "server.js").write_text((folder / "server.js").read_text().replace("3000", "4000"))
    document = json.loads(fuelctl(str(folder), "--json").stdout)
    assert {file["path"]: file["state"] for file in document["files"]}["fly.toml"] == "changed"
    assert not any(file["written"] for file in document["files"])
    fuelctl(str(folder), "--yes")
    assert tomllib.loads((folder / "fly.toml").read_text())["http_service"]["internal_port"] == 4000


def test_nobody_to_ask_and_nothing_written(sample: Sample) -> None:
    folder = sample("static")
    for arguments in ([], ["--dry-run"], ["--json"]):
        assert fuelctl(str(folder), *arguments).exit_code == 0
        assert not (folder / "fly.toml").exists()
    assert "+FROM" in fuelctl(str(folder), "--dry-run").stderr


def test_a_link_is_not_written_through(sample: Sample, tmp_path: Path) -> None:
    folder = sample("static")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / ".fly").symlink_to(elsewhere)
    done = fuelctl(str(folder), "--yes", "--region", "fra")
    assert done.exit_code != 0
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["--ci", "jenkins"], ["-e", "prod"], ["--region", "frankfurt"], ["--dry-run", "--yes"], ["--region", 'f"a']],
)
def test_wrong_usage(arguments: list[str], sample: Sample) -> None:
    done = fuelctl(str(sample("static")), *arguments)
    assert isinstance(done.exception, UsageError)


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("Cargo.toml", '[package]\nname = "x"\nversion = "1.0.0"\n', "rust"),
        ("composer.json", '{"require": {"laravel/framework": "^11"}}', "php laravel"),
        ("pom.xml", "<project><artifactId>a</artifactId></project>", "java"),
        ("shop.csproj", '<Project Sdk="Microsoft.NET.Sdk.Web"></Project>', "dotnet aspnet"),
        ("Gemfile", 'source "https://rubygems.org"\ngem "sinatra"\n', "ruby sinatra"),
        ("mix.exs", "defmodule A.MixProject do\n  def project, do: [app: :a]\nend\n", "elixir"),
        ("Package.swift", "// swift-tools-version:5.9\nimport PackageDescription\n", "swift"),
    ],
)
@pytest.mark.parametrize("dockerfile", [False, True])
def test_what_no_template_fits(file: str, text: str, found: str, dockerfile: bool, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text)
    if dockerfile:
        (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(UsageError, match=rf"no template fits: found {found}\. ") as caught:
        plan(str(tmp_path), Options())
    assert ("its Dockerfile" in caught.value.hint) == dockerfile
    assert list(tmp_path.glob("fly*")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "it is not JSON"), ('{"name": }', "it is not JSON"), ('{"a": "' + "y" * 600_000 + '"}', "are too many")],
    ids=["empty", "broken", "huge"],
)
def test_a_manifest_that_cannot_be_read_is_no_guess(text: str, said: str, sample: Sample) -> None:
    folder = sample("express")
    (folder / "package.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        plan(str(folder), Options())


def test_files_from_windows_say_the_same(sample: Sample) -> None:
    folder = sample("processes")
    before = render(plan(str(folder), OPTIONS))
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert render(plan(str(folder), OPTIONS)) == before


def test_nothing_to_deploy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no program that is known was found"):
        plan(str(tmp_path), Options())


@pytest.mark.parametrize(
    ("hosts", "asked"),
    [
        ('[".fly.dev"]', "django.fly.dev"),
        ('["django.fly.dev", "shop.example"]', "django.fly.dev"),
        ('["shop.example"]', "shop.example"),
        ('[".shop.example"]', "shop.example"),
        ('["*"]', ""),
        ('os.environ["HOSTS"].split(",")', "django.fly.dev"),
    ],
)
def test_the_check_asks_for_a_host_that_is_answered(hosts: str, asked: str, sample: Sample) -> None:
    folder = sample("django")
    settings = folder / "shop" / "settings.py"
    settings.write_text(settings.read_text() + f"ALLOWED_HOSTS = {hosts}\n")
    made = tomllib.loads(render(plan(str(folder), OPTIONS))["fly.toml"])
    assert made["http_service"]["checks"][0]["headers"].get("Host", "") == asked


@pytest.mark.parametrize(
    ("manifest", "lock", "yarn"),
    [
        ({}, "__metadata:\n  version: 8\n  cacheKey: 10c0\n", "4.9.2"),
        ({}, "__metadata:\n  version: 6\n", "3.8.7"),
        ({}, "__metadata:\n  version: 10\n", "4"),
        ({"packageManager": "yarn@4.5.3"}, "__metadata:\n  version: 8\n", "4.5.3"),
        ({}, "# yarn lockfile v1\n", ""),
    ],
)
def test_a_yarn_that_leaves_the_lockfile_as_it_is(
    manifest: dict[str, str], lock: str, yarn: str, sample: Sample
) -> None:
    folder = sample("express")
    (folder / "package-lock.json").unlink(missing_ok=True)
    package = json.loads((folder / "package.json").read_text())
    package.pop("packageManager", None)
    (folder / "package.json").write_text(json.dumps({**package, **manifest}))
    (folder / "yarn.lock").write_text(lock)
    dockerfile = render(plan(str(folder), OPTIONS))["Dockerfile"]
    assert (f"corepack prepare yarn@{yarn} --activate" in dockerfile) == bool(yarn)
    assert ("yarn install --frozen-lockfile" in dockerfile) != bool(yarn)


@pytest.mark.parametrize(("prepare", "left_out"), [("husky", True), ("", False)])
def test_what_prepares_for_development_is_left_out(prepare: str, left_out: bool, sample: Sample) -> None:
    folder = sample("processes")
    package = json.loads((folder / "package.json").read_text())
    package["scripts"]["prepare"] = prepare
    (folder / "package.json").write_text(json.dumps(package))
    dockerfile = render(plan(str(folder), OPTIONS))["Dockerfile"]
    assert ("RUN npm pkg delete scripts.prepare && npm ci --omit=dev" in dockerfile) == left_out


def test_an_application_in_a_folder_is_named(tmp_path: Path) -> None:
    unpack(HERE / "fly_samples" / "express.txt", tmp_path / "backend")
    with pytest.raises(UsageError, match="the application is in backend/"):
        plan(str(tmp_path), Options())


def test_hostile_names_stay_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / 'shop"\n[env]\nX = "'
    folder.mkdir()
    unpack(HERE / "fly_samples" / "flask.txt", folder)
    (folder / 'requirements.txt\nRUN touch "owned".txt').write_text("")
    (folder / "Procfile").write_text('web: gunicorn app:app "$(touch owned)" \'\\n\'\nworker: python x.py """\n')
    (folder / 'z\n[env]\nOWNED = "1"\n.py').write_text('print("/healthz")\n')
    (folder / "app.py").unlink()
    files = render(plan(str(folder), Options(ci="github")))
    made = tomllib.loads(files["fly.toml"])
    assert "OWNED" not in made["env"]
    assert made["app"] == "shop-env-x"
    keywords = {line.split(" ", 1)[0] for line in files["Dockerfile"].splitlines() if line and line[0].isupper()}
    assert keywords <= {
        "ARG",
        "FROM",
        "WORKDIR",
        "ENV",
        "RUN",
        "COPY",
        "EXPOSE",
        "USER",
        "ENTRYPOINT",
        "HEALTHCHECK",
        "CMD",
    }
    assert "owned" not in "".join(line for line in files["Dockerfile"].splitlines() if line.startswith(("RUN", "COPY")))


def test_a_folder_is_a_framework(tmp_path: Path, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adding one is adding a folder: nothing else knows its name."""
    import shutil

    templates = tmp_path / "package" / "templates"
    shutil.copytree(resources.TEMPLATES, templates)
    shutil.copytree(Path(resources.FOLDER), tmp_path / "package", dirs_exist_ok=True)
    koa = templates / "koa"
    shutil.copytree(templates / "express", koa)
    meta = (koa / "meta.yml").read_text()
    (koa / "meta.yml").write_text(meta.replace("order: 60", "order: 1").replace("memory: 512mb", "memory: 2gb"))
    monkeypatch.setattr(resources, "FOLDER", str(tmp_path / "package"))
    monkeypatch.setattr(resources, "TEMPLATES", str(templates))
    monkeypatch.setattr(resources, "_CACHE", {})
    planned = plan(str(sample("express")), Options())
    assert planned.framework.name == "koa"
    assert planned.context["vm"]["memory"] == "2gb"


def test_it_takes_less_than_a_second(sample: Sample) -> None:
    folder = sample("django")
    command = [sys.executable, "-m", "fuelctl", "fly", "init", str(folder), "--dry-run"]
    subprocess.run(command, check=True, capture_output=True)
    times = []
    for _round in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # What it costs a processor: how long it waits for one is not its own.
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(times) < 1.0
