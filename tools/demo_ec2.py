# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo-ec2`: the whole way on EC2 without an AWS account: up, its own tests, the agent, and down with proof."""

from __future__ import annotations

from demo_lab import NAME, Demo

from tests.lab.ec2.client import Ec2Lab

IMAGE = "node:22-bookworm"
STEPS = (
    ("ls",),
    ("ssh", NAME, "--", "npm", "test"),
    ("ssh", NAME, "--", "claude", "--version"),
)
NEXT = """\
On AWS itself, with your credentials:
  fuelctl up --provider ec2 --region eu-central-1   # docs/user/ec2.md"""


def main() -> int:
    demo = Demo("ec2", foreign=("AWS_", "EC2_"))
    started = demo.prepare()
    demo.say("starting a local EC2 (the first time makes its images)")
    with Ec2Lab(images=[IMAGE]) as lab:
        demo.write_settings(lab.options(image="debian-12"))
        code = demo.way(demo.variables(lab.environment()), (), STEPS)
        return demo.over(code, [each["id"] for each in lab.alive()], started, NEXT)


if __name__ == "__main__":
    raise SystemExit(main())
