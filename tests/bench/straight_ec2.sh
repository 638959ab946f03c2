# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What somebody would write as user-data for one machine: engine, agent, repository, container, dependencies, a login
# over SSH. One step after the other, no repeat, no end, no watchdog: the least that the work itself costs.
# Before it stand the shebang and: repository, folder, image, mirror, agent_url, key (public), report (a URL).
set -euo pipefail
: "${repository:?}" "${folder:?}" "${image:?}" "${mirror:?}" "${agent_url:?}" "${key:?}" "${report:?}"
export HOME=/root DEBIAN_FRONTEND=noninteractive

told() { curl -fsS -o /dev/null --data "$1" "$report"; }
trap 'told "failed in line $LINENO"' ERR

told boot
mkdir -p /etc/docker
printf '{"registry-mirrors": ["%s"]}\n' "$mirror" >/etc/docker/daemon.json
if ! command -v docker >/dev/null; then
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends docker.io iptables
fi
told engine

docker pull -q "$image"
told image

mkdir -p /opt/agent
curl -fsS "$agent_url" | tar -xz -C /opt/agent --strip-components 1
chmod 755 /opt/agent/claude
told agent

mkdir /workspaces
git clone -q -b main "$repository" "/workspaces/$folder"
chown -R 1000 /workspaces
told workspace

bundle=/etc/ssl/certs/ca-certificates.crt
docker run -d --init --name work -v /opt/agent:/opt/agent:ro -v /workspaces:/workspaces -v "$bundle:$bundle:ro" \
  -e NODE_EXTRA_CA_CERTS="$bundle" "$image" sleep infinity
docker exec work sh -c 'apt-get -qq update && apt-get -qq install -y --no-install-recommends openssh-server rsync sudo'
user=$(docker exec work id -nu 1000)
home=$(docker exec -u "$user" work sh -c 'cd && pwd')
docker exec -i -u "$user" work sh -c "umask 077; mkdir -p $home/.ssh; cat >$home/.ssh/authorized_keys" <<<"$key"
docker exec work mkdir -p /run/sshd
told container

docker exec -u "$user" -w "/workspaces/$folder" work npm ci
told setup

docker exec -u "$user" work /opt/agent/claude --version
told ready
