# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Bring an environment's container up: what is there is checked and kept, what is missing or half-made is made."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .. import _watchdog
from .._docker import Docker
from .._errors import FuelError, UsageError
from .._progress import Progress
from ._container import (
    Observed,
    Port,
    choose_ports,
    create_args,
    label_args,
    label_of,
    observe,
    published,
    service_args,
)
from ._image import DerivedImage, ensure_derived, ensure_pulled, find_image
from ._lock import only_one
from ._login import Login, image_environment_of, prepare
from ._recipe import LABEL_BASE
from ._spec import AGENTS_VOLUME, LABEL_HOME, LABEL_ROLE, LABEL_SPEC, LABEL_USER, Service, Spec


@dataclass
class Outcome:
    """What `present` found and did."""

    changed: bool = False
    environment: Dict[str, Any] = field(default_factory=dict)
    resources: List[Dict[str, str]] = field(default_factory=list)
    before: Dict[str, Any] = field(default_factory=dict)
    after: Dict[str, Any] = field(default_factory=dict)


def present(docker: Docker, spec: Spec, progress: Progress, *, check: bool = False) -> Outcome:
    """Make the environment's container be there as `spec` says; with `check` only say what would change."""
    with only_one(f"environment-{spec.environment_id}"):
        return _present(docker, spec, progress, check=check)


def _present(docker: Docker, spec: Spec, progress: Progress, *, check: bool) -> Outcome:
    outcome = Outcome()
    with progress.step("engine"):
        observed = observe(docker, spec)
    outcome.before = _picture(observed)
    if check:
        return _foresee(docker, spec, observed, outcome)
    _check_lease(spec, observed)
    if _is_as_specified(spec, observed):
        login = _refresh(docker, spec, observed, progress, outcome)
    else:
        login, observed = _build_up(docker, spec, observed, progress)
        outcome.changed = True
    _describe(spec, observed, login, outcome)
    return outcome


def _is_as_specified(spec: Spec, observed: Observed) -> bool:
    services = all(
        label_of(observed.services.get(spec.names.service(service.name)), LABEL_SPEC)
        == spec.service_fingerprint(service)
        for service in spec.services
    )
    return (
        services
        and observed.watchdog is not None
        and observed.image_tag is not None
        and observed.container is not None
        and label_of(observed.container, LABEL_SPEC) == spec.fingerprint()
        and spec.names.network in (observed.container.get("NetworkSettings") or {}).get("Networks", {})
    )


def _check_lease(spec: Spec, observed: Observed) -> None:
    if spec.expires_at is not None and spec.expires_at <= time.time() and observed.container is None:
        raise UsageError(
            "The environment would have to end before it has begun",
            where="expires_at",
            hint="give a time in the future, in seconds since 1970",
            code="lease_over",
        )


def _refresh(docker: Docker, spec: Spec, observed: Observed, progress: Progress, outcome: Outcome) -> Login:
    """Everything is there: see that it runs, that the watchdog's time is right, and that the login's files are."""
    container = observed.container or {}
    watchdog = observed.watchdog or {}
    stopped = [
        str(thing["Name"]).lstrip("/")
        for thing in (watchdog, *observed.services.values(), container)
        if not _watchdog.is_running(thing)
    ]
    if stopped:
        with progress.step("start") as step:
            step.message = ", ".join(stopped)
            _start(docker, stopped)
        outcome.changed = True
    with ThreadPoolExecutor(1) as other:
        moved = other.submit(_move_deadline, docker, spec, watchdog)
        with progress.step("login") as step:
            login = _prepare(docker, spec, container)
            if not login.changed:
                step.reuse()
        with progress.step("watchdog") as step:
            if moved.result():
                outcome.changed = True
            else:
                step.reuse()
    if login.changed:
        outcome.changed = True
        outcome.after["login"] = sorted(login.changed)
    return login


def _move_deadline(docker: Docker, spec: Spec, watchdog: Mapping[str, Any]) -> bool:
    if spec.expires_at is None:
        return False
    return int(_watchdog.deadline(docker, watchdog, spec.expires_at)) != int(spec.expires_at)


