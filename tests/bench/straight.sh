#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What somebody would write for one machine: container, repository, dependencies, agent, a login over SSH that works.
# No repeat, no cleaning up, no error handling: the least that the work itself costs.
#   straight.sh REPOSITORY IMAGE NAME FOLDER [AGENT_URL]
set -euo pipefail

repository=$1 image=$2 name=$3 folder=$4 agent_url=${5:-}
agent=$folder/agent run=$folder/$name
mkdir -p "$run" "$agent"

if [ -n "$agent_url" ]; then
  rm -rf "$agent"
  mkdir -p "$agent"
  curl -fsS "$agent_url" | tar -xz -C "$agent" --strip-components 1
  chmod 755 "$agent/claude"
fi
docker run -d --init --name "$name" -v "$agent:/opt/agent:ro" "$image" sleep infinity >/dev/null
git -C "$repository" bundle create -q "$run/repo.bundle" HEAD main
docker cp "$run/repo.bundle" "$name:/tmp/repo.bundle"
user=$(docker exec "$name" id -nu 1000)
docker exec "$name" install -d -o "$user" /workspaces
docker exec -u "$user" "$name" git clone -q -b main /tmp/repo.bundle /workspaces/node-api
docker exec -u "$user" -w /workspaces/node-api "$name" npm ci >/dev/null
docker exec -u "$user" "$name" /opt/agent/claude --version >/dev/null

ssh-keygen -q -t ed25519 -N '' -f "$run/key"
home=$(docker exec -u "$user" "$name" sh -c 'cd && pwd')
docker exec -i -u "$user" "$name" sh -c "umask 077; mkdir -p $home/.ssh; cat >$home/.ssh/authorized_keys" <"$run/key.pub"
docker exec "$name" sh -c 'mkdir -p /run/sshd; [ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
printf '%s %s\n' "$name" "$(docker exec "$name" cat /etc/ssh/ssh_host_ed25519_key.pub)" >"$run/known_hosts"
ssh -F none -i "$run/key" -o IdentitiesOnly=yes -o UserKnownHostsFile="$run/known_hosts" -o HostKeyAlgorithms=ssh-ed25519 \
  -o ProxyCommand="docker exec -i $name /usr/sbin/sshd -i" "$user@$name" true
