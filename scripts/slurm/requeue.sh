# shellcheck shell=bash
# Sourced by the batch scripts: run a training, pass SLURM's signals on to it, and requeue the job when it ended early.
# The requeued job runs the same command, which continues the newest checkpoint (resume=auto).
#
#   exit code of amp-train   what happens
#   0                        done
#   2, 3                     the command or the training itself needs a change: the job fails
#   75                       stopped and saved: requeued, unless it was scancel
#   anything else            it crashed: requeued, unless it was scancel
#
# The third start in a row without a checkpoint of a later iteration is the last (MAX_STARTS), so that a job that only
# crashes is not requeued forever. The count is in <run directory>/slurm_starts; remove that file to start over.
set -u
PATH=${AMP_TRAIN_HOME:-$SLURM_SUBMIT_DIR}/.venv/bin:$PATH
# The bare job id of an array's last task would mean the whole array.
JOB=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
JOB=${JOB:-$SLURM_JOB_ID}

last_value() { # KEY DEFAULT ARGUMENT...: what the last KEY=VALUE among the arguments says
    local key=$1 value=$2 argument
    for argument in "${@:3}"; do [[ $argument != "$key="* ]] || value=${argument#*=}; done
    echo "$value"
}
newest_iteration() { # RUN_DIR: of its checkpoints; a checkpoint is whole once it has a manifest, which is written last
    local newest
    newest=$(find "$1/nn" -name '*.json' -type f -exec sed -n 's/^ *"iteration": \([0-9]\{1,15\}\),*$/\1/p' {} + 2>/dev/null |
        sort -n | tail -n 1)
    echo "${newest:-0}"
}
fruitless_starts() { # RUN_DIR: how many starts since its newest checkpoint was of an earlier iteration
    local starts=0 iteration=0
    [ -L "$1/slurm_starts" ] || [ ! -f "$1/slurm_starts" ] || read -r starts iteration <"$1/slurm_starts"
    [[ "$starts $iteration" =~ ^[0-9]{1,15}\ [0-9]{1,15}$ ]] || starts=0 iteration=0
    (($(newest_iteration "$1") > 10#$iteration)) && echo 0 || echo "$((10#$starts))"
}
give_up() { # RUN_DIR EXIT_CODE
    echo "Not started again: $(fruitless_starts "$1") starts in a row wrote no later checkpoint in $1." >&2
    exit "$2"
}
run_until_done() { # COMMAND...: ends the batch script
    local experiment run_dir starts noted training code signalled=yes most=${MAX_STARTS:-3}
    experiment=$(last_value experiment "" "$@")
    run_dir=$(last_value train_dir runs "$@")/$experiment
    (($(fruitless_starts "$run_dir") < most)) || give_up "$run_dir" 1
    starts=$(($(fruitless_starts "$run_dir") + 1))
    # Moved into its place, which may be a link.
    mkdir -p "$run_dir" && noted=$(mktemp "$run_dir/.slurm_starts.XXXXXX") &&
        echo "$starts $(newest_iteration "$run_dir")" >"$noted" && mv -fT "$noted" "$run_dir/slurm_starts"

    "$@" resume=auto &
    training=$!
    trap 'signalled=yes; kill -USR1 $training' USR1
    trap 'signalled=yes; kill -TERM $training' TERM
    while [ $signalled ]; do # a signal ends the wait, not the training
        signalled="" code=0
        wait $training || code=$?
    done
    case $code in 0 | 2 | 3) exit $code ;; esac
    case $(squeue --noheader --jobs="$JOB" --format="%T %r") in
    "COMPLETING TimeLimit") ;;
    COMPLETING*) # scancel, or preemption, after which SLURM requeues the job by itself
        echo "SLURM is ending this job (exit code $code). If SLURM does not requeue it, submit it again with experiment=$experiment."
        exit $code ;;
    esac
    (($(fruitless_starts "$run_dir") < most)) || give_up "$run_dir" $code
    echo "Exit code $code: the job is requeued."
    scontrol requeue "$JOB"
    exit $code
}
