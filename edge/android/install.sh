#!/bin/sh
# Installs magicvl on a phone, or on any other arm64 Linux; nothing is compiled, nothing is downloaded.
#
#   Termux:  pkg install python python-numpy python-pillow
#            tar xf magicvl-android-arm64-*.tar.xz && sh magicvl-android-arm64-*/install.sh
#
# Run it again to repair or to upgrade; --help lists what can be chosen. This script finds Python, install.py beside
# it does the rest.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
say() { printf 'magicvl: %s\n' "$1" >&2; }

case $(uname -m) in
    aarch64 | arm64) ;;
    *)
        say "this archive is for arm64, and this machine is $(uname -m): 32-bit phones and other processors cannot run it"
        exit 1
        ;;
esac

for python in "${PYTHON:-python3}" python; do
    if command -v "$python" >/dev/null 2>&1; then
        exec "$python" -B "$here/install.py" "$@"
    fi
done
say "no Python found: in Termux, pkg install python python-numpy python-pillow"
exit 1
