#!/bin/sh
# MariaDB with the behaviour its users rely on: the first start makes the system tables, root, the database and the user
# of MARIADB_* or MYSQL_* (or *_FILE), runs the scripts of /docker-entrypoint-initdb.d on a server that only the local
# socket reaches, then starts for real.
set -eu
DATA=/var/lib/mysql
SOCKET=/run/mysqld/mysqld.sock

main() {
    case "${1:-}" in -*) set -- mariadbd "$@" ;; esac
    case "$1" in
        mariadbd | mysqld)
            for name in ROOT_PASSWORD DATABASE USER PASSWORD; do read_variable "$name"; done
            become_mysql "$@"
            create_server_once "$@"
            ;;
    esac
    exec "$@"
}

# MARIADB_X, MARIADB_X_FILE, MYSQL_X or MYSQL_X_FILE become the shell's own X.
read_variable() {
    for prefix in MARIADB MYSQL; do
        eval "value=\${${prefix}_$1:-} file=\${${prefix}_$1_FILE:-}"
        if [ -n "$value" ] && [ -n "$file" ]; then
            echo "[ERROR] [Entrypoint]: Both ${prefix}_$1 and ${prefix}_$1_FILE are set (but are exclusive)" >&2
            exit 1
        fi
        [ -z "$file" ] || value=$(cat "$file")
        if [ -n "$value" ]; then
            eval "$1=\$value"
            return 0
        fi
    done
    eval "$1=''"
}

become_mysql() {
    [ "$(id -u)" = 0 ] || return 0
    find "$DATA" \! -user mysql -exec chown mysql: '{}' +
    exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
}

create_server_once() {
    [ ! -d "$DATA/mysql" ] || return 0
    if [ -z "$ROOT_PASSWORD" ] && [ -z "${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-${MYSQL_ALLOW_EMPTY_PASSWORD:-}}" ]; then
        echo "[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified" >&2
        echo "	You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD" >&2
        exit 1
    fi
    echo "[Note] [Entrypoint]: Initializing database files"
    mariadb-install-db --datadir="$DATA" --skip-test-db --auth-root-authentication-method=normal \
        --skip-name-resolve --loose-innodb_buffer_pool_load_at_startup=0 > /dev/null
    "$@" --skip-networking --default-time-zone=SYSTEM --socket="$SOCKET" &
    server=$!
    until mariadb-admin --protocol=socket --host=localhost --socket="$SOCKET" --user=root ping > /dev/null 2>&1; do sleep 0.1; done
    set_up_accounts | mariadb --protocol=socket --host=localhost --socket="$SOCKET" --user=root
    for script in /docker-entrypoint-initdb.d/*; do run_init_script "$script"; done
    kill "$server"
    wait "$server"
    echo "[Note] [Entrypoint]: MariaDB init process done. Ready for start up."
}

set_up_accounts() {
    password=$(escaped "$ROOT_PASSWORD")
    say "CREATE USER 'root'@'%' IDENTIFIED BY '$password'; GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
    [ -z "$DATABASE" ] || say "CREATE DATABASE IF NOT EXISTS \`$DATABASE\`;"
    if [ -n "$USER" ]; then
        say "CREATE USER '$USER'@'%' IDENTIFIED BY '$(escaped "$PASSWORD")';"
        [ -z "$DATABASE" ] || say "GRANT ALL ON \`$(say "$DATABASE" | sed 's/_/\\_/g')\`.* TO '$USER'@'%';"
    fi
    say "SET PASSWORD FOR 'root'@'localhost' = PASSWORD('$password');"
}

say() {
    printf '%s\n' "$1"
}

escaped() {
    printf %s "$1" | sed "s/[\\\\']/\\\\&/g"
}

run_init_script() {
    case "$1" in
        *.sh) if [ -x "$1" ]; then echo "$0: running $1"; "$1"; else echo "$0: sourcing $1"; . "$1"; fi ;;
        *.sql) echo "$0: running $1"; as_root < "$1" ;;
        *.sql.gz) echo "$0: running $1"; gunzip -c "$1" | as_root ;;
        */\*) ;;
        *) echo "$0: ignoring $1" ;;
    esac
}

as_root() {
    MYSQL_PWD="$ROOT_PASSWORD" mariadb --protocol=socket --host=localhost --socket="$SOCKET" --user=root --database="$DATABASE"
}

main "$@"
