#!/bin/sh
# make install: DESTDIR=.. PREFIX=.. sh tests/support/install.sh BUILD VERSION
#
# Puts what was built below $DESTDIR$PREFIX. DESTDIR is where a package is put together, PREFIX
# where it will be used; both may hold any characters but line breaks. Installed for use here
# (no DESTDIR), the shared library must be found by the loader: its cache is renewed where that
# looks into PREFIX/lib, else it is told what a program needs to start.
set -eu
: "${PREFIX?}" "${DESTDIR?}"

build=$1
version=$2
case $PREFIX in
/*) ;;
*) echo "make install: PREFIX is not an absolute path: $PREFIX" >&2 && exit 2 ;;
esac
to=$DESTDIR$PREFIX

install -d "$to/bin" "$to/libexec" "$to/lib/pkgconfig" "$to/include" "$to/share/man/man1" \
    "$to/share/ox"
install -m 755 "$build/ox" "$build/ox-worker" "$to/bin"
install -m 755 "$build"/ox-handler "$build"/ox-handler-* "$to/libexec"
install -m 644 "$build/libox.a" "$to/lib"
install -m 755 "$build/libox.so" "$to/lib/libox.so.$version"
ln -sf "libox.so.$version" "$to/lib/libox.so.0"
ln -sf libox.so.0 "$to/lib/libox.so"
install -m 644 lib/include/*.h "$to/include"
install -m 644 docs/*.1 "$to/share/man/man1"

# Where each shell looks for them by itself, if the prefix is the system's.
completion() { # SHELL FOLDER NAME
    install -d "$to/share/$2"
    "$build/ox" completion "$1" >"$to/share/$2/$3"
}
completion bash bash-completion/completions ox
completion zsh zsh/site-functions _ox
completion fish fish/vendor_completions.d ox.fish

# pkg-config reads a backslash before a space as the space; sed wants one before what it
# would take for its own.
escaped=$(printf %s "$PREFIX" | sed -e 's/ /\\ /g' -e 's/[\\|&]/\\&/g')
sed -e "s|@PREFIX@|$escaped|" -e "s|@VERSION@|$version|" lib/ox.pc.in >"$to/lib/pkgconfig/ox.pc"

# Units of systemd: one worker, and one for each settings file of that name.
unit() { # FILE NAME SETTINGS STATE OF
    sed -e "s|@UNIT@|$1|" -e "s|@NAME@|$2|" -e "s|@CONFIG@|$3|" -e "s|@STATE@|$4|" \
        -e "s|@OF@|$5|" -e "s|@PREFIX@|$(printf %s "$PREFIX" | sed -e 's/[\\|&]/\\&/g' -e 's/%/%%/g')|" \
        worker/systemd/ox-worker.service.in >"$to/share/ox/$1"
}
unit ox-worker.service ox-worker /etc/ox/worker.conf ox ''
unit ox-worker@.service ox-worker@NAME /etc/ox/%i.conf ox/%i ' (%i)'
install -m 644 docs/examples/ox-worker.conf "$to/share/ox/worker.conf"

[ -z "$DESTDIR" ] || exit 0
PATH=$PATH:/usr/sbin:/sbin
command -v ldconfig >/dev/null || exit 0

# Whether the loader's cache is of this folder too, under whichever of its names.
is_searched() {
    ours=$(readlink -f "$PREFIX/lib")
    ldconfig -v -N -X 2>/dev/null | sed -n 's/^\(\/[^:]*\):.*/\1/p' | {
        while read -r folder; do
            [ "$(readlink -f "$folder")" != "$ours" ] || exit 0
        done
        exit 1
    }
}

if ! is_searched; then
    echo "make install: the loader does not look into $PREFIX/lib: programs that use libox need" \
        "LD_LIBRARY_PATH='$PREFIX/lib', and pkg-config PKG_CONFIG_PATH='$PREFIX/lib/pkgconfig'" >&2
elif ! ldconfig 2>/dev/null; then
    echo "make install: run ldconfig as root, so that programs find libox.so.0" >&2
fi
