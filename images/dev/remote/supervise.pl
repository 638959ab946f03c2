# SPDX-License-Identifier: GPL-3.0-or-later
# perl supervise.pl COMMAND [ARGUMENT...]: keeps sshd running, and ends the machine: at its deadline, and when told to (SIGTERM).
#
# tini is its parent and ends with it, and all that runs in the machine ends with tini. So killed in any way, this ends
# the machine too: nothing goes on running that nobody would end. It is root's, and what it guards is dev's.
use strict;
use warnings;
use POSIX qw(WNOHANG strftime);

# Seconds, nearly twice, in which programs may end by themselves; Fly.io kills a machine 5 s after its SIGTERM.
use constant GRACE => 2;
# Seconds for which the wall clock has to say that the time is up before it is believed against the other one.
use constant DOUBT => 20;
# Seconds between two starts of sshd.
use constant PAUSE => 2;

my @command = @ARGV or die "supervise.pl: what?\n";
my $top     = getppid();
my ($server, $started, $told) = (0, 0, '');
my ($for, $ends, $doubted) = ('', 0, 0);
$| = 1;
$SIG{$_} = sub { $told ||= "SIG$_[0]" } for qw(TERM INT QUIT);
# Interrupts a sleep.
$SIG{CHLD} = sub { };

sub first_line {
  open(my $file, '<', $_[0]) or return '';
  my $line = <$file> // '';
  chomp $line;
  return $line;
}

# Seconds since the boot, those in which the machine slept among them (CLOCK_BOOTTIME).
sub uptime {
  return first_line('/proc/uptime') =~ /^(\d+)/ ? $1 : die "supervise.pl: /proc/uptime cannot be read\n";
}

sub report { print "fuel-code: $_[0]\n" }

sub start {
  $started = uptime();
  my $pid = fork();
  return report("sshd cannot be started: $!") if !defined $pid;
  return $server = $pid if $pid;
  $SIG{$_} = 'DEFAULT' for qw(TERM INT QUIT CHLD);
  exec { $command[0] } @command or POSIX::_exit(127);
}

# Everybody below tini but ourselves and those of a name: not who else is in the machine, be it the cloud's own programs.
sub others {
  my ($but) = @_;
  my (%children, %name);
  for my $stat (glob '/proc/[0-9]*/stat') {
    my ($pid, $name, $parent) = first_line($stat) =~ /^(\d+) \((.*)\) \S (\d+) / or next;
    push @{ $children{$parent} }, $pid;
    $name{$pid} = $name;
  }
  my @found = @{ $children{$top} // [] };
  for (my $at = 0 ; $at < @found ; $at++) { push @found, @{ $children{ $found[$at] } // [] } }
  return grep { $_ != $$ && $name{$_} ne $but } @found;
}

sub wait_until_gone {
  my ($seconds, $but) = @_;
  my $until = uptime() + $seconds;
  while (others($but) && uptime() < $until) {
    1 while waitpid(-1, WNOHANG) > 0;
    select(undef, undef, undef, 0.1);
  }
}

# Nobody comes in any more. Programs end before the sessions that they write to: who says something at its end to nobody
# is killed for it (SIGPIPE). Then those who take an end from their terminal alone, as shells do, and who is left.
sub end {
  my ($why) = @_;
  report("$why: ending");
  kill 'TERM', $server if $server;
  kill 'TERM', others('sshd');
  wait_until_gone(GRACE, 'sshd');
  kill 'TERM', others('');
  kill 'HUP', others('');
  wait_until_gone(GRACE, '');
  kill 'KILL', others('');
  exit 0;
}

# What this machine was started with, unless that very time was moved since (fuel-code-deadline).
sub deadline {
  my ($given) = first_line('/run/fuel-code/deadline') =~ /^(\d+|never)$/;
  my ($moved, $from) = first_line('/workspaces/.fuel-code/deadline') =~ /^(\d+|never) (\d+|never)$/;
  # What cannot be read now was read before.
  return $for || '0' if !defined $given;
  return defined $from && $from eq $given ? $moved : $given;
}

# Two clocks are asked, for either may be wrong. What has really passed since this deadline was first seen: so nobody
# stays alive by setting the clock back. And the wall clock, when it stays with what it says: a machine that the cloud put
# to sleep does not notice that time passed. One that is put right again soon ends nothing.
sub time_is_up {
  my $deadline = deadline();
  if ($deadline ne $for) {
    ($for, $doubted) = ($deadline, 0);
    $ends = $deadline eq 'never' ? 0 : uptime() + $deadline - time();
    report('ends at ' . ($deadline eq 'never' ? 'no time' : strftime('%Y-%m-%d %H:%M:%S UTC', gmtime $deadline)));
  }
  return 0 if $for eq 'never';
  return 1 if uptime() >= $ends;
  if (time() < $for) {
    report('the clock was put right: going on') if $doubted;
    $doubted = 0;
    return 0;
  }
  if (!$doubted) {
    $doubted = uptime();
    report('the clock was set, and by it the time is up: waiting whether it stays so');
  }
  return uptime() - $doubted >= DOUBT;
}

start();
while (1) {
  end($told) if $told;
  end('the time is up') if time_is_up();
  while ((my $pid = waitpid(-1, WNOHANG)) > 0) {
    next if $pid != $server;
    report(sprintf('sshd ended (%d): it is started again', $? >> 8 || $? & 127));
    $server = 0;
  }
  start() if !$server && uptime() - $started >= PAUSE;
  sleep 1;
}
