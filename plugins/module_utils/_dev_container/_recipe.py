# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""How a base image becomes one that can be entered: what is asked of it, what runs in it, and what is said of it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence

from .._errors import FuelError
from ._spec import AGENTS_PATH, CACHES, LABEL_HOME, LABEL_USER, USER_NAME, WORKSPACES

REPOSITORY = "fuel-code/dev"
LABEL_BASE = "fuel-code:base"

#: perl is what the watchdog is written in (git brings it); rsync and curl are what editors and people reach for.
PACKAGES = ("bash", "ca-certificates", "curl", "git", "openssh-server", "perl", "procps", "rsync", "sudo")

_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
#: Programs that bring their own list of authorities, and how each is told to use the system's.
CA_ENVIRONMENT = {
    "SSL_CERT_FILE": _BUNDLE,
    "NODE_EXTRA_CA_CERTS": _BUNDLE,
    "REQUESTS_CA_BUNDLE": _BUNDLE,
    "PIP_CERT": _BUNDLE,
    "GIT_SSL_CAINFO": _BUNDLE,
}

#: Runs as root in a container of the base image. $1 is the user that is wanted, or empty; $2 a line that ends each of
#: the two answers: what the base is, as `name=value` lines, and what came of the recipe, which it takes from its
#: standard input. Then it waits: its input ends with whoever asked, so a container whose maker was killed goes too.
CONVERSATION = r"""
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
field() { sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | head -n 1 | tr -d "\"'"; }
echo "system=$(field PRETTY_NAME)"
command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1 && echo apt=yes
if [ -n "$1" ]; then
  entry=$(grep "^$1:" /etc/passwd | head -n 1)
else
  entry=$(grep '^[^:]*:[^:]*:1000:' /etc/passwd | head -n 1)
  grep -q '^dev:' /etc/passwd && echo taken=dev
fi
echo "entry=$entry"
echo "$2"
tar -xf - -C /tmp || exit
sh /tmp/fuel-code/derive.sh "$(cat /tmp/fuel-code/user)" "$(cat /tmp/fuel-code/home)" </dev/null 2>&1 || exit
echo "$2"
read -r _
"""

_DERIVE = r"""#!/bin/sh
# Runs once, as root, in what becomes the image.
set -eu
user=$1 home=$2
cd /tmp/fuel-code
# An image may have narrowed its PATH.
export DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

missing=$(while IFS= read -r package; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' -- "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
done <packages)
if [ -n "$missing" ]; then
  # A package that starts a service would fail or linger: nothing is started while an image is built.
  made_policy=
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    made_policy=yes
  fi
  # Where there is one, sshd's package makes no host key: none of them would stay.
  mkdir -p /etc/ssh
  for kind in rsa ecdsa ed25519; do
    [ -e "/etc/ssh/ssh_host_${kind}_key" ] || : >"/etc/ssh/ssh_host_${kind}_key"
  done
  # What is on the disk when the machine dies in here is of no use to anybody: nobody waits for it.
  set -- -q -o Acquire::Retries=3 -o Acquire::Languages=none -o DPkg::Lock::Timeout=60 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-unsafe-io
  apt-get "$@" update
  printf '%s\n' "$missing" | xargs -r -d '\n' apt-get "$@" install -y --no-install-recommends --
  [ -z "$made_policy" ] || rm -f /usr/sbin/policy-rc.d
  apt-get clean
  rm -rf /var/lib/apt/lists/*
fi
# Host keys belong to an environment, never to an image.
rm -f /etc/ssh/ssh_host_*
mkdir -p /run/sshd && chmod 755 /run/sshd

if [ -d certificates ]; then
  mkdir -p /usr/local/share/ca-certificates/fuel-code
  cp certificates/*.crt /usr/local/share/ca-certificates/fuel-code/
  update-ca-certificates
fi

if ! getent passwd "$user" >/dev/null; then
  if getent passwd 1000 >/dev/null || getent group 1000 >/dev/null || getent group "$user" >/dev/null; then
    set --
  else
    set -- --uid 1000 --user-group
  fi
  useradd "$@" --create-home --home-dir "$home" --shell /bin/bash "$user"
fi
mkdir -p "$home"
group=$(id -g "$user")
chown "$user:$group" "$home"
chmod go-w "$home"
case $(getent passwd "$user" | cut -d: -f7) in
  */bash | */zsh) ;;
  *) usermod --shell /bin/bash "$user" ;;
esac
# `*` is no password that anybody can give, but unlike `!` it does not lock the account for sshd.
usermod --password '*' "$user"
printf '%s\n' "$user ALL=(ALL:ALL) NOPASSWD: ALL" \
  'Defaults env_keep += "SSL_CERT_FILE NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE PIP_CERT GIT_SSL_CAINFO"' \
  'Defaults env_keep += "http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY"' \
  >/etc/sudoers.d/90-fuel-code
chmod 440 /etc/sudoers.d/90-fuel-code
visudo -c -q -f /etc/sudoers.d/90-fuel-code

# Mount points exist beforehand, so that a new volume takes over their owner.
own() {
  for folder in "$@"; do
    [ -d "$folder" ] || { mkdir "$folder" && chown "$user:$group" "$folder"; }
  done
}
while IFS= read -r path; do
  whole=$home
  old_ifs=$IFS IFS=/
  for part in $path; do
    whole=$whole/$part
    own "$whole"
  done
  IFS=$old_ifs
done <folders
chmod 700 "$home/.ssh"
mkdir -p @WORKSPACES@ @AGENTS@ /etc/fuel-code
chown "$user:$group" @WORKSPACES@

# A login begins in the workspace. Debian's bash reads bash.bashrc for `ssh host command` too.
enter='[ ! -r /etc/fuel-code/enter.sh ] || . /etc/fuel-code/enter.sh'
touch /etc/bash.bashrc
{ printf '%s\n' "$enter"; cat /etc/bash.bashrc; } >/etc/bash.bashrc.new
cat /etc/bash.bashrc.new >/etc/bash.bashrc
rm -f /etc/bash.bashrc.new
mkdir -p /etc/profile.d
printf '%s\n' "$enter" >/etc/profile.d/zz-fuel-code.sh
if [ -d /etc/zsh ]; then printf '%s\n' "$enter" >>/etc/zsh/zshenv; fi

install -m 755 fuel-code-run /usr/local/bin/fuel-code-run
cd /
rm -rf /tmp/fuel-code
"""

