#!/bin/sh
# Finds and installs what Ox needs to be built, run and tested.
#
#   sh tests/support/deps.sh ensure    installs what is missing; silent when nothing is
#   sh tests/support/deps.sh install   the same, and says so when nothing is missing
#   sh tests/support/deps.sh list      prints the missing Debian packages, one a line
#   sh tests/support/deps.sh check MODULE...
#                                      fails, and names the packages, when pkg-config lacks one
#                                      of these modules; installs nothing
#   sh tests/support/deps.sh bench-peers
#                                      installs what `make bench PEERS=all` also measures
#
# With `fuzz` behind it each looks for what `make fuzz` needs as well.
#
# A need is looked for by what is used of it (a command, a pkg-config module, a file), so that
# one from elsewhere, a Node.js of its own for example, serves as well as Debian's package.
# Only Debian and its kin are installed for, by apt-get, through sudo when not root.
set -u

# kind:what:package
needs='
command:cc:gcc
file:/usr/include/stdlib.h:libc6-dev
command:c++:g++
command:make:make
command:pkg-config:pkg-config
module:hiredis:libhiredis-dev
module:libuv:libuv1-dev
module:jansson:libjansson-dev
module:openssl:libssl-dev
module:zlib:zlib1g-dev
module:glib-2.0:libglib2.0-dev
module:gmodule-no-export-2.0:libglib2.0-dev
module:vips:libvips-dev
module:libjpeg:libjpeg-dev
module:libwebp:libwebp-dev
module:libcurl:libcurl4-openssl-dev
module:libseccomp:libseccomp-dev
module:libpq:libpq-dev
module:sqlite3:libsqlite3-dev
postgres:initdb:postgresql
module:cmocka:libcmocka-dev
command:redis-server:redis-server
command:redis-cli:redis-tools
command:openssl:openssl
command:sqlite3:sqlite3
command:node:nodejs
command:npm:npm
command:python3:python3
command:exiv2:exiv2
file:/usr/share/zoneinfo/Europe/Berlin:tzdata
'

fuzz_needs='
command:clang:clang
fuzzer:clang:libclang-rt-dev
'

# A compiler may be there without what it links fuzz targets with.
can_fuzz() {
    echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        "$1" -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null
}

# Debian keeps the programs of each version of PostgreSQL in a folder of its own.
has_postgres() {
    for program in /usr/lib/postgresql/*/bin/"$1"; do
        [ ! -x "$program" ] || return 0
    done
    command -v "$1" >/dev/null 2>&1
}

# Only `make bench PEERS=all` uses these.
bench_peers='
command:sidekiq:ruby-sidekiq
command:beanstalkd:beanstalkd
file:/usr/sbin/nats-server:nats-server
module:libnats:libnats-dev
'

is_there() {
    case $1 in
    command) command -v "$2" >/dev/null 2>&1 ;;
    fuzzer) can_fuzz "$2" ;;
    module) pkg-config --exists "$2" 2>/dev/null ;;
    file) [ -e "$2" ] ;;
    postgres) has_postgres "$2" ;;
    esac
}

missing() {
    for need in $needs; do
        kind=${need%%:*}
        package=${need##*:}
        what=${need#*:}
        is_there "$kind" "${what%:*}" || echo "$package"
    done | sort -u
}

# The Debian package of a pkg-config module, or the module's own name.
package_of() {
    for need in $needs; do
        case $need in
        "module:$1:"*) echo "${need##*:}" && return ;;
        esac
    done
    echo "$1"
}

check_modules() {
    # All at once is one process; only a failure asks for each.
    pkg-config --exists "$@" 2>/dev/null && return 0
    if is_there command pkg-config; then
        lacking="pkg-config does not find"
        packages=
        for module in "$@"; do
            pkg-config --exists "$module" 2>/dev/null && continue
            lacking="$lacking $module"
            packages="$packages $(package_of "$module")"
        done
    else
        lacking="there is no pkg-config"
        packages=" pkg-config"
    fi
    echo "Cannot build: $lacking. \`make deps\` installs what is missing (Debian:$packages)." >&2
    return 1
}

# Debian starts the server that it installs. Ox needs the program only: a server that came
# with our own installing, and was not there before, is stopped again.
stop_new() {
    if [ -d /run/systemd/system ]; then
        systemctl is-active --quiet "$1.service" || return 0
        $as_root systemctl disable --now "$1.service" >/dev/null 2>&1
    else
        service "$1" status >/dev/null 2>&1 || return 0
        $as_root service "$1" stop >/dev/null 2>&1
    fi
    echo "Stopped the service $1 that came with the package: Ox starts its own." >&2
}

apt_install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        "$@" >"$log" 2>&1
}

install_packages() {
    echo "Installing with apt-get, which may take a few minutes: $*" >&2
    log=$(mktemp) || return 1
    # Package lists may be missing, as in a fresh container, or too old to download by.
    if apt_install "$@" || { $as_root apt-get update -q >"$log" 2>&1 && apt_install "$@"; }; then
        rm -f "$log"
        return 0
    fi
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "apt-get could not install them. By hand: apt-get install $*" >&2
    return 1
}

[ "${2-}" != fuzz ] || needs=$needs$fuzz_needs
case ${1-} in
list)
    missing
    exit
    ;;
check)
    shift
    check_modules "$@"
    exit
    ;;
ensure | install) ;;
bench-peers) needs=$bench_peers ;;
*)
    echo "usage: tests/support/deps.sh ensure|install|list [fuzz] | check MODULE... | bench-peers" >&2
    exit 2
    ;;
esac

packages=$(missing | tr '\n' ' ')
if [ -z "$packages" ]; then
    [ "$1" = ensure ] || echo "Nothing is missing."
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "Missing; please install what your system has for Debian's packages: $packages" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "Missing, and neither root nor sudo is there to: apt-get install $packages" >&2
        exit 1
    }
    as_root=sudo
fi

# Words split on purpose: a list of names.
# shellcheck disable=SC2086
install_packages $packages || exit 1
for server in redis-server postgresql beanstalkd; do
    case " $packages" in
    *" $server "*) stop_new "$server" ;;
    esac
done
packages=$(missing | tr '\n' ' ')
[ -z "$packages" ] || {
    echo "Installed, but still not found: $packages" >&2
    exit 1
}
