#!/bin/sh
# Before nginx starts: fill /etc/nginx/templates/*.template from the environment, then run /docker-entrypoint.d/*.sh.
set -e
if [ "$1" = nginx ]; then
    defined=$(env | cut -d= -f1 | sed 's/^/$/' | tr '\n' ' ')
    for template in /etc/nginx/templates/*.template; do
        [ -e "$template" ] || continue
        envsubst "$defined" < "$template" > "/etc/nginx/conf.d/$(basename "$template" .template)"
    done
    for script in /docker-entrypoint.d/*.sh; do
        [ -x "$script" ] && "$script"
    done
fi
exec "$@"
