# shellcheck shell=bash
# Sourced by scripts/servers: what a Redis set is made of and when it is up.
# Each node is a server of its own; none replicates another.
# shellcheck disable=SC2154 # names of common.sh

# redis_create SET VERSION SERVERS
redis_create() {
    local set=$1 version=$2 servers=$3 id dir
    for ((id = 1; id <= servers; id++)); do
        dir=$set/$id
        mkdir -p "$dir/data"
        reserve_port "$dir"
        redis_conf "$dir" >"$dir/redis.conf"
        write_run "$dir" "$cache/redis-$version/bin/redis-server" "$dir/redis.conf"
    done
}

# With the append-only file, synced each time, a killed server comes back with
# everything that it has acknowledged.
redis_conf() {
    cat <<-EOF
		bind 127.0.0.1
		port $(cat "$1/port")
		unixsocket $(redis_socket "$1")
		dir $1/data
		daemonize no
		save ""
		appendonly yes
		appendfsync always
	EOF
}

redis_socket() { echo "$1/socket"; }

# Its own log says so (another server may hold the port), and it answers PING.
probe_redis() {
    local reply=''
    node_said "$1" 'ready to accept connections' || return 1
    reply=$(
        exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$(cat "$1/port")" || exit 0
        printf 'PING\r\n' >&3
        timeout 5 head -c 5 <&3
    ) || true
    [ "$reply" = +PONG ]
}
