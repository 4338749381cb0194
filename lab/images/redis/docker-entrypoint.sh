#!/bin/sh
# Options and .conf files go to redis-server, which never runs as root and owns its working directory.
set -e
case "${1:-}" in
    -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
    # The official build listens for other containers without a password; Debian's default refuses them.
    case " $* " in
        *" --protected-mode "*) ;;
        *) set -- "$@" --protected-mode no ;;
    esac
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis '{}' +
        umask 0077
        exec su-exec redis "$@"
    fi
fi
exec "$@"
