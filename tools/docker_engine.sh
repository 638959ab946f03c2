#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes sure that a Docker engine answers. As root it is installed from the distribution and started when it has to be;
# otherwise one line says what to do.
set -euo pipefail

answers() { docker version --format '{{.Server.Version}}' 2>/dev/null; }
give_up() {
  echo "docker: $1" >&2
  exit 1
}

if version=$(answers); then
  echo "docker: engine $version answers"
  exit 0
fi
if [ -n "${DOCKER_HOST:-}" ]; then
  give_up "no engine answers at DOCKER_HOST=$DOCKER_HOST; start it, or unset DOCKER_HOST"
fi
if [ "$(id -u)" != 0 ]; then
  if command -v docker >/dev/null && docker version 2>&1 | grep -q 'permission denied'; then
    give_up "the engine runs, but $(id -un) may not use it: sudo usermod -aG docker $(id -un), then log in again"
  fi
  give_up "no engine answers: install and start Docker (sudo apt-get install docker.io), or run this as root"
fi

if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
  command -v apt-get >/dev/null || give_up "no engine is installed and there is no apt-get: install Docker by hand"
  echo "docker: installing the distribution's docker.io"
  "$(dirname "$0")/apt_install.sh" ca-certificates iptables docker.io
  # Newer releases of Debian and Ubuntu keep the client in a package of its own.
  command -v docker >/dev/null || "$(dirname "$0")/apt_install.sh" docker-cli
fi

# Installing may have started it; an init system starts it; else it is started here, in the background.
if ! answers >/dev/null; then
  if [ -d /run/systemd/system ]; then
    systemctl start docker
  else
    log=/var/log/dockerd.log
    setsid nohup dockerd </dev/null >>"$log" 2>&1 &
  fi
fi
for _ in $(seq 120); do
  if version=$(answers); then
    echo "docker: engine $version started"
    exit 0
  fi
  sleep 0.5
done
give_up "the engine was started but does not answer after 60 s; see ${log:-journalctl -u docker}"
