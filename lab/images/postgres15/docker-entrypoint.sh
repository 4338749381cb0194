#!/bin/sh
# PostgreSQL with the behaviour its users rely on: the first start creates a cluster from POSTGRES_* (or *_FILE), runs
# the scripts of /docker-entrypoint-initdb.d on a server that only the local socket reaches, then starts for real.
set -eu

main() {
    case "${1:-}" in -*) set -- postgres "$@" ;; esac
    if [ "$1" = postgres ]; then
        for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do read_file_variable "$name"; done
        become_postgres "$@"
        create_cluster_once "$@"
    fi
    exec "$@"
}

# NAME_FILE may give the value of NAME, but not both.
read_file_variable() {
    eval "value=\${$1:-} file=\${$1_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then
        echo "error: both $1 and $1_FILE are set (but are exclusive)" >&2
        exit 1
    fi
    if [ -n "$file" ]; then
        value=$(cat "$file")
        export "$1=$value"
        unset "$1_FILE"
    fi
}

become_postgres() {
    [ "$(id -u)" = 0 ] || return 0
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
    find /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
    exec su-exec postgres "$0" "$@"
}

create_cluster_once() {
    if [ -s "$PGDATA/PG_VERSION" ]; then
        printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
        return
    fi
    : "${POSTGRES_USER:=postgres}"
    : "${POSTGRES_DB:=$POSTGRES_USER}"
    : "${POSTGRES_HOST_AUTH_METHOD:=scram-sha-256}"
    require_password
    initialise
    start_local_server "$@"
    create_database
    for script in /docker-entrypoint-initdb.d/*; do run_init_script "$script"; done
    pg_ctl -D "$PGDATA" -m fast -w stop
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

require_password() {
    [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ] || return 0
    cat >&2 <<'TEXT'
Error: Database is uninitialized and superuser password is not specified.
       Set POSTGRES_PASSWORD to a non-empty value, or POSTGRES_HOST_AUTH_METHOD=trust
       to accept every connection without a password.
TEXT
    exit 1
}

initialise() {
    chmod 700 "$PGDATA"
    password_file=$(mktemp)
    printf '%s\n' "${POSTGRES_PASSWORD:-}" > "$password_file"
    set -- --username="$POSTGRES_USER"
    [ -z "${POSTGRES_PASSWORD:-}" ] || set -- "$@" --pwfile="$password_file"
    # shellcheck disable=SC2086  # POSTGRES_INITDB_ARGS is a list of words
    initdb -D "$PGDATA" "$@" ${POSTGRES_INITDB_ARGS:-}
    rm -f "$password_file"
    printf '\nhost all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >> "$PGDATA/pg_hba.conf"
}

start_local_server() {
    shift
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432 $*" -w start
}

create_database() {
    [ "$POSTGRES_DB" != postgres ] || return 0
    sql postgres --set db="$POSTGRES_DB" <<'SQL'
SELECT 'CREATE DATABASE ' || quote_ident(:'db') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'db') \gexec
SQL
}

run_init_script() {
    case "$1" in
        *.sh) if [ -x "$1" ]; then echo "$0: running $1"; "$1"; else echo "$0: sourcing $1"; . "$1"; fi ;;
        *.sql) echo "$0: running $1"; sql "$POSTGRES_DB" -f "$1" ;;
        *.sql.gz) echo "$0: running $1"; gunzip -c "$1" | sql "$POSTGRES_DB" ;;
        */\*) ;;
        *) echo "$0: ignoring $1" ;;
    esac
}

sql() {
    database=$1
    shift
    PGHOST='' PGPASSWORD="${POSTGRES_PASSWORD:-}" \
        psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname "$database" "$@"
}

main "$@"
