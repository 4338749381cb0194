#!/bin/sh
# Options and files go to node; anything that is a command is run as it stands.
set -e
case "${1:-}" in
    -*) exec node "$@" ;;
esac
if [ -n "${1:-}" ] && ! command -v "$1" >/dev/null 2>&1 && [ -f "$1" ]; then exec node "$@"; fi
exec "$@"
