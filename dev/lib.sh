# shellcheck shell=bash
# What the scripts of dev/ share: where things live, messages, the private PostgreSQL.
set -euo pipefail

# Settings for PostgreSQL, Python, Odoo and pytest that somebody has made for other work.
unset "${!PG@}" PYTHONPATH PYTHONHOME ODOO_RC OPENERP_SERVER PYTEST_ADDOPTS

ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
ADDON=dunning_sequences
TEMPLATE=template_account
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME

hash8() { sha256sum | cut -c1-8; }

# The cache is shared by all clones of this user; everything in it carries in its name
# what it was built from, and can be deleted at any time.
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/$ADDON
# The state belongs to one clone: databases, mails, logs.
CLONE=$(basename "$ROOT")-$(printf %s "$ROOT" | hash8)
STATE=${XDG_STATE_HOME:-$HOME/.local/state}/$ADDON/$CLONE
LOGS=$STATE/log

# PostgreSQL refuses to run as root, so root runs it as Debian's user "postgres", which cannot
# look into root's home. cluster_home KEY: the folder of this clone's cluster.
state_hash() { echo "$STATE" | hash8; }
if [ "$(id -u)" = 0 ]; then
    PGUSER_OS=postgres
    PGHOME=/var/lib/$ADDON
    cluster_home() { echo "$PGHOME/$CLONE-$(state_hash)-$1"; }
else
    PGUSER_OS=$(id -un)
    PGHOME=$CACHE
    cluster_home() { echo "$STATE/postgresql-$1"; }
fi
clusters() { compgen -G "$(cluster_home '*')/pgdata" || true; }

# --- messages -------------------------------------------------------------------

say() { [ -n "${QUIET:-}" ] || printf '%s\n' "$*" >&2; }
die() { printf '\nStopped: %s\n' "$*" >&2; exit 1; }

# quietly LOGFILE COMMAND…: the command's output goes to a file; when it fails, say why
# in one sentence if the reason is a known one, and show the end of the file.
quietly() {
    local log=$1 status=0
    shift
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    [ "$status" = 0 ] && return 0
    tail -n 20 "$log" | sed 's/^/    | /' >&2
    explain "$log"
    die "the step above failed (exit code $status). The whole log: $log. A new run carries on from here."
}

explain() {
    if grep -qiE 'No space left on device|not have enough free space' "$1"; then
        die "the disk is full. Free some space (or point XDG_CACHE_HOME and XDG_STATE_HOME to a larger disk) and run it again."
    elif grep -qiE 'Could not resolve|Temporary failure (in name resolution|resolving)|Could not connect|Unable to connect|Failed to fetch|Connection (refused|timed out)|Max retries exceeded|Failed to establish a new connection|Network is unreachable|ProxyError|from versions: none' "$1"; then
        die "a package could not be downloaded. Check the network (and http_proxy, https_proxy), then run it again: what is already there is kept."
    elif grep -qF 'No matching distribution found' "$1"; then
        die "a package of dev/requirements.txt does not exist for this Python ($("$VENV/bin/python" --version)). Name another one: make … PYTHON=/path/to/python3.11"
    elif grep -qiE 'Could not get lock|Unable to lock' "$1"; then
        die "another program is installing packages. Wait until it has finished, then run it again."
    fi
}

# --- which Python, which PostgreSQL, built from what -------------------------------

# The key of a prepared clone: when any of these changes, dev/prepare looks again.
inputs_key() {
    { cat "$ROOT"/dev/{lib.sh,prepare,seed.py,requirements.txt}
      echo "${ODOO_PATH:-} ${PYTHON:-}"; } | hash8
}

# Read what dev/prepare found out; false when there is nothing, or it is out of date.
load_prepared() {
    [ -f "$STATE/prepared" ] || return 1
    # shellcheck disable=SC1091
    . "$STATE/prepared"
    [ "${KEY:-}" = "$(inputs_key)" ] && [ -x "$VENV/bin/python" ] && [ -d "$ODOO/odoo" ] &&
        [ -x "$PGBIN/postgres" ] && [ -e "$PGDATA/PG_VERSION" ] && [ -f "$STATE/odoo.conf" ]
}

# Prepare whatever is missing, and start the database server.
# need_odoo [tests]: "tests" wants a browser, too.
need_odoo() {
    if ! load_prepared || { [ "${1:-}" = tests ] && [ -z "$(find_browser)" ]; }; then
        "$ROOT/dev/prepare" ${1:+"$1"}
        load_prepared || die "dev/prepare did not finish its work."
    fi
    start_postgres
}

# By the names under which Odoo looks for it.
find_browser() {
    command -v google-chrome chromium chromium-browser google-chrome-stable | head -n 1
}

# --- the private PostgreSQL ----------------------------------------------------------
# It listens on a socket only, and nobody but this user gets into the socket's folder.

as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && runuser -u postgres -- "$@")
    else
        (cd / && "$@")
    fi
}

