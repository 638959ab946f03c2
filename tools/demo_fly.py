# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo-fly`: the whole way on Fly.io without an account: up, in, stop, start, and down with proof."""

from __future__ import annotations

from demo_lab import NAME, Demo

from tests.lab import dev_image
from tests.lab.fly.client import FlyLab

STEPS = (
    ("ls",),
    ("ssh", NAME, "--", "npm", "test"),
    ("ssh", NAME, "--", "claude", "--version"),
    ("ssh", NAME, "--", "touch", "kept"),
    ("stop", NAME),
    ("ls",),
    ("start", NAME),
    # The same workspace, and the agent, on a machine whose own disk began anew.
    ("ssh", NAME, "--", "ls", "kept"),
    ("ssh", NAME, "--", "claude", "--version"),
)
NEXT = """\
On Fly.io itself, with your token:
  fuelctl up --provider fly --region fra   # docs/user/fly.md"""


def main() -> int:
    demo = Demo("fly", foreign=("FLY_",))
    started = demo.prepare()
    demo.say("starting a local Fly.io (the first time makes its images)")
    image = dev_image.ensure("remote")
    with FlyLab() as lab:
        demo.write_settings({"image": image})
        code = demo.way(demo.variables(lab.environment()), ("--region", "fra"), STEPS)
        left = [each["id"] for each in lab.machines()] + [each["id"] for each in lab.volumes()]
        return demo.over(code, left, started, NEXT)


if __name__ == "__main__":
    raise SystemExit(main())
