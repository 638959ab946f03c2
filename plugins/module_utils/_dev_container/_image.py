# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The image of an environment: the base pulled when absent, and what is derived from it made once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

from .._docker import Docker
from .._errors import FuelError
from .._progress import Progress
from ._derivation import NO_SHELL, Derivation
from ._lock import only_one
from ._recipe import REPOSITORY, image_changes, image_key, not_debian, parse_probe, recipe
from ._spec import LABEL_HOME, Spec

#: Failures whose own line is the one that helps.
_SAID_ALREADY = frozenset(
    ("disk_full", "docker_denied", "docker_unavailable", "docker_missing", "image_not_debian", "image_user")
)


@dataclass(frozen=True)
class DerivedImage:
    """A derived image on the engine: its name, what the engine says of it, and its user's home."""

    reference: str
    inspected: Mapping[str, Any]
    home: str


def find_image(docker: Docker, reference: str) -> Optional[Dict[str, Any]]:
    """What the engine knows of an image, or None."""
    found = docker.inspect([reference], kind="image")
    return found[0] if found else None


def ensure_pulled(docker: Docker, reference: str, progress: Progress, step: str = "pull") -> Dict[str, Any]:
    """The image as inspected, pulled when the engine does not have it."""
    image = find_image(docker, reference)
    if image is not None:
        return image
    with progress.step(step) as shown:
        shown.message = reference
        try:
            docker.follow(["pull", "--", reference], lambda line: progress.output(step, line))
        except FuelError as error:
            if error.code in ("image_not_found", "registry_unreachable", "registry_limit", "image_invalid"):
                error.message = f"{error.message}: {reference}"
                error.where = error.where or "image"
            raise
        image = find_image(docker, reference)
    if image is None:
        raise FuelError(f"Image {reference} was pulled but is not there", hint="run again", code="image_not_found")
    return image


def ensure_derived(
    docker: Docker, spec: Spec, progress: Progress, base: Optional[Mapping[str, Any]] = None
) -> DerivedImage:
    """The derived image of this environment, made when there is none for `base`, inspected, and these packages."""
    base = base or ensure_pulled(docker, spec.image, progress)
    key = image_key(str(base["Id"]), spec.system_packages, spec.ca_certificates, spec.user)
    reference = f"{REPOSITORY}:{key}"
    found = find_image(docker, reference)
    if found is not None:
        with progress.step("image") as step:
            step.reuse(reference)
        return _derived(reference, found)
    with progress.step("image") as step, only_one(f"image-{key}"):
        # Whoever waited for the lock finds what the other made.
        found = find_image(docker, reference)
        if found is None:
            found = _derive(docker, spec, base, reference, progress)
        step.message = reference
    return _derived(reference, found)


def _derive(docker: Docker, spec: Spec, base: Mapping[str, Any], reference: str, progress: Progress) -> Dict[str, Any]:
    base_id, lines = str(base["Id"]), []

    def seen(line: str) -> None:
        lines.append(line)
        progress.output("image", line)

    try:
        with Derivation(docker, base_id, spec.user) as derivation:
            facts = parse_probe(derivation.probe(), spec.image, spec.user)
            derivation.follow(recipe(facts, spec.system_packages, spec.ca_certificates), seen)
            changes = image_changes(base_id, facts, spec.ca_certificates)
            given = [word for change in changes for word in ("--change", change)]
            # Nothing is at work in it any more, and not every engine can hold a container.
            docker.call(["commit", "--pause=false", *given, derivation.container, reference], timeout=600)
    except FuelError as error:
        raise failure(error, spec.image, lines) from error
    found = find_image(docker, reference)
    if found is None:
        raise FuelError("The derived image was made but is not there", hint="run again", code="image_failed")
    return found


def failure(error: FuelError, image: str, lines: List[str]) -> FuelError:
    """What went wrong while packages were installed, out of their own output."""
    if error.code == NO_SHELL:
        return not_debian(image, "it has no /bin/sh")
    tail = [line for line in lines if line.strip()][-12:]
    complaints = [line[3:].strip() for line in lines if line.startswith("E: ")]
    if error.code in _SAID_ALREADY:
        return error
    if complaints:
        unknown = [line for line in complaints if "Unable to locate package" in line or "has no installation" in line]
        return FuelError(
            f"Failed to install system packages into {image}: {(unknown or complaints)[0][:200]}",
            hint="correct `system_packages` in the blueprint"
            if unknown
            else "the package archive may be out of reach: try again, or use a newer base image",
            where="system_packages" if unknown else "image",
            code="package_unknown" if unknown else "packages_failed",
            details={"tail": tail},
        )
    return FuelError(
        f"Failed to derive an image from {image}: {error.message}",
        hint="the last lines of it are in the details",
        where="image",
        code="image_failed",
        details={"tail": tail},
    )


def _derived(reference: str, found: Mapping[str, Any]) -> DerivedImage:
    labels = (found.get("Config") or {}).get("Labels") or {}
    return DerivedImage(reference, found, labels.get(LABEL_HOME, "/home/dev"))
