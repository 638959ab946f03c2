# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The watchdog of an environment: a small container beside it that ends it at an absolute time.

It needs no server, no network and no credentials: only the engine's socket. The engine keeps it alive: it comes back
after a restart of the engine or of the machine and then acts at once when the time has passed. Being a child of the
engine it outlives whatever started it. Within one boot it counts the time that passes and does not believe a wall clock
that was set meanwhile. It removes what carries its environment's label and nothing else, itself last.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Dict, List, Mapping, Optional

from ._docker import Docker
from ._errors import FuelError
from ._identity import TAG_ENVIRONMENT

#: A lease that nobody stated, in seconds.
DEFAULT_LEASE = 8 * 3600

#: What it takes for the time. `wall`, `$proc` and `$anchor` are apart so that a test can stand in for the machine.
CLOCK = r"""
our ($proc, $anchor) = ('/proc', '/anchor');
sub wall { return time }

sub first_line {
  open(my $file, '<', $_[0]) or return '';
  my $line = <$file> // '';
  chomp $line;
  return $line;
}

# Seconds until the deadline: the wall clock as it was when this deadline was first seen, and what has really passed
# since then, sleep included. So within one boot nobody who sets the wall clock ends anything early or keeps it alive.
sub left {
  my ($deadline) = @_;
  my $boot = first_line("$proc/sys/kernel/random/boot_id");
  my ($up) = first_line("$proc/uptime") =~ /^(\d+)/;
  return $deadline - wall() unless defined $up && $boot ne '';
  my ($for, $in, $at, $then) = first_line($anchor) =~ /^(\d+) (\S+) (\d+) (\d+)$/;
  unless (defined $then && $for == $deadline && $in eq $boot && $at <= $up) {
    ($at, $then) = ($up, wall());
    if (open(my $file, '>', "$anchor.new")) {
      print $file "$deadline $boot $at $then\n";
      close($file) and rename("$anchor.new", $anchor);
    }
  }
  return $deadline - $then - ($up - $at);
}
"""

_PROGRAM = (
    r"""
use strict; use warnings;
use IO::Socket::UNIX; use JSON::PP;
my ($environment, $self, $armed_for) = @ARGV;
$| = 1;
$SIG{TERM} = $SIG{INT} = sub { exit 0 };
"""
    + CLOCK
    + r"""
sub deadline {
  open(my $file, '<', '/deadline') or return $armed_for;
  my $line = <$file>;
  return defined $line && $line =~ /^(\d+)/ ? $1 : $armed_for;
}

# HTTP/1.0: the engine answers in one piece and closes.
sub ask {
  my ($method, $path) = @_;
  my $answer = '';
  eval {
    local $SIG{ALRM} = sub { die "no answer\n" };
    alarm 60;
    my $engine = IO::Socket::UNIX->new(Peer => '/run/engine.sock') or die "no engine: $!\n";
    print $engine "$method $path HTTP/1.0\r\nHost: engine\r\n\r\n";
    local $/;
    $answer = <$engine> // '';
    alarm 0;
  };
  alarm 0;
  my ($head, $body) = split(/\r\n\r\n/, $answer, 2);
  my $status = ($head // '') =~ m{^HTTP/\S+ (\d+)} ? $1 : 0;
  my $value = $status == 200 ? eval { decode_json($body) } : undef;
  return ($status, $value);
}

sub filter {
  my ($kind, $text) = @_;
  my $json = encode_json({ $kind => [$text] });
  $json =~ s/([^A-Za-z0-9_.-])/sprintf('%%%02X', ord($1))/ge;
  return "filters=$json";
}

my $label = filter('label', "fuel-code:environment=$environment");

sub others {
  my ($status, $found) = ask('GET', "/containers/json?all=1&$label");
  return unless $status == 200 && ref $found eq 'ARRAY';
  return [grep { my $one = $_; !grep { $_ eq "/$self" } @{ $one->{Names} // [] } } @$found];
}

# True when nothing but this watchdog is left.
sub purge {
  my $containers = others() or return 0;
  ask('DELETE', "/containers/$_->{Id}?force=1&v=1") for @$containers;
  my ($volumes_status, $volumes) = ask('GET', "/volumes?$label");
  ask('DELETE', "/volumes/$_->{Name}") for @{ ($volumes // {})->{Volumes} // [] };
  my ($networks_status, $networks) = ask('GET', "/networks?$label");
  ask('DELETE', "/networks/$_->{Id}") for @{ $networks // [] };
  my $tags = 'fuel-code/environment:' . lc($environment) . '-';
  my ($images_status, $images) = ask('GET', '/images/json?' . filter('reference', 'fuel-code/environment'));
  for my $image (@{ $images // [] }) {
    ask('DELETE', "/images/$_?noprune=1") for grep { index($_, $tags) == 0 } @{ $image->{RepoTags} // [] };
  }
  return 0 unless $volumes_status == 200 && $networks_status == 200;
  my $left = others();
  (undef, $volumes) = ask('GET', "/volumes?$label");
  (undef, $networks) = ask('GET', "/networks?$label");
  return $left && !@$left && $volumes && !@{ $volumes->{Volumes} // [] } && $networks && !@$networks;
}

my ($ready) = ask('GET', '/_ping');
if ($ready != 200) { print "the engine does not answer\n"; exit 1 }
print "armed\n";
while (1) {
  my $left = left(deadline());
  if ($left > 0) { sleep($left < 5 ? $left : 5); next }
  print "time is up\n";
  if (purge()) { ask('DELETE', "/containers/$self?force=1&v=1") }
  sleep 3;
}
"""
)