_RUN = r"""#!/bin/sh
# fuel-code-run COMMAND [ARGUMENT...]: run it with the environment that a login gets (image, blueprint, secrets).
if [ -r "$HOME/.ssh/environment" ]; then
  while IFS= read -r line; do
    case $line in '' | '#'*) ;; *=*) export "$line" ;; esac
  done <"$HOME/.ssh/environment"
fi
exec "$@"
"""


@dataclass(frozen=True)
class Base:
    """What the probe learnt of a base image: its system's name, and the user that enters, there or to be made."""

    system: str
    user: str
    home: str


def parse_probe(text: str, image: str, wanted: str = "") -> Base:
    """The probe's answer; FuelError when no environment can be made of such a base."""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    system = fields.get("system", "")[:80] or "an unknown system"
    if fields.get("apt") != "yes":
        raise not_debian(image, system)
    entry = fields.get("entry", "").split(":")
    if len(entry) < 7:
        user = wanted or ("fuel" if fields.get("taken") else "dev")
        return Base(system, user, f"/home/{user}")
    user, home = entry[0], entry[5]
    if not USER_NAME.fullmatch(user):
        raise FuelError(
            f"The user with uid 1000 of image {image} has an unusual name: {user[:40]!r}",
            hint="use another base image, or rename that user in it",
            code="image_user",
        )
    if not re.fullmatch(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+", home) or home in ("/nonexistent", "/root", WORKSPACES):
        home = f"/home/{user}"
    return Base(system, user, home)


def not_debian(image: str, system: str) -> FuelError:
    """The one line for a base that this recipe cannot be applied to."""
    return FuelError(
        f"Image {image} is not Debian-like ({system}): an environment is made with apt",
        hint="use a Debian or Ubuntu based image, for example `node:22-bookworm` instead of `node:22-alpine`",
        where="image",
        code="image_not_debian",
    )


def image_key(base_id: str, system_packages: Sequence[str], ca_certificates: Sequence[str], user: str = "") -> str:
    """Tag of the derived image in `REPOSITORY`: equal inputs, equal image."""
    # The scripts themselves count: an image of an older recipe is not used again.
    same = [_DERIVE, _RUN, CONVERSATION, PACKAGES, image_changes("", Base("", "", ""), ())]
    facts = [*same, base_id, sorted(system_packages), sorted(ca_certificates), user]
    return hashlib.sha256(json.dumps(facts).encode("utf-8")).hexdigest()[:24]


def image_environment(ca_certificates: Sequence[str]) -> Dict[str, str]:
    """Variables that the derived image adds: only what further authorities make necessary."""
    return dict(CA_ENVIRONMENT) if ca_certificates else {}


def image_changes(base_id: str, base: Base, ca_certificates: Sequence[str]) -> List[str]:
    """What the derived image says of itself, as instructions that `docker commit --change` takes."""
    environment = image_environment(ca_certificates).items()
    return [
        *(f"ENV {name}={value}" for name, value in environment),
        "USER root",
        "WORKDIR /",
        'CMD ["sleep", "infinity"]',
        f'LABEL "fuel-code:cache"="image" "{LABEL_BASE}"="{base_id}" '
        f'"{LABEL_USER}"="{base.user}" "{LABEL_HOME}"="{base.home}"',
    ]


def recipe(base: Base, system_packages: Sequence[str], ca_certificates: Sequence[str]) -> bytes:
    """The tar that `CONVERSATION` takes. All values in it are checked by `_spec` and `parse_probe` before."""
    derive = _DERIVE.replace("@WORKSPACES@", WORKSPACES).replace("@AGENTS@", AGENTS_PATH)
    folders = [".ssh", ".config", ".local/bin", *CACHES.values()]
    files = {
        "fuel-code/user": base.user,
        "fuel-code/home": base.home,
        "fuel-code/derive.sh": derive,
        "fuel-code/fuel-code-run": _RUN,
        "fuel-code/packages": "".join(f"{name}\n" for name in sorted({*PACKAGES, *system_packages})),
        "fuel-code/folders": "".join(f"{folder}\n" for folder in folders),
    }
    for number, certificate in enumerate(ca_certificates):
        files[f"fuel-code/certificates/{number:03d}.crt"] = certificate
    return pack(files)


def pack(files: Mapping[str, str], modes: Optional[Mapping[str, int]] = None) -> bytes:
    """The files as an uncompressed tar with neither owner nor time: equal inputs, equal bytes. Mode 0600 by default."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            data = text.encode("utf-8", "surrogateescape")
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = (modes or {}).get(name, 0o600)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
