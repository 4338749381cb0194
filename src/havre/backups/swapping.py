"""The swap of a directory's content for what lies ready inside it: a few renames, all or nothing, whatever the size."""

SCRIPT = """
set -eu
cd "$1"
new="$2" old="$3" ours="$4" phase=out
move() {
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        case "${entry##*/}" in $ours | lost+found) continue ;; esac
        if [ -e "$entry" ] || [ -L "$entry" ]; then mv "$entry" "$2/"; fi
    done
}
back() {
    [ "$phase" = done ] && return
    [ "$phase" = out ] || move . "$new"
    move "$old" .
}
trap back EXIT
mkdir "$old"
chmod "$(stat -c %a .)" "$old"
if [ "$(id -u)" = 0 ]; then chown "$(stat -c %u:%g .)" "$old"; fi
move . "$old"
phase=in
move "$new" .
finish
phase=done
"""
"""Needs: the directory, the new and the old content's directories in it, and a pattern of what stays where it is; and a
function `finish`, whose failure takes everything back too."""
