# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Public keys that others send: real ones of ssh-keygen are taken, everything else is refused."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._public_key import check_public_key

ED = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "B" * 43


def made(folder: Path, *options: str) -> tuple[str, str]:
    """(the .pub file's text, its fingerprint as ssh-keygen says it)."""
    keygen = shutil.which("ssh-keygen")
    if keygen is None:
        pytest.skip("no ssh-keygen here")
    file = folder / "key"
    subprocess.run([keygen, "-q", "-N", "", "-C", "me@laptop", "-f", str(file), *options], check=True)
    shown = subprocess.run([keygen, "-l", "-f", f"{file}.pub"], check=True, capture_output=True, text=True).stdout
    return Path(f"{file}.pub").read_text(), shown.split()[1]


@pytest.mark.parametrize(
    "options", ["-t ed25519", "-t ecdsa -b 256", "-t ecdsa -b 384", "-t ecdsa -b 521", "-t rsa -b 3072"]
)
def test_keys_of_ssh_keygen_are_taken(tmp_path: Path, options: str) -> None:
    text, fingerprint = made(tmp_path, *options.split())
    found = check_public_key(text.strip())
    assert found.line == " ".join(text.split()[:2])
    assert found.fingerprint == fingerprint
    assert check_public_key(found.line) == found


@pytest.mark.parametrize("options", ["-t rsa -b 2048", "-t rsa -b 1024"])
def test_short_ones_are_not(tmp_path: Path, options: str) -> None:
    text, _fingerprint = made(tmp_path, *options.split())
    with pytest.raises(UsageError, match="too short"):
        check_public_key(text.strip())


def blob(*parts: bytes) -> str:
    return base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()


KEY = bytes(range(32))
NOISE = base64.b64encode(b"\xff" * 60).decode()
POINT, NO_POINT = b"\x04" + KEY * 2, b"\x05" + KEY * 2
EXPONENT, NEGATIVE, LARGE, HUGE = b"\x01\x00\x01", b"\xff" * 384, b"\x00" + b"\xff" * 384, b"\x00" + b"\xff" * 2049


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        f"ssh-ed25519 {ED}\n",
        f"ssh-ed25519 {ED}\nssh-ed25519 {ED}",
        f"ssh-ed25519 {ED} a\x00b",
        f"ssh-ed25519 {ED} a\rb",
        f" ssh-ed25519 {ED}",
        f'command="sh" ssh-ed25519 {ED}',
        f"no-pty ssh-ed25519 {ED}",
        f"cert-authority ssh-ed25519 {ED}",
        f"ssh-ed25519  {ED}",
        f"ssh-ed25519\t{ED}",
        f"ssh-rsa {ED}",
        f"ssh-dss {blob(b'ssh-dss', KEY, KEY)}",
        f"sk-ssh-ed25519 {blob(b'sk-ssh-ed25519', KEY)}",
        f"ssh-ed25519 {ED[:-4]}",
        f"ssh-ed25519 {ED}AAAA",
        f"ssh-ed25519 {blob(b'ssh-ed25519', KEY, KEY)}",
        f"ssh-ed25519 {blob(b'ssh-ed25519', KEY[:31])}",
        f"ssh-ed25519 {blob(b'ssh-ed25519')}",
        f"ssh-ed25519 {NOISE}",
        f"ecdsa-sha2-nistp256 {blob(b'ecdsa-sha2-nistp256', b'nistp384', POINT)}",
        f"ecdsa-sha2-nistp256 {blob(b'ecdsa-sha2-nistp256', b'nistp256', NO_POINT)}",
        f"ecdsa-sha2-nistp224 {blob(b'ecdsa-sha2-nistp224', b'nistp224', POINT)}",
        f"ssh-rsa {blob(b'ssh-rsa', EXPONENT, NEGATIVE)}",
        f"ssh-rsa {blob(b'ssh-rsa', EXPONENT, HUGE)}",
        f"ssh-rsa {blob(b'ssh-rsa', b'', LARGE)}",
        "ssh-ed25519 " + "A" * 100_000,
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "ssh-ed25519 {{ lookup('pipe', 'id') }}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ],
)
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_public_key(text)
    assert refused.value.code == "bad_public_key"
    assert "\n" not in str(refused.value)
