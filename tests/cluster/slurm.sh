#!/usr/bin/env bash
# Sweeps on Slurm, on a cluster of one node that this script starts in a temporary folder and ends again: see README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

place=$(mktemp -d)
node=$(hostname -s)
export SLURM_CONF=$place/slurm.conf OMP_NUM_THREADS=1
daemons=()

main() {
    for program in munged slurmctld slurmd sbatch lazylab; do
        command -v "$program" >"$place/found" || { echo "missing: $program (see tests/cluster/README.md)" >&2; exit 2; }
    done
    trap stop EXIT
    start_slurm
    settings=(--widths 16 32 --seeds 4 --steps 200 --variants centred --readouts last)
    sweep serial --executor serial >"$place/output" 2>&1
    [ $# -gt 0 ] || set -- array_of_shards workers_by_jobqueue scheduler_that_dies
    for part in "$@"; do "$part"; done
    echo "passed"
}

# a sweep in a folder of its own, with run options
sweep() { lazylab run width --preset fast "${settings[@]}" --out "$place/$1" "${@:2}"; }

array_of_shards() {
    echo "+ sbatch --array, with --shard"
    sbatch --wait --quiet --array=1-3 --output "$place/shard-%a.log" --export ALL --wrap \
        "lazylab run width --preset fast ${settings[*]} --out $place/array --executor serial \
         --shard \$SLURM_ARRAY_TASK_ID/\$SLURM_ARRAY_TASK_COUNT" || { cat "$place"/shard-*.log; exit 1; }
    same_table array
}

workers_by_jobqueue() {
    echo "+ --scheduler, with workers of dask-jobqueue"
    start_scheduler --jobs 2 --when "$place/waiting"
    sweep jobqueue --executor dask --scheduler "$address" >"$place/output" 2>&1 &
    local run=$!
    until grep -q "0/8 cells, waiting for workers (none has joined $address)" "$place/output"; do
        kill -0 "$run" || { echo "the bar does not say that it waits for workers" >&2; exit 1; }
        sleep 0.5  # what is no terminal gets a line every ten seconds
    done
    touch "$place/waiting"
    wait "$run"
    stop_scheduler TERM
    same_table jobqueue
}

scheduler_that_dies() {
    echo "+ a scheduler that is killed in the middle"
    settings=(--widths 64 128 --seeds 4 --steps 1000 --variants centred --readouts last)
    start_scheduler --jobs 1
    sweep killed --executor dask --scheduler "$address" >"$place/output" 2>&1 &
    local run=$! status=0
    until compgen -G "$place/killed/cells/*.json" >"$place/found"; do sleep 0.1; done
    stop_scheduler KILL
    wait "$run" || status=$?
    local cells
    cells=$(compgen -G "$place/killed/cells/*.json" | wc -l)
    tail -n 1 "$place/output"
    [ "$status" = 2 ] || { echo "exit status $status in place of 2" >&2; exit 1; }
    [ "$cells" -lt 8 ] || { echo "all cells had been measured" >&2; exit 1; }
    tail -n 1 "$place/output" | grep -q "^lazylab: --scheduler: got '$address'.* allowed: .* Fix: "
    sweep killed --executor serial >"$place/output"  # the finished cells are not measured again
    mv "$place/serial" "$place/before"
    sweep serial --executor serial >"$place/output"
    same_table killed
}

# the table of a folder equals the serial run's in all but columns of seconds
same_table() {
    python - "$place/serial/table.csv" "$place/$1/table.csv" <<'PYTHON'
import sys
import pandas as pd

tables = [pd.read_csv(path, dtype=str) for path in sys.argv[1:]]
ours, theirs = (table[[name for name in table if not name.endswith("seconds")]] for table in tables)
assert len(ours) == 8
pd.testing.assert_frame_equal(ours, theirs)
PYTHON
    echo "= the table of $1 is the serial run's"
}

# `address` is that of a scheduler whose workers are jobs of Slurm
start_scheduler() {
    rm -f "$place/address"
    python tests/cluster/jobqueue.py "$place" "$@" >"$place/jobqueue.log" 2>&1 &
    scheduler=$!
    until [ -s "$place/address" ]; do
        kill -0 "$scheduler" || { cat "$place/jobqueue.log" >&2; exit 1; }
        sleep 0.1
    done
    address=$(cat "$place/address")
}

stop_scheduler() {
    kill -"$1" "$scheduler"
    wait "$scheduler" 2>"$place/found" || true
    scheduler=
    end_jobs
}

end_jobs() {
    scancel --user "$(id -un)"
    for _ in $(seq 200); do
        [ -n "$(squeue --noheader)" ] || return 0
        sleep 0.1
    done
    echo "jobs do not end" >&2
}

start_slurm() {
    mkdir "$place/state" "$place/spool"
    cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=$(id -un)
AuthInfo=socket=$place/munge.socket
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
ProctrackType=proctrack/linuxproc
KillWait=2
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=sched_interval=1
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc --all) RealMemory=$(free -m | awk '/^Mem/ {print int($2 / 2)}')
PartitionName=main Nodes=ALL Default=YES State=UP
CONF
    (umask 077 && head -c 128 /dev/urandom >"$place/munge.key")
    munged --foreground --force --key-file "$place/munge.key" --socket "$place/munge.socket" \
        --pid-file "$place/munge.pid" --seed-file "$place/munge.seed" >"$place/munged.log" 2>&1 &
    daemons+=($!)
    until [ -S "$place/munge.socket" ]; do sleep 0.1; done
    slurmctld -D >"$place/slurmctld.log" 2>&1 &
    daemons+=($!)
    slurmd -D >"$place/slurmd.log" 2>&1 &
    daemons+=($!)
    for _ in $(seq 300); do
        [ "$(sinfo --noheader --format %t 2>"$place/found")" = idle ] && return
        sleep 0.1
    done
    cat "$place"/*.log >&2
    exit 1
}

stop() {
    [ -z "${scheduler:-}" ] || kill -KILL "$scheduler"
    end_jobs || true
    for ((k = ${#daemons[@]} - 1; k >= 0; k--)); do
        kill "${daemons[k]}" && wait "${daemons[k]}" || true
    done
    rm -rf "$place"
}

main "$@"
