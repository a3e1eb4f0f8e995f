# shellcheck shell=bash
# Sourced by the scripts: how they speak, where they keep things, and how they
# get what the machine lacks. Sourcing it does nothing but set names.
# shellcheck disable=SC2034 # names for those who source this

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Outside the repository, so that a fresh clone finds what an older one fetched.
cache=${PANDAD_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/pandad}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command under a lock file. Descriptor 9 holds the lock; whatever is
# meant to outlive the command must close it.
with_lock() {
    local lock=$1
    shift
    mkdir -p "${lock%/*}"
    (
        flock 9
        "$@"
    ) 9>"$lock"
}

# Runs a noisy command; what it printed is shown only if it fails.
quietly() {
    local out status=0
    out=$(mktemp)
    "$@" >"$out" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 0 ]; then
        say "failed with status $status: $*"
        tail -n 40 "$out" >&2
    fi
    rm -f "$out"
    return "$status"
}

# need COMMAND PACKAGE...: remembers what is missing; install_needed acts once,
# so that whoever must install by hand gets the whole list.
needed=()
need() {
    local command=$1
    shift
    have "$command" || needed+=("$@")
}

install_needed() {
    [ "${#needed[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
        say "not installed here, and only root can with apt-get. Please install:"
        printf '    %s\n' "${needed[@]}" >&2
        exit 1
    fi
    with_lock "$cache/locks/apt" apt_install "${needed[@]}"
    needed=()
    hash -r
}

apt_install() {
    say "installing by apt: $*"
    quietly apt-get -o DPkg::Lock::Timeout=300 update
    DEBIAN_FRONTEND=noninteractive quietly apt-get -o DPkg::Lock::Timeout=300 \
        install -y --no-install-recommends "$@"
}

# cached DIR WHAT COMMAND...: makes $cache/DIR unless it is there. The command
# fills a directory of another name (its last argument), which is renamed when it
# is whole: a run that was cut off leaves nothing that looks complete.
cached() {
    [ -d "$cache/$1" ] || with_lock "$cache/locks/${1//\//-}" fill_cache "$@"
}

fill_cache() {
    local dir=$cache/$1 what=$2
    shift 2
    # Somebody else may have filled it while we waited for the lock.
    [ ! -d "$dir" ] || return 0
    say "fetching $what (once; kept in $dir)"
    mkdir -p "${dir%/*}"
    rm -rf "$dir.part"
    mkdir "$dir.part"
    "$@" "$dir.part"
    mv -T "$dir.part" "$dir"
}