# make_socket_dir DIR. The path of a socket has to be short: hence /tmp.
make_socket_dir() {
    if mkdir -m 700 "$1" 2>/dev/null; then
        [ "$(id -u)" != 0 ] || chown "$PGUSER_OS" "$1"
    elif [ -L "$1" ] || [ "$(stat -c %U "$1")" != "$PGUSER_OS" ]; then
        die "$1 belongs to somebody else, and the database's socket has to be there. Remove it, then run it again."
    fi
}

# run_postgres PGDATA SOCKET_DIR: start it, whatever an interrupted run has left.
run_postgres() {
    local log
    log=$(dirname "$1")/postgresql.log
    make_socket_dir "$2"
    if as_postgres "$PGBIN/pg_ctl" status -D "$1" >/dev/null 2>&1; then
        as_postgres "$PGBIN/pg_ctl" stop -D "$1" -m fast >/dev/null 2>&1 || true
    fi
    as_postgres "$PGBIN/pg_ctl" start -w -t 120 -s -D "$1" -l "$log" \
        -o "-k '$2' -c listen_addresses=''" </dev/null >/dev/null 2>&1 || {
        tail -n 10 "$log" | sed 's/^/    | /' >&2
        explain "$log"
        die "PostgreSQL does not start. Its log: $log. 'make clean' throws this clone's databases away."
    }
}

stop_postgres() {
    as_postgres "$PGBIN/pg_ctl" stop -D "${1:-$PGDATA}" -m fast >/dev/null 2>&1 || true
}

postgres_is_up() { "$PGBIN/pg_isready" -q -h "$SOCKET" -p 5432; }

start_postgres() {
    postgres_is_up && return
    (
        # One at a time; the server must not inherit the locks: hence 8>&- and 7>&-.
        flock 8
        postgres_is_up || run_postgres "$PGDATA" "$SOCKET" 8>&- 7>&-
    ) 8>"$STATE/.postgres.lock"
}

psql_() { "$PGBIN/psql" -X -q -h "$SOCKET" -p 5432 -U odoo -v ON_ERROR_STOP=1 "$@"; }
has_db() { [ "$(psql_ -d postgres -Atc "SELECT 1 FROM pg_database WHERE datname = '$1'")" = 1 ]; }

# drop_db NAME, copy_db FROM TO: with Odoo's files, which PostgreSQL knows nothing of.
drop_db() {
    "$PGBIN/dropdb" --if-exists --force -h "$SOCKET" -p 5432 -U odoo "$1" 2>/dev/null
    rm -rf "${DATA:?}/filestore/$1"
}

copy_db() {
    drop_db "$2"
    "$PGBIN/createdb" -h "$SOCKET" -p 5432 -U odoo -T "$1" "$2"
    [ ! -d "$DATA/filestore/$1" ] || cp -a "$DATA/filestore/$1" "$DATA/filestore/$2"
}

# A note on a database: what was installed in it, so that it can be used again.
db_note() { psql_ -d postgres -Atc "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '$1'"; }
set_db_note() { psql_ -d postgres -c "COMMENT ON DATABASE \"$1\" IS '$2'"; }

# The key of what an installed addon consists of: all of its files but tests and texts about it.
# Those of the addons beside it, too: most of them install themselves with it.
addon_key() {
    (cd "$ROOT" && find "$ADDON" "$ADDON"_* -type f ! -path '*/tests/*' ! -path '*/__pycache__/*' ! -path '*/readme/*' \
        ! -path '*/static/description/*' ! -name '*.md' ! -name '*.rst' -print0 | sort -z | xargs -0 cat -- | hash8)
}

# --- other helpers ---------------------------------------------------------------------

# port_is_free PORT
port_is_free() {
    "$VENV/bin/python" -c 'import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1])))' "$1" 2>/dev/null
}

# start_inbox FOLDER [ARGS…]: sets INBOX_PID and SMTP_PORT.
start_inbox() {
    local ready=$STATE/inbox.ready
    rm -f "$ready"
    (cd "$ROOT" && exec "$VENV/bin/python" -m dev.inbox "$@" --ready-file "$ready") >"$LOGS/inbox.log" 2>&1 </dev/null &
    INBOX_PID=$!
    while [ ! -f "$ready" ]; do
        kill -0 "$INBOX_PID" 2>/dev/null || die "the inbox does not start: $(tail -n 1 "$LOGS/inbox.log")"
        sleep 0.05
    done
    SMTP_PORT=$("$VENV/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["smtp_port"])' "$ready")
}

# In CI nothing stays behind; elsewhere the database server stays up for the next command.
stop_in_ci() { [ -z "${CI:-}" ] || stop_postgres; }

# Two runs of the same kind would take each other's database away.
one_at_a_time() {
    exec 7>"$STATE/.$(basename "$0").lock"
    flock -n 7 || { say "Waiting for another $(basename "$0") of this clone to end…"; flock 7; }
}
