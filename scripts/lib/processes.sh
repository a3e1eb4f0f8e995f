# shellcheck shell=bash
# Sourced by scripts/servers: one directory per process, and nothing done to a
# process that is not proven to be the one started from that directory.
#
#   run     the script that becomes the process
#   port    its port, reserved in the cache for as long as the directory exists
#   pid     its id and start time; together they name one process for ever
#   log     everything it prints, over all its starts
#   from    where in the log its latest start begins
#   data    what it keeps
# shellcheck disable=SC2154 # names of common.sh

start_time() {
    local stat
    # The name in the second field may hold blanks and brackets; what follows the
    # last bracket does not. The start time is field 22 of the line.
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    read -r -a stat <<<"${stat##*) }"
    # shellcheck disable=SC2128 # read -a has made it an array
    echo "${stat[19]}"
}

# The id of a node's process if it runs, else nothing. A zombie does not run.
node_pid() {
    local pid='' started=''
    [ -f "$1/pid" ] || return 0
    read -r pid started <"$1/pid" || true
    [ -n "$started" ] && [ "$(start_time "$pid" || true)" = "$started" ] || return 0
    ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null || return 0
    echo "$pid"
}

node_signal() {
    local pid
    pid=$(node_pid "$1")
    [ -z "$pid" ] || kill "-$2" "$pid" 2>/dev/null || true
}

node_spawn() {
    local dir=$1 pid
    touch "$dir/log"
    stat -c %s "$dir/log" >"$dir/from"
    # A session of its own, so that Ctrl-C on the caller does not reach it, and no
    # descriptor of the caller's, so that nobody waits for it.
    (cd "$dir" && exec setsid "$dir/run" </dev/null >>"$dir/log" 2>&1 9>&-) &
    pid=$!
    # The process is no job of this shell, so the shell does not report its end.
    disown
    echo "$pid $(start_time "$pid" || echo gone)" >"$dir/pid"
}

# Whether the node printed the pattern since its latest start. grep reads to the end:
# with -q it would end early, and tail would fail because nobody reads.
node_said() { tail -c "+$(($(cat "$1/from") + 1))" "$1/log" | grep -Ei "$2" >/dev/null; }

node_failed() {
    say "$1; the end of its log, $2/log:"
    tail -n 30 "$2/log" >&2
}

# node_wait DIR NAME PROBE: waits until the probe succeeds. Status 1: the node died,
# 2: it took too long.
node_wait() {
    local dir=$1 name=$2 probe=$3 seconds=${PANDAD_START_TIMEOUT:-60} end
    end=$((SECONDS + seconds))
    until "$probe" "$dir"; do
        if [ -z "$(node_pid "$dir")" ]; then
            return 1
        elif [ "$SECONDS" -ge "$end" ]; then
            return 2
        fi
        sleep 0.1
    done
    say "$name answers on 127.0.0.1:$(cat "$dir/port")"
}

# Asks the node to stop and waits; a node that does not stop in time is killed.
node_stop() {
    local dir=$1 name=$2 end=$((SECONDS + 60))
    # A paused process would not handle TERM.
    node_signal "$dir" CONT
    node_signal "$dir" TERM
    while [ -n "$(node_pid "$dir")" ]; do
        if [ "$SECONDS" -ge "$end" ]; then
            say "$name does not stop within a minute: killed"
            node_kill "$dir"
        fi
        sleep 0.05
    done
}

node_kill() {
    node_signal "$1" KILL
    while [ -n "$(node_pid "$1")" ]; do sleep 0.02; done
}

# ---- Ports

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A free port, below the range that outgoing connections are given, reserved for
# the node directory as long as that exists: a stopped server's port must still
# be free when it starts again, and two runs must not choose the same one.
reserve_port() {
    local dir=$1 port claim
    mkdir -p "$cache/ports"
    while :; do
        port=$((20000 + RANDOM % 10000))
        claim=$cache/ports/$port
        # A link is made whole or not at all; a link to nowhere is a leftover.
        if [ -L "$claim" ] && [ ! -e "$claim" ]; then rm -f "$claim"; fi
        ln -sT "$dir" "$claim" 2>/dev/null || continue
        answers "$port" || break
        rm -f "$claim"
    done
    echo "$port" >"$dir/${2:-port}"
}

release_ports() {
    local file port
    for file in "$1"/port "$1"/controller "$1"/behind "$1"/proxy; do
        [ -f "$file" ] || continue
        port=$(cat "$file")
        [ "$(readlink "$cache/ports/$port")" != "$1" ] || rm -f "$cache/ports/$port"
    done
}
