# SPDX-License-Identifier: GPL-3.0-or-later
"""AMIs that moto lacks: Debian and Ubuntu as their makers publish them, and one of ours that has Docker already."""

from __future__ import annotations

import hashlib

from moto.ec2.models.amis import AMIS

#: Boots the image with an engine in it; every other AMI boots the bare one.
PREPARED = "ami-0d0c4e2000000001"
_DEBIAN, _UBUNTU, _AMAZON = "136693071363", "099720109477", "137112412989"
#: (owner, name, architecture, made at). Two of each, for the newest is what is asked for.
_PUBLISHED = tuple(
    (owner, name.format(arch, stamp), "arm64" if arch in ("arm64", "aarch64") else "x86_64", f"{day}T04:00:00.000Z")
    for stamp, day in (("20260106-1", "2026-01-06"), ("20260914-2", "2026-09-14"))
    for owner, name, arches in (
        (_DEBIAN, "debian-12-{}-{}", ("amd64", "arm64")),
        (_DEBIAN, "debian-13-{}-{}", ("amd64", "arm64")),
        (_UBUNTU, "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{}-server-{}", ("amd64", "arm64")),
        (_UBUNTU, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{}-server-{}", ("amd64", "arm64")),
        (_AMAZON, "al2023-ami-2023.99.{1}-kernel-6.1-{0}", ("x86_64", "arm64")),
    )
    for arch in arches
)


def ami_id(name: str) -> str:
    """The id of one of ours: the same in every lab."""
    return f"ami-{hashlib.sha256(name.encode()).hexdigest()[:17]}"


def add() -> None:
    """Have moto load these too, in every region. Call it before the first request."""
    known = {ami["ami_id"] for ami in AMIS}
    ours = [(ami_id(name), *facts) for facts in _PUBLISHED for name in [facts[1]]]
    ours.append((PREPARED, _DEBIAN, "fuel-code-lab-with-docker", "x86_64", "2026-01-01T00:00:00.000Z"))
    for identity, owner, name, architecture, made in ours:
        if identity not in known:
            AMIS.append(
                {
                    "ami_id": identity,
                    "owner_id": owner,
                    "name": name,
                    "architecture": architecture,
                    "creation_date": made,
                    "public": True,
                    "root_device_name": "/dev/xvda",
                    "root_device_type": "ebs",
                    "virtualization_type": "hvm",
                    "hypervisor": "xen",
                }
            )
