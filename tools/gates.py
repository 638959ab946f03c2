# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the gates: one line and its time for each, its log only when it fails.

    python tools/gates.py [--list] [--at-once N] [GATE or GROUP ...]    (groups: lint sanity units molecule build)

Gates run two at a time and do not depend on each other; each has a collection tree of its own to litter. pytest is none
of them: `make test` runs it beside them, which then are one at a time. Logs stay in build/logs.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from collection_tree import CHECKOUT, make_tree, tracked_files

BIN = Path(sys.executable).parent
ANSIBLE_COLLECTIONS = Path(sysconfig.get_path("purelib")) / "ansible_collections"
LOGS = CHECKOUT / "build" / "logs"
#: What ansible-core 2.19 supports on targets.
TARGET_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
#: The Python whose ansible-core runs here: it takes the complete sanity suite.
CONTROLLER_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

#: ansible-test fetches get-pip from an address of its own; where that is closed, Python's own pip serves as well.
GET_PIP_STAND_IN = """\
# Stand-in for get-pip.py: the interpreter's bundled pip, in a process of its own because it ends the interpreter.
import subprocess
import sys

sys.exit(subprocess.call([sys.executable, "-m", "ensurepip", "--upgrade", "--default-pip"]))
"""
#: What pip and ansible-test say while they prepare: in the log, but not worth a screen.
CHATTER = re.compile(
    r"\s*(WARNING: (Location|Using locale|Reviewing)|Collecting|Downloading|Installing|Successfully|Looking in"
    r"|Processing|Using cached|Requirement already|Running sanity test|See documentation|[━╸╺ ]+)"
)
GET_PIP = Path.home() / ".ansible" / "test" / "cache" / "get_pip_24_2.py"


class GateError(Exception):
    """A gate found something; its log says what."""


