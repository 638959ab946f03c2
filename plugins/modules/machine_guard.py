#!/usr/bin/python

# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_guard
short_description: Take over a fresh machine, with its timer read back and its first host key replaced
version_added: 0.1.0
description:
  - Runs on a machine that M(fuel_code.remote.ec2_machine) launched, as root.
  - Reads back from systemd that the timer which powers the machine off is armed, moves it where O(expires_at) says
    something else, and fails when it is not.
  - Replaces the host key that came with user-data, where everybody on the machine can read it.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  expires_at:
    description: When the machine ends by itself. Epoch seconds. The time that holds is kept without.
    type: int
  host_key:
    description: The private ed25519 host key that lasts, in OpenSSH's format. The key that is there is kept without.
    type: str
extends_documentation_fragment:
  - fuel_code.remote.attributes
author:
  - fuel_code maintainers (@fuel-code)
"""

EXAMPLES = r"""
- name: Take the machine over
  fuel_code.remote.machine_guard:
    expires_at: 1764007200
    host_key: "{{ lookup('ansible.builtin.file', '/home/alice/keys/host_ed25519', rstrip=false) }}"
  become: true
"""

RETURN = r"""
expires_at:
  description: When the machine ends by itself, as systemd confirms it. Epoch seconds.
  returned: success
  type: int
  sample: 1764007200
error:
  description: The failure as data.
  returned: failure
  type: dict
  sample: {message: "The machine's watchdog is not armed", hint: end it, code: machine_watchdog, details: {}}
"""

import os
import tempfile
from typing import Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fuel_code.remote.plugins.module_utils import _machine_timer
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import run_command
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


def replace_host_key(host_key: str, path: str = HOST_KEY, *, check: bool) -> bool:
    """Have sshd identify itself by this key from now on; connections that are open stay. Whether it had another."""
    wanted = host_key.rstrip("\n") + "\n"
    if _content(path) == wanted:
        if not check:
            # Whoever wrote it may have died before sshd was told, which since OpenSSH 9.8 keeps the keys it began with.
            _reload()
        return False
    if check:
        return True
    folder = os.path.dirname(path)
    descriptor, draft = tempfile.mkstemp(prefix=".fuel-code-", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(wanted)
        public = run_command(["ssh-keygen", "-y", "-P", "", "-f", draft], None, 30)
        if public.returncode != 0 or not public.text.startswith("ssh-ed25519 "):
            raise UsageError("the host key is no ed25519 key in OpenSSH's format", where="host_key", code="bad_machine")
        with open(f"{draft}.pub", "w", encoding="ascii") as stream:
            stream.write(public.text + "\n")
        os.chmod(f"{draft}.pub", 0o644)
        os.replace(draft, path)
        os.replace(f"{draft}.pub", f"{path}.pub")
    finally:
        for left in (draft, f"{draft}.pub"):
            if os.path.exists(left):
                os.unlink(left)
    _reload()
    return True


def _reload() -> None:
    """sshd reads its keys anew; the unit is called `ssh` on Debian and Ubuntu and `sshd` elsewhere."""
    said = ""
    for unit in ("sshd.service", "ssh.service"):
        done = run_command(["systemctl", "reload-or-restart", unit], None, 60)
        if done.returncode == 0:
            return
        said = done.error_text
    raise FuelError("sshd does not take its new host key", hint=said[:300] or None, code="host_key_failed")


def _content(path: str) -> Optional[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read()
    except OSError:
        return None


def main() -> None:
    """Ansible's entry point."""
    module = AnsibleModule(
        argument_spec={"expires_at": {"type": "int"}, "host_key": {"type": "str", "no_log": True}},
        supports_check_mode=True,
    )
    wanted, host_key = module.params["expires_at"], module.params["host_key"]
    try:
        armed = _machine_timer.deadline()
        moved = wanted is not None and wanted != armed
        if moved and not module.check_mode:
            _machine_timer.move(wanted)
        replaced = bool(host_key) and replace_host_key(host_key, check=module.check_mode)
    except FuelError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    module.exit_json(changed=moved or replaced, expires_at=wanted if moved else armed)


if __name__ == "__main__":
    main()
