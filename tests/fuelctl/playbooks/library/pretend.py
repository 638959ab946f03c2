# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the coarse modules where a test is about the control plane: its container is a file in `world`."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def saved(folder: Path, *, complete: bool) -> dict[str, object]:
    """A rescue that says the same of itself as a real one does."""
    folder.mkdir(parents=True)
    parts = {"repo.bundle": b"bundle", "source.json": json.dumps({"commit": "a" * 40, "name": "app"}).encode()}
    for name, content in parts.items():
        (folder / name).write_bytes(content)
    manifest = {
        "format": 1,
        "name": "app",
        "commit": "a" * 40,
        "branch": "main",
        "counts": {"branches": 1, "files": 2},
        "unfinished": [],
        "complete": complete,
        "left_out": {"files": [], "count": 0, "bytes": 0},
        "parts": [
            {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in parts.items()
        ],
    }
    (folder / "rescue.json").write_text(json.dumps(manifest))
    return manifest


def wait_for(go: Path, sign: Path) -> None:
    """Until there is `go`, or nobody cares any more; `sign` says when this was last alive."""
    end = time.monotonic() + 500
    while not go.exists() and time.monotonic() < end:
        # Whole, whenever it is killed.
        written = sign.with_suffix(".new")
        written.write_text(f"{time.time()}\n")
        written.replace(sign)
        time.sleep(0.02)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "act": {"required": True},
            "world": {"required": True},
            "environment_id": {"default": ""},
            "environment_ids": {"type": "list", "elements": "str", "default": []},
            "public_key": {"default": ""},
            "expires_at": {"type": "int", "default": 0},
            "attempt": {"type": "int", "default": 1},
            "blueprint": {"type": "dict", "default": {}},
            "secrets_file": {"default": None},
            "discard": {"type": "bool", "default": False},
            "dest": {"default": None},
            "progress_path": {"default": None},
        }
    )
    given = module.params
    world = Path(given["world"])
    world.mkdir(parents=True, exist_ok=True)
    container = world / f"fuel-code-{given['environment_id'].lower()}-{given['attempt']}"
    behaviour = world / f"{given['environment_id']}.json"

    def tell(stage: str, step: str, state: str, **fields: object) -> None:
        line = {"at": time.time(), "stage": stage, "step": step, "state": state, "message": "", **fields}
        if given["progress_path"]:
            with Path(given["progress_path"]).open("a") as opened:
                opened.write(json.dumps(line) + "\n")

    def remove(one: str) -> dict[str, Any]:
        """Its receipt; one that is told to stay does."""
        mine = world / f"fuel-code-{one.lower()}-{given['attempt']}"
        its = world / f"{one}.json"
        stays = its.exists() and json.loads(its.read_text()).get("stays")
        if not stays:
            mine.unlink(missing_ok=True)
            its.unlink(missing_ok=True)
        state = "present" if stays else "gone"
        line = {"kind": "container", "name": mine.name, "state": state, "detail": ""}
        return {"complete": not stays, "checked_at": "now", "resources": [line]}

    if given["act"] == "container":
        blueprint = {**given["blueprint"], **json.loads((given["blueprint"].get("env") or {}).get("PRETEND") or "{}")}
        tell("container", "make", "start")
        with (world / "made.log").open("a") as opened:
            opened.write(f"{given['environment_id']} {os.getpid()} {time.time()} {given['public_key']}\n")
        container.write_text("here")
        behaviour.write_text(json.dumps(blueprint))
        if given["secrets_file"] and blueprint.get("tells"):
            tell("container", "make", "output", message=Path(given["secrets_file"]).read_text())
        time.sleep(float(blueprint.get("sleep", 0)))
        if blueprint.get("waits"):
            wait_for(world / "go", world / f"alive-{os.getpid()}")
        tell("container", "make", "ok", seconds=0.1)
        if blueprint.get("fail"):
            module.fail_json(
                msg="it failed",
                error={
                    "message": "the image does not exist",
                    "hint": "choose another",
                    "code": "no_image",
                    "where": "image",
                },
                steps=[{"stage": "container", "step": "make", "state": "failed"}],
            )
        module.exit_json(
            changed=True,
            environment={
                "container": container.name,
                "user": "dev",
                "workspace": "/workspaces/x",
                "host_key": "k",
                "ports": [],
            },
            resources=[{"kind": "container", "name": container.name}],
            steps=[{"stage": "container", "step": "make", "state": "ok"}],
        )
    if given["act"] == "extend":
        module.exit_json(changed=True, expires_at=given["expires_at"], expires_at_before=0)
    lives = json.loads(behaviour.read_text()) if behaviour.exists() else {}
    if given["act"] == "survey":
        if (world / "keys_are_lost").exists() and not given["discard"]:
            module.fail_json(msg="no key", error={"message": "the key is not here", "code": "no_host_key"})
        tell("survey", "look", "ok", seconds=0.1)
        work = lives.get("work") or {}
        module.exit_json(work=work, would_lose=bool(work) and not given["discard"])
    if given["act"] == "rescue":
        with (world / "rescues.log").open("a") as opened:
            opened.write(f"{given['environment_id']} {given['expires_at']}\n")
        tell("rescue", "collect", "start")
        time.sleep(float(lives.get("rescue_takes", 0)))
        if lives.get("rescue_waits"):
            wait_for(world / "go", world / f"alive-{os.getpid()}")
        if lives.get("rescue_fails"):
            module.fail_json(msg="no", error={"message": "the disk is full", "code": "disk_full"})
        tell("rescue", "collect", "ok", seconds=0.1)
        if not lives.get("work"):
            module.exit_json(rescue={})
        module.exit_json(changed=True, rescue=saved(Path(given["dest"]), complete=not lives.get("rescue_lacks")))
    if given["act"] == "destroy":
        tell("destroy", "remove", "start")
        if (world / "engine_is_down").exists():
            module.fail_json(
                msg="the engine does not answer",
                error={"message": "the engine does not answer", "code": "docker_unavailable"},
            )
        ids = given["environment_ids"] or [given["environment_id"]]
        with (world / "ended.log").open("a") as opened:
            opened.write(f"{time.time()} {' '.join(ids)}\n")
        receipts = {one: remove(one) for one in ids}
        lines = [line for each in receipts.values() for line in each["resources"]]
        if any(line["state"] != "gone" for line in lines):
            module.fail_json(msg="it stays", error={"message": "it stays", "code": "incomplete"}, receipts=receipts)
        tell("destroy", "remove", "ok", seconds=0.1)
        whole = {"complete": True, "checked_at": "now", "resources": lines}
        module.exit_json(changed=True, receipt=whole, receipts=receipts)
    module.fail_json(msg="unknown act")


if __name__ == "__main__":
    main()