@dataclass
class Log:
    """Where one gate writes, and how it runs its commands."""

    path: Path

    def run(self, *argv: object, cwd: Path = CHECKOUT, **environment: str) -> None:
        """Run a command with its output in the log; GateError unless it ends with 0."""
        command = [str(each) for each in argv]
        with self.path.open("a") as stream:
            stream.write(f"$ {' '.join(command)}\n")
            stream.flush()
            done = subprocess.run(
                command,
                cwd=cwd,
                env={**base_environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise GateError(f"{Path(command[0]).name} ended with {done.returncode}")


def base_environment() -> dict[str, str]:
    """This process's environment with the venv first, and real interpreters before the shims of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    interpreters = [str(path) for path in sorted(pyenv.glob("versions/*/bin"))]
    inherited = [entry for entry in os.environ["PATH"].split(os.pathsep) if entry != str(BIN)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    return {**environment, "PATH": os.pathsep.join([str(BIN), *interpreters, *inherited])}


@contextlib.contextmanager
def collection(*, with_dependencies: bool = False) -> Iterator[tuple[Path, Path]]:
    """A collection tree for one gate: (the path for ANSIBLE_COLLECTIONS_PATH, the collection's root)."""
    with tempfile.TemporaryDirectory(prefix="fuel-code-tree-") as folder:
        root = make_tree(Path(folder))
        if with_dependencies:
            # What our collection depends on, from the `ansible` package: here it is found.
            (root.parent.parent / "amazon").symlink_to(ANSIBLE_COLLECTIONS / "amazon")
        # ansible-test asks git what belongs to the collection.
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        yield Path(folder), root


def ruff(log: Log) -> None:
    log.run(BIN / "ruff", "check", ".")
    log.run(BIN / "ruff", "format", "--check", ".")


@contextlib.contextmanager
def _typed_tree() -> Iterator[Path]:
    """Where `fuelctl/_shared` and the collection are links: mypy follows those, but no `__path__` of run time."""
    with tempfile.TemporaryDirectory(prefix="fuel-code-types-") as folder:
        tree = Path(folder)
        package = tree / "fuelctl"
        package.mkdir()
        for part in sorted((CHECKOUT / "fuelctl").iterdir()):
            if part.name not in {"_shared", "__pycache__"}:
                (package / part.name).symlink_to(part)
        (package / "_shared").symlink_to(CHECKOUT / "plugins" / "module_utils")
        (tree / "tests").symlink_to(CHECKOUT / "tests")
        namespace = tree / "ansible_collections" / "fuel_code"
        namespace.mkdir(parents=True)
        (namespace / "remote").symlink_to(CHECKOUT)
        yield tree


#: The tree's place changes from run to run, and with it mypy's cache loses packages that have no __init__.py.
TYPED_TREE_SETTINGS = ("--config-file", CHECKOUT / "pyproject.toml", "--no-incremental")


def mypy_fuelctl(log: Log) -> None:
    with _typed_tree() as tree:
        log.run(BIN / "mypy", "--strict", *TYPED_TREE_SETTINGS, "fuelctl", cwd=tree)


def mypy_tests(log: Log) -> None:
    """Silent about what the tests import: the other gates look at ours, and nobody here at the libraries'."""
    settings = (*TYPED_TREE_SETTINGS, "--explicit-package-bases", "--follow-imports", "silent")
    with _typed_tree() as tree:
        log.run(BIN / "mypy", *settings, "tests", cwd=tree, MYPYPATH=str(CHECKOUT / "tests" / "lab"))


def mypy_module_utils(log: Log) -> None:
    log.run(BIN / "mypy", "--strict", "--explicit-package-bases", "plugins/module_utils")


def mypy_tools(log: Log) -> None:
    log.run(BIN / "mypy", "--strict", "tools", "tests/lab/base_image.py", MYPYPATH="tests/lab")


def yamllint(log: Log) -> None:
    log.run(BIN / "yamllint", "--strict", ".")


def shellcheck(log: Log) -> None:
    # A template is no shell yet.
    names = [name for name in tracked_files() if name.suffix != ".j2"]
    scripts = [name for name in names if (CHECKOUT / name).is_file() and _is_shell(CHECKOUT / name)]
    log.run(BIN / "shellcheck", *scripts)


def _is_shell(path: Path) -> bool:
    with path.open("rb") as stream:
        return re.match(rb"#!\s*/(usr/)?bin/(env )?(ba|da)?sh\b", stream.readline()) is not None


def changelog(log: Log) -> None:
    log.run(BIN / "antsibull-changelog", "lint")


def collection_docs(log: Log) -> None:
    with collection(with_dependencies=True) as (path, root):
        log.run(
            BIN / "antsibull-docs",
            "lint-collection-docs",
            "--plugin-docs",
            "--validate-collection-refs=all",
            "--skip-rstcheck",
            ".",
            cwd=root,
            ANSIBLE_COLLECTIONS_PATH=str(path),
            # All means ours and what it depends on, not the hundred of the `ansible` package.
            ANSIBLE_COLLECTIONS_SCAN_SYS_PATH="false",
        )


def reference_pages(log: Log) -> None:
    log.run(sys.executable, "tools/docs.py", "--check")


def ansible_lint(log: Log) -> None:
    with collection() as (path, root):
        # An older copy of the collection in the user's own folder would be found before the tree.
        own = {"ANSIBLE_COLLECTIONS_PATH": str(path), "ANSIBLE_HOME": str(path / "home")}
        log.run(BIN / "ansible-lint", "--offline", cwd=root, **own)


def sanity(log: Log) -> None:
    """Everything under the controller's Python; syntax and imports under each Python of targets that is installed."""
    _provide_get_pip()
    command = (BIN / "ansible-test", "sanity", "--local", "--color", "no")
    with collection(with_dependencies=True) as (_path, root):
        failures = []
        try:
            log.run(*command, "--python", CONTROLLER_PYTHON, cwd=root)
        except GateError:
            failures.append(CONTROLLER_PYTHON)
        for version in TARGET_PYTHONS:
            if version != CONTROLLER_PYTHON and _has_python(version):
                try:
                    log.run(*command, "--test", "compile", "--test", "import", "--python", version, cwd=root)
                except GateError:
                    failures.append(version)
        if failures:
            raise GateError(f"not with Python {', '.join(failures)}")


def _has_python(version: str) -> bool:
    python = shutil.which(f"python{version}", path=base_environment()["PATH"])
    if python is None:
        return False
    return subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode == 0


def _provide_get_pip() -> None:
    if not GET_PIP.exists():
        GET_PIP.parent.mkdir(parents=True, exist_ok=True)
        GET_PIP.write_text(GET_PIP_STAND_IN)


def units(log: Log) -> None:
    """The unit tests as ansible-test runs them: its own importer, its own environment."""
    _provide_get_pip()
    with collection(with_dependencies=True) as (_path, root):
        log.run(BIN / "ansible-test", "units", "--venv", "--color", "no", "--python", CONTROLLER_PYTHON, cwd=root)


def molecule(log: Log) -> None:
    with collection() as (path, root):
        log.run(
            BIN / "molecule",
            "-c",
            "tests/molecule/config.yml",
            "test",
            "--all",
            cwd=root,
            NO_COLOR="1",
            MOLECULE_GLOB="tests/molecule/*/molecule.yml",
            # What an interrupted run believed of its containers must not be believed by this one.
            ANSIBLE_HOME=str(path / "home"),
            ANSIBLE_COLLECTIONS_PATH=str(path),
        )


def galaxy(log: Log) -> None:
    """Build the collection and have Galaxy's own importer look at it, in a venv of its own (it pins attrs)."""
    dist = CHECKOUT / "build" / "dist"
    dist.mkdir(parents=True, exist_ok=True)
    importer = CHECKOUT / "build" / "galaxy-importer"
    with collection() as (path, root):
        log.run(BIN / "ansible-galaxy", "collection", "build", "--force", "--output-path", dist, cwd=root)
        archive = next(dist.glob("fuel_code-remote-*.tar.gz"))
        if not (importer / ".complete").exists():
            log.run(sys.executable, "-m", "venv", "--clear", importer)
            log.run(importer / "bin" / "python", "-m", "pip", "install", "-qq", "galaxy-importer>=0.4.31")
            # The doc fragments that ec2_machine extends, where ansible-doc looks by itself.
            site = next((importer / "lib").glob("python*/site-packages"))
            (site / "ansible_collections").symlink_to(ANSIBLE_COLLECTIONS)
            (importer / ".complete").touch()
        search = os.pathsep.join([str(importer / "bin"), base_environment()["PATH"]])
        # Linting it here, where what it depends on is not found, would say less than the gate that does.
        quick = {"PATH": search, "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false"}
        log.run(importer / "bin" / "python", "-m", "galaxy_importer.main", archive, cwd=path, **quick)
    if "ERROR" in log.path.read_text():
        raise GateError("galaxy-importer reported errors")


def wheel(log: Log) -> None:
    """Build the wheel, install it into a fresh venv outside the checkout, and use it there."""
    dist = CHECKOUT / "build" / "dist"
    for old in dist.glob("fuelctl-*"):
        old.unlink()
    log.run(BIN / "python", "-m", "build", "--wheel", "--outdir", dist)
    built = next(dist.glob("fuelctl-*.whl"))
    with tempfile.TemporaryDirectory(prefix="fuel-code-wheel-") as folder:
        venv = Path(folder) / "venv"
        python = venv / "bin" / "python"
        log.run(sys.executable, "-m", "venv", venv)
        log.run(python, "-m", "pip", "install", "-qq", "--no-compile", built)
        log.run(python, CHECKOUT / "tools" / "smoke_wheel.py", cwd=Path(folder), FUELCTL_HOME=f"{folder}/home")


@dataclass(frozen=True)
class Gate:
    name: str
    group: str
    check: Callable[[Log], None]


#: The long ones first, so that the short ones fill the other lane.
GATES = (
    Gate("ansible-test sanity", "sanity", sanity),
    Gate("molecule", "molecule", molecule),
    Gate("wheel", "build", wheel),
    Gate("collection and galaxy-importer", "build", galaxy),
    Gate("ansible-test units", "units", units),
    Gate("ansible-lint", "lint", ansible_lint),
    Gate("mypy-fuelctl", "lint", mypy_fuelctl),
    Gate("mypy-module-utils", "lint", mypy_module_utils),
    Gate("mypy-tests", "lint", mypy_tests),
    Gate("mypy-tools", "lint", mypy_tools),
    Gate("antsibull-docs", "lint", collection_docs),
    Gate("reference pages", "lint", reference_pages),
    Gate("antsibull-changelog", "lint", changelog),
    Gate("ruff", "lint", ruff),
    Gate("yamllint", "lint", yamllint),
    Gate("shellcheck", "lint", shellcheck),
)


def run_gate(gate: Gate) -> bool:
    log = Log(LOGS / f"{gate.name.replace(' ', '-')}.log")
    log.path.unlink(missing_ok=True)
    started = time.monotonic()
    try:
        gate.check(log)
        failure = None
    except (GateError, OSError, StopIteration, subprocess.SubprocessError) as error:
        failure = str(error) or type(error).__name__
    seconds = time.monotonic() - started
    report = f"{'FAILED' if failure else 'passed'}  {gate.name:<32} {seconds:6.1f} s"
    if failure:
        lines = log.path.read_text().splitlines() if log.path.exists() else []
        told = "\n".join(line for line in lines if not CHATTER.match(line))
        report += f"  {failure}\n--- {log.path}\n{told}\n---"
    print(report, flush=True)
    return failure is None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the gates and their groups")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="so many at a time (default: 2)")
    parser.add_argument("wanted", nargs="*", metavar="GATE or GROUP")
    options = parser.parse_args()
    known = {name for gate in GATES for name in (gate.name, gate.group)}
    if unknown := sorted(set(options.wanted) - known):
        parser.error(f"no such gate: {', '.join(unknown)} (known: {', '.join(sorted(known))})")
    chosen = [gate for gate in GATES if not options.wanted or {gate.name, gate.group} & set(options.wanted)]
    if options.list:
        for gate in chosen:
            print(f"{gate.group:<10} {gate.name}")
        return 0
    LOGS.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        results = list(pool.map(run_gate, chosen))
    print(f"gates: {sum(results)} passed, {len(results) - sum(results)} failed", flush=True)
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