def _build_up(docker: Docker, spec: Spec, observed: Observed, progress: Progress) -> Tuple[Login, Observed]:
    """Make what is missing, the watchdog first: from then on the environment ends by itself, whatever happens here."""
    names = spec.names
    with ThreadPoolExecutor(4) as others:
        pulls = [
            others.submit(ensure_pulled, docker, service.image, progress, f"pull {service.name}")
            for service in spec.services
        ]
        image = ensure_derived(docker, spec, progress, observed.base)
        for pull in pulls:
            pull.result()
    newly_armed = _arm(docker, spec, observed, image, progress)
    with progress.step("network"), ThreadPoolExecutor(2) as others:
        tagging = others.submit(docker.call, ["tag", image.reference, names.image_tag])
        _ensure_network(docker, spec)
        tagging.result()
    with ThreadPoolExecutor(4) as others:
        services = [others.submit(_ensure_service, docker, spec, one, observed, progress) for one in spec.services]
        made_from = _ensure_container(docker, spec, observed, image, progress)
        for service in services:
            service.result()
    with ThreadPoolExecutor(2) as others:
        after = others.submit(observe, docker, spec)
        armed = others.submit(_watchdog.wait_until_armed, docker, names.container) if newly_armed else None
        with progress.step("login"):
            login = _prepare(docker, spec, made_from)
        if armed is not None:
            armed.result()
        return login, after.result()


def _arm(docker: Docker, spec: Spec, observed: Observed, image: DerivedImage, progress: Progress) -> bool:
    with progress.step("watchdog") as step:
        if observed.watchdog is not None and _watchdog.is_running(observed.watchdog):
            if not _move_deadline(docker, spec, observed.watchdog):
                step.reuse()
            return False
        if observed.watchdog is not None:
            # Created and never started, or stopped by hand: its old time may have passed.
            docker.call(["rm", "--force", "--volumes", str(observed.watchdog["Id"])], check=False)
        expires_at = time.time() + _watchdog.DEFAULT_LEASE if spec.expires_at is None else spec.expires_at
        _watchdog.arm(
            docker,
            container=spec.names.container,
            image=image.reference,
            labels={**spec.labels, LABEL_ROLE: "watchdog"},
            expires_at=expires_at,
        )
        return True


def _ensure_network(docker: Docker, spec: Spec) -> None:
    args = ["network", "create", "--driver", "bridge", *label_args(spec.labels), spec.names.network]
    done = docker.call(args, check=False, timeout=60)
    if done.returncode != 0 and "already exists" not in done.error_text:
        docker.call(args, timeout=60)


def _ensure_service(docker: Docker, spec: Spec, service: Service, observed: Observed, progress: Progress) -> None:
    name = spec.names.service(service.name)
    with progress.step(f"service {service.name}") as step:
        found = observed.services.get(name)
        if found is not None and label_of(found, LABEL_SPEC) == spec.service_fingerprint(service):
            if _watchdog.is_running(found):
                step.reuse()
                return
        else:
            if found is not None:
                docker.call(["rm", "--force", "--volumes", str(found["Id"])], check=False)
            args, values = service_args(spec, service)
            docker.call(args, stdin=values, timeout=120)
        docker.call(["start", name], timeout=120)


def _ensure_container(
    docker: Docker, spec: Spec, observed: Observed, image: DerivedImage, progress: Progress
) -> Mapping[str, Any]:
    """Have the container run. Returns, inspected, what it was made from: itself if it was there, else the image."""
    name = spec.names.container
    made_from = image.inspected
    found = observed.container
    with progress.step("create") as step:
        if found is not None and label_of(found, LABEL_SPEC) == spec.fingerprint():
            made_from = found
            step.reuse()
        else:
            if found is not None:
                step.message = "replaced: the blueprint asks for another container; the workspace is kept"
                docker.call(["rm", "--force", "--volumes", str(found["Id"])], check=False)
            step.message = _create(docker, spec, image.home, choose_ports(spec.ports)) or step.message
    with progress.step("start") as step:
        try:
            docker.call(["start", name], timeout=120)
        except FuelError as error:
            if error.code != "port_taken":
                raise
            # Somebody took a port since it was seen free: a container's ports can only be changed by a new one.
            taken = [port["host"] for port in published(docker.inspect([name], kind="container")[0])]
            docker.call(["rm", "--force", "--volumes", name])
            _create(docker, spec, image.home, choose_ports(spec.ports, taken))
            docker.call(["start", name], timeout=120)
            step.message = "on other ports"
    return made_from


