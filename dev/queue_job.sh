# shellcheck shell=bash
# The addons beside ours, each of which installs itself beside another one; and OCA's queue_job,
# which only dunning_sequences_queue_job needs. Source after lib.sh.

# Ours, and what it stands beside: one a line. Odoo's dashboards come with accounting: beside
# what is there already nothing installs itself, so that one is asked for.
GLUES=(
    dunning_sequences_queue_job:queue_job
    dunning_sequences_sale:sale
    dunning_sequences_spreadsheet:dunning_sequences_spreadsheet
    dunning_sequences_snailmail:dunning_sequences_snailmail
)
# The same apart: MODULES of ours, and what to install, with commas.
MODULES=("${GLUES[@]%%:*}")
BESIDE=$(IFS=,; echo "${GLUES[*]#*:}")

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
