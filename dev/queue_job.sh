# shellcheck shell=bash
# OCA's queue_job, which only dunning_sequences_queue_job needs. Source after lib.sh.

GLUE=dunning_sequences_queue_job

# Sets QUEUE_JOB: the folder to put on PYTHONPATH, so that Odoo finds the addon.
need_queue_job() {
    local list=$ROOT/dev/requirements-queue-job.txt
    QUEUE_JOB=$CACHE/queue_job-$({ echo "$VENV"; cat "$list"; } | hash8)
    [ ! -d "$QUEUE_JOB" ] || return 0
    rm -rf "$QUEUE_JOB.tmp"
    # Without what it requires: "odoo" is no package of PyPI.
    quietly "$LOGS/queue-job-pip.log" env PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
        "$VENV/bin/python" -m pip install -q --no-deps --target "$QUEUE_JOB.tmp" -r "$list"
    mv "$QUEUE_JOB.tmp" "$QUEUE_JOB"
}