#: $1 the new deadline or nothing, $2 the one it was armed for. Prints the deadline that held until now.
_MOVE = r"""
old=$(cat /deadline 2>/dev/null || printf '%s' "$2")
printf '%s\n' "$old"
if [ -n "$1" ] && [ "$1" != "$old" ]; then
  printf '%s\n' "$1" >/deadline.new && mv -f /deadline.new /deadline
fi
"""


def container_name(container: str) -> str:
    """The watchdog's container beside the environment's `container`; no service can have a name with this dot."""
    return f"{container}.watchdog"


def engine_socket(docker: Docker, environ: Mapping[str, str], platform: str = sys.platform) -> str:
    """Path of the engine's own socket on the engine's machine, for a bind mount.

    An engine in a virtual machine or behind ssh:// and tcp:// has it at the usual place, whatever the CLI's address is.
    """
    usual = "/var/run/docker.sock"
    host = environ.get("DOCKER_HOST", "")
    if not host and not platform.startswith("linux"):
        return usual
    if not host:
        context = docker.call(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], check=False)
        host = context.text
    path = host[len("unix://") :] if host.startswith("unix://") else ""
    return path if path.startswith("/") and "/desktop/" not in path else usual


def arm(
    docker: Docker,
    *,
    container: str,
    image: str,
    labels: Mapping[str, str],
    expires_at: float,
    environ: Optional[Mapping[str, str]] = None,
) -> None:
    """Start the watchdog of the environment whose container is (going to be) `container`."""
    name = container_name(container)
    socket = engine_socket(docker, os.environ if environ is None else environ)
    args = ["run", "--detach", "--name", name, "--restart", "always", "--network", "none", "--user", "0"]
    args += ["--memory", "64m", "--pids-limit", "32", "--cap-drop", "ALL", "--userns", "host"]
    args += ["--security-opt", "no-new-privileges", "--security-opt", "label=disable"]
    args += ["--log-driver", "local", "--log-opt", "max-size=1m", "--log-opt", "max-file=2"]
    args += ["--mount", f"type=bind,source={socket},target=/run/engine.sock"]
    for key, value in labels.items():
        args += ["--label", f"{key}={value}"]
    args += ["--entrypoint", "perl", image, "-e", _PROGRAM]
    args += [labels[TAG_ENVIRONMENT], name, str(int(expires_at))]
    docker.call(args, timeout=120)


def wait_until_armed(docker: Docker, container: str, seconds: float = 60.0) -> None:
    """Return once the watchdog has reached the engine; FuelError when it does not."""
    deadline = time.monotonic() + seconds
    while True:
        logs = docker.call(["logs", "--tail", "20", container_name(container)], check=False)
        if "armed" in logs.text.split():
            return
        if time.monotonic() > deadline:
            raise FuelError(
                "The watchdog cannot reach the Docker engine, so nothing would end this environment by itself",
                hint=f"see `docker logs {container_name(container)}`",
                where=container_name(container),
                code="watchdog_failed",
                details={"tail": (logs.text + "\n" + logs.error_text).splitlines()[-8:]},
            )
        time.sleep(0.1)


def armed_for(inspected: Mapping[str, Any]) -> str:
    """The deadline that an inspected watchdog was started with, as epoch seconds in text."""
    arguments: List[str] = inspected.get("Args") or [""]
    return arguments[-1]


def deadline(docker: Docker, inspected: Mapping[str, Any], move_to: Optional[float] = None) -> float:
    """The deadline that held until now, epoch seconds; with `move_to`, that one holds from now on."""
    name = str(inspected.get("Name", "")).lstrip("/")
    new = "" if move_to is None else str(int(move_to))
    done = docker.exec(name, ["sh", "-c", _MOVE, "move", new, armed_for(inspected)], user="0", timeout=60)
    return float(done.text or 0)


def is_running(inspected: Mapping[str, Any]) -> bool:
    """Whether an inspected container is at work."""
    state: Dict[str, Any] = inspected.get("State") or {}
    return bool(state.get("Running")) and not state.get("Paused") and not state.get("Restarting")
