# shellcheck shell=bash
# Sourced by scripts/servers: what a Redis set is made of and when it is up.
# shellcheck disable=SC2154 # names of common.sh

redis_create() {
    local version=$2 dir=$1/1
    mkdir -p "$dir/data"
    reserve_port "$dir"
    # With the append-only file a killed server comes back with what it held.
    cat >"$dir/redis.conf" <<-EOF
		bind 127.0.0.1
		port $(cat "$dir/port")
		dir $dir/data
		daemonize no
		save ""
		appendonly yes
		appendfsync everysec
	EOF
    write_run "$dir" "$cache/redis-$version/bin/redis-server" "$dir/redis.conf"
}

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
