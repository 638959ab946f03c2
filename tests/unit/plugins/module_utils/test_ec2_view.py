# SPDX-License-Identifier: GPL-3.0-or-later
"""What ended a machine, in AWS's words."""

from __future__ import annotations

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._ec2 import _view


def ended(*reasons: str) -> str:
    found = [_view.read({"InstanceId": "i-1", "StateReason": {"Code": reason}}) for reason in reasons]
    by: str = _view.ended_by(found)
    return by


@pytest.mark.parametrize(
    ("reasons", "by"),
    [
        (["Server.SpotInstanceTermination"], "spot"),
        (["Server.SpotInstanceShutdown"], "spot"),
        (["Client.UserInitiatedShutdown"], "console"),
        (["Client.InstanceInitiatedShutdown"], "machine"),
        (["Client.UserInitiatedShutdown", "Server.SpotInstanceTermination"], "spot"),
        (["Server.InternalError"], "machine"),
        ([""], "machine"),
    ],
)
def test_what_ended_it(reasons: list[str], by: str) -> None:
    assert ended(*reasons) == by
