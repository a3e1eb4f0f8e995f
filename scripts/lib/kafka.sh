# shellcheck shell=bash
# Sourced by scripts/servers: what a Kafka set is made of and when it is up.
# A set is a directory with one node directory per broker, named by its id, and
# one called zookeeper where the version needs it.
# shellcheck disable=SC2154 # names of common.sh

# Small heaps and a fast start: nothing here runs for long.
jvm_flags=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.awt.headless=true)

uses_zookeeper() { [[ $1 == 3.0.* || $1 != 3.* && $1 != 4.* ]]; }

# Until 3.6 the tools for topics were in another package, and until 4.3 the one for settings.
topic_tools() { [[ $1 =~ ^([0-2]|3\.[0-6])\. ]] && echo kafka.admin || echo "org.apache.kafka.tools$2"; }
settings_tools() { [[ $1 =~ ^([0-3]|4\.[0-3])\. ]] && echo kafka.admin || echo org.apache.kafka.tools; }

# From 0.10.2 on a broker can have two listeners, each with its own advertised address:
# the second one is advertised at the address of a proxy of the tests.
has_second_listener() { [[ $1 != 0.9.* && $1 != 0.10.[01].* ]]; }

write_run() {
    local dir=$1
    shift
    {
        echo '#!/usr/bin/env bash'
        printf 'exec'
        printf ' %q' "$@"
        echo
    } >"$dir/run"
    chmod +x "$dir/run"
}

# java_command VERSION HEAP LEVEL CLASS ARGUMENT...: sets the array java_words.
java_command() {
    local version=$1 heap=$2 level=$3 log4j
    shift 3
    if [[ $version == 4.* ]]; then
        log4j=-Dlog4j2.configurationFile=$root/scripts/lib/log4j2.properties
    else
        log4j=-Dlog4j.configuration=file:$root/scripts/lib/log4j.properties
    fi
    java_words=("$(find_java)" "-Xmx$heap" "${jvm_flags[@]}" "$log4j" "-Dpandad.level=$level"
        -cp "$cache/kafka-$version/libs/*" "$@")
}

run_tool() {
    local version=$1
    shift
    java_command "$version" 256m ERROR "$@"
    "${java_words[@]}"
}

# ---- Making a set

# kafka_create SET VERSION BROKERS
kafka_create() {
    local set=$1 version=$2 brokers=$3 id copies=$(($3 < 3 ? $3 : 3))
    ! uses_zookeeper "$version" || zookeeper_create "$set" "$version"
    # Every broker must know the controller's port, so all ports come first.
    for ((id = 1; id <= brokers; id++)); do
        mkdir -p "$set/$id/data"
        reserve_port "$set/$id"
        if has_second_listener "$version"; then
            reserve_port "$set/$id" behind
            reserve_port "$set/$id" proxy
        fi
    done
    if ! uses_zookeeper "$version"; then
        reserve_port "$set/1" controller
        head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | head -c 22 >"$set/cluster-id"
    fi
    for ((id = 1; id <= brokers; id++)); do
        broker_properties "$set" "$version" "$id" "$copies" >"$set/$id/server.properties"
        java_command "$version" "${PANDAD_BROKER_HEAP:-512m}" INFO kafka.Kafka "$set/$id/server.properties"
        write_run "$set/$id" "${java_words[@]}"
        uses_zookeeper "$version" || storage_format "$set" "$version" "$id"
    done
}

zookeeper_create() {
    local dir=$1/zookeeper
    mkdir -p "$dir/data"
    reserve_port "$dir"
    cat >"$dir/zookeeper.properties" <<-EOF
		dataDir=$dir/data
		clientPort=$(cat "$dir/port")
		clientPortAddress=127.0.0.1
		maxClientCnxns=0
		admin.enableServer=false
	EOF
    java_command "$2" 128m INFO org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/zookeeper.properties"
    write_run "$dir" "${java_words[@]}"
}

broker_properties() {
    local set=$1 version=$2 id=$3 copies=$4 dir=$1/$3 port second=''
    port=$(cat "$dir/port")
    cat <<-EOF
		log.dirs=$dir/data
		num.partitions=1
		auto.create.topics.enable=true
		delete.topic.enable=true
		offsets.topic.num.partitions=4
		offsets.topic.replication.factor=$copies
		transaction.state.log.num.partitions=4
		transaction.state.log.replication.factor=$copies
		transaction.state.log.min.isr=1
		group.initial.rebalance.delay.ms=0
		num.network.threads=2
		num.io.threads=4
		background.threads=2
		log.cleaner.dedupe.buffer.size=8388608
		log.cleaner.backoff.ms=1000
	EOF
    if has_second_listener "$version"; then
        second=,PROXIED://127.0.0.1:$(cat "$dir/behind")
        cat <<-EOF
			listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT
			inter.broker.listener.name=PLAINTEXT
			advertised.listeners=PLAINTEXT://127.0.0.1:$port,PROXIED://127.0.0.1:$(cat "$dir/proxy")
		EOF
    fi
    if uses_zookeeper "$version"; then
        cat <<-EOF
			broker.id=$id
			listeners=PLAINTEXT://127.0.0.1:$port$second
			zookeeper.connect=127.0.0.1:$(cat "$set/zookeeper/port")
			zookeeper.connection.timeout.ms=30000
			zookeeper.session.timeout.ms=6000
		EOF
    else
        kraft_properties "$set" "$id" "$port$second" "$copies"
    fi
}

