#!/usr/bin/env bash
# A real SLURM with three nodes on this machine, to try the batch scripts (`make test-slurm` does).
#   local_cluster.sh start DIR     start it, with all its files in DIR; prints the SLURM_CONF to export
#   local_cluster.sh status DIR    list the nodes
#   local_cluster.sh stop DIR      end its jobs and daemons; ports: SLURM_LOCAL_PORT (26817) and three more
set -euo pipefail

command=${1:-} DIR=$(realpath -m "${2:-/nowhere}") here=$(dirname "$(realpath "$0")")
if [[ ! $command =~ ^(start|stop|status)$ || $# != 2 ]]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
PATH=$PATH:/usr/sbin:/sbin
for program in slurmctld slurmd scontrol munged; do
    command -v $program >/dev/null && continue
    echo "$program is not installed: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge" >&2
    exit 1
done
export SLURM_CONF=$DIR/slurm.conf

until_true() {
    for _ in {1..400}; do "$@" && return; sleep 0.1; done &>/dev/null
    echo "Timed out after 40 s waiting for: $*. Logs are in $DIR." >&2
    exit 1
}
no_jobs() { [ -z "$(squeue --noheader)" ]; }
nodes_are_idle() { [ "$(sinfo --noheader --Node --partition=main,spot --format=%T | grep -cx idle)" = 3 ]; }

start() {
    local port=${SLURM_LOCAL_PORT:-26817}
    # The folder of the key must let clients through to the socket; the key itself is its owner's alone.
    mkdir -p "$DIR/state" "$DIR/munge" && chmod 711 "$DIR/munge"
    [ -s "$DIR/munge/key" ] || (umask 077 && head -c 128 /dev/urandom >"$DIR/munge/key")
    sed -e "s|@DIR@|$DIR|; s|@HOST@|$(hostname -s)|; s|@USER@|$(id -un)|" \
        -e "s|@PORT@|$port|; s|@PORT0@|$((port + 1))|; s|@PORT1@|$((port + 2))|; s|@PORT2@|$((port + 3))|" \
        "$here/local_slurm.conf" >"$SLURM_CONF"
    echo "Name=gpu File=/dev/null" >"$DIR/gres.conf"
    munged --force --key-file="$DIR/munge/key" --socket="$DIR/munge/socket" --pid-file="$DIR/munge/munged.pid" \
        --log-file="$DIR/munge/munged.log" --seed-file="$DIR/munge/seed"
    until_true munge --no-input --socket="$DIR/munge/socket"
    slurmctld -c
    for node in n0 n1 n2; do slurmd -N $node; done
    until_true nodes_are_idle
    echo "export SLURM_CONF=$SLURM_CONF"
}
stop() {
    if kill -0 "$(cat "$DIR/slurmctld.pid" 2>&1)" 2>/dev/null; then
        scancel --user="$(id -un)"
        (until_true no_jobs) || true # they have half a minute to end
    fi
    for pid_file in "$DIR"/slurmd.n?.pid "$DIR/slurmctld.pid" "$DIR/munge/munged.pid"; do
        pid=$(cat "$pid_file" 2>/dev/null) || continue
        if kill "$pid" 2>/dev/null; then until_true has_ended "$pid"; fi
    done
}
# A zombie has ended too, if nothing reaps orphans.
has_ended() { [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"; }
status() { sinfo --Node --long; }
"$command"