def _create(docker: Docker, spec: Spec, home: str, ports: Sequence[Port]) -> str:
    """Create the container; returns what a person should know of it."""
    done = docker.call(create_args(spec, home, ports, spec.cpus), check=False, timeout=120)
    limit = re.search(r"range of cpus is from [0-9.]+ to ([0-9.]+)", done.error_text, re.IGNORECASE)
    if limit is None:
        if done.returncode != 0:
            docker.call(create_args(spec, home, ports, spec.cpus), timeout=120)
        return ""
    docker.call(create_args(spec, home, ports, float(limit.group(1))), timeout=120)
    return f"{spec.cpus:g} CPUs are asked for, this machine has {float(limit.group(1)):g}"


def _start(docker: Docker, names: List[str]) -> None:
    docker.call(["start", *names], timeout=120)


def _prepare(docker: Docker, spec: Spec, made_from: Mapping[str, Any], *, check: bool = False) -> Login:
    """`made_from` is the inspected container, or the image that it has its user and variables from."""
    user = label_of(made_from, LABEL_USER) or "dev"
    home = label_of(made_from, LABEL_HOME) or f"/home/{user}"
    return prepare(docker, spec, image_environment_of(made_from), user, home, check=check)


def _describe(spec: Spec, observed: Observed, login: Login, outcome: Outcome) -> None:
    names = spec.names
    container = observed.container
    if container is None:
        raise FuelError(
            "The container was removed while it was being prepared",
            hint="bring the environment up again, unless it was ended on purpose",
            where=names.container,
            code="container_gone",
        )
    services = [names.service(service.name) for service in spec.services]
    outcome.environment = {
        "id": spec.environment_id,
        "name": spec.name,
        "container": names.container,
        "container_id": container["Id"],
        "network": names.network,
        "volumes": [names.workspace_volume],
        "image": names.image_tag,
        "image_id": container["Image"],
        "base_digest": label_of(container, LABEL_BASE) or "",
        "user": login.user,
        "uid": login.uid,
        "home": login.home,
        "workspace": spec.workspace,
        "host_key": login.host_key,
        "ports": published(container),
        "services": services,
        "agents_volume": AGENTS_VOLUME,
    }
    outcome.resources = [
        {"kind": "container", "name": names.container},
        *({"kind": "container", "name": name} for name in services),
        {"kind": "watchdog", "name": _watchdog.container_name(names.container)},
        {"kind": "volume", "name": names.workspace_volume},
        {"kind": "network", "name": names.network},
        {"kind": "image_tag", "name": names.image_tag},
    ]
    outcome.after = {**_picture(observed), **outcome.after}


def _picture(observed: Observed) -> Dict[str, Any]:
    """What a diff shows: never a value of an environment variable."""

    def one(inspected: Optional[Mapping[str, Any]]) -> Any:
        if inspected is None:
            return "absent"
        state = (inspected.get("State") or {}).get("Status", "present")
        return {"state": state, "spec": label_of(inspected, LABEL_SPEC)}

    return {
        "container": one(observed.container),
        "ports": published(observed.container),
        "services": {name: one(thing) for name, thing in sorted(observed.services.items())},
        "watchdog": "absent" if observed.watchdog is None else "armed",
        "image_tag": "absent" if observed.image_tag is None else str(observed.image_tag.get("Id")),
    }


def _foresee(docker: Docker, spec: Spec, observed: Observed, outcome: Outcome) -> Outcome:
    """Check mode: what a run would change."""
    outcome.after = dict(outcome.before)
    if not _is_as_specified(spec, observed):
        outcome.changed = True
        outcome.after["container"] = {"state": "running", "spec": spec.fingerprint()}
        outcome.after["ports"] = [{"container": port, "host": port} for port in spec.ports]
        outcome.after["watchdog"] = "armed"
        outcome.after["services"] = {
            spec.names.service(one.name): {"state": "running", "spec": spec.service_fingerprint(one)}
            for one in spec.services
        }
        if observed.image_tag is None:
            base = find_image(docker, spec.image)
            outcome.after["image_tag"] = f"derived from {spec.image}" + ("" if base else " (to be pulled)")
        return outcome
    if not _watchdog.is_running(observed.container or {}):
        outcome.changed = True
        outcome.after["container"] = {"state": "running", "spec": spec.fingerprint()}
        return outcome
    login = _prepare(docker, spec, observed.container or {}, check=True)
    if login.changed:
        outcome.changed = True
        outcome.after["login"] = sorted(login.changed)
    if spec.expires_at is not None and observed.watchdog is not None:
        if int(_watchdog.deadline(docker, observed.watchdog)) != int(spec.expires_at):
            outcome.changed = True
            outcome.after["watchdog"] = f"armed for {int(spec.expires_at)}"
    return outcome