kraft_properties() {
    local set=$1 id=$2 place=$3 copies=$4 controller
    controller=127.0.0.1:$(cat "$set/1/controller")
    cat <<-EOF
		node.id=$id
		controller.quorum.voters=1@$controller
		controller.listener.names=CONTROLLER
		broker.session.timeout.ms=6000
		share.coordinator.state.topic.replication.factor=$copies
		share.coordinator.state.topic.min.isr=1
	EOF
    if [ "$id" -eq 1 ]; then
        echo process.roles=broker,controller
        echo "listeners=PLAINTEXT://127.0.0.1:$place,CONTROLLER://$controller"
    else
        echo process.roles=broker
        echo "listeners=PLAINTEXT://127.0.0.1:$place"
    fi
}

storage_format() {
    quietly run_tool "$2" kafka.tools.StorageTool format \
        -t "$(cat "$1/cluster-id")" -c "$1/$3/server.properties"
}

# ---- When it is up

probe_zookeeper() { node_said "$1" 'binding to port' && answers "$(cat "$1/port")"; }

# Its own log says so (another server may hold the port), and it answers a
# request: ApiVersions 0, or for 0.9, which has none, Metadata 0 of all topics.
probe_kafka() {
    local request='\0\0\0\x0a\0\x12\0\0\0\0\0\1\xff\xff'
    # shellcheck disable=SC1003
    [[ $1 != */kafka-0.9.* ]] || request='\0\0\0\x0e\0\x03\0\0\0\0\0\1\xff\xff\0\0\0\0'
    node_said "$1" 'KafkaServer.* started|Kafka Server started' &&
        kafka_answers "$(cat "$1/port")" "$request"
}

kafka_answers() {
    local reply
    reply=$(
        exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1" || exit 0
        # shellcheck disable=SC2059
        printf "$2" >&3
        # The reply's size and the correlation id of the request.
        timeout 5 head -c 8 <&3 | od -An -tx1 | tr -d ' \n'
    ) || true
    [[ $reply == *00000001 ]]
}

# A killed broker is registered in ZooKeeper until its session ends; until then a new
# broker with the same id refuses to start.
still_registered() { node_said "$1" 'already registered|NodeExists'; }

# ---- Topics

admin_target() {
    local set=$1 version=$2
    # Until 2.6 most tools asked ZooKeeper.
    if [[ $version =~ ^([01]|2\.[0-5])\. ]]; then
        echo --zookeeper "127.0.0.1:$(cat "$set/zookeeper/port")"
    else
        echo --bootstrap-server "$(node_list "$set" | paste -sd ,)"
    fi
}

# kafka_quota SET VERSION CLIENT_ID BYTES_PER_SECOND: what consumers with this client id may read.
kafka_quota() {
    local target
    read -r -a target <<<"$(admin_target "$1" "$2")"
    quietly run_tool "$2" "$(settings_tools "$2").ConfigCommand" "${target[@]}" \
        --alter --entity-type clients \
        --entity-name "$3" --add-config "consumer_byte_rate=$4"
}

# kafka_topic SET VERSION VERB TOPIC ...
kafka_topic() {
    local set=$1 version=$2 verb=$3 target class
    shift 3
    class=$(topic_tools "$version" '').TopicCommand
    read -r -a target <<<"$(admin_target "$set" "$version")"
    case $verb in
    create)
        [[ ${2:-} =~ ^[0-9]+$ ]] || die 'topic SET create TOPIC PARTITIONS [FLAG]...'
        local topic=$1 partitions=$2
        shift 2
        [[ " $* " == *' --replication-factor '* || " $* " == *' --replica-assignment '* ]] ||
            set -- --replication-factor 1 "$@"
        [[ " $* " == *' --replica-assignment '* ]] || set -- --partitions "$partitions" "$@"
        quietly run_tool "$version" "$class" "${target[@]}" --create --topic "$topic" "$@"
        ;;
    delete) quietly run_tool "$version" "$class" "${target[@]}" --delete --topic "$1" ;;
    alter) topic_alter "$version" "$class" "$@" ;;
    move) topic_move "$set" "$version" "$@" ;;
    list | describe)
        [ $# -eq 0 ] || set -- --topic "$@"
        run_tool "$version" "$class" "${target[@]}" "--$verb" "$@"
        ;;
    *) die "topic: no such verb: $verb" ;;
    esac
}

# topic_move SET VERSION TOPIC PARTITION=BROKER[:BROKER]...: each partition to these
# brokers; returns when that has begun.
topic_move() {
    local set=$1 version=$2 topic=$3 one list=''
    local class
    shift 3
    class=$(topic_tools "$version" .reassign).ReassignPartitionsCommand
    for one in "$@"; do
        one=${one//:/,}
        list+="${list:+,}{\"topic\":\"$topic\",\"partition\":${one%=*},\"replicas\":[${one#*=}]}"
    done
    echo "{\"version\":1,\"partitions\":[$list]}" >"$set/move.json"
    quietly run_tool "$version" "$class" "${target[@]}" --reassignment-json-file "$set/move.json" --execute
}

# topic_alter VERSION CLASS TOPIC [--partitions N] [--config k=v]...: two tools,
# because later versions take settings in one and partitions in the other.
topic_alter() {
    local version=$1 class=$2 topic=$3 settings=''
    shift 3
    while [ $# -ge 2 ]; do
        case $1 in
        --partitions)
            quietly run_tool "$version" "$class" "${target[@]}" --alter --topic "$topic" --partitions "$2"
            ;;
        --config) settings+=${settings:+,}$2 ;;
        *) die "topic alter: no such flag: $1" ;;
        esac
        shift 2
    done
    [ -z "$settings" ] || quietly run_tool "$version" \
        "$(settings_tools "$version").ConfigCommand" "${target[@]}" \
        --alter --entity-type topics --entity-name "$topic" --add-config "$settings"
}
