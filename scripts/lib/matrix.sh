# shellcheck shell=bash
# Sourced by scripts/test: makes the table of what was run on which server with
# which result, out of the lines that the tests wrote while they ran and nothing
# else. A line: server, job, what, outcome, figures, with tabs between them;
# the outcome is begun first, and later passed or failed.
# shellcheck disable=SC2154 # names of common.sh and install.sh

# matrix RESULTS: the table in Markdown. A server that no test began on was not run.
matrix() {
    local version
    {
        for version in "${kafka_versions[@]}"; do echo "Kafka $version"; done
        for version in "${redis_versions[@]}"; do echo "Redis $version"; done
    } | awk -f "$root/scripts/lib/matrix.awk" - "$1"
}

# not_begun RESULTS EARLIER: of the earlier results those of what was not begun again.
not_begun() {
    awk -F '\t' '{ key = $1 FS $2 FS $3 } FILENAME == ARGV[1] { begun[key]; next } !(key in begun)' "$1" "$2"
}

# matrix_head COMMAND BINARY OUTPUT: what was tested, and with what in all. OUTPUT
# is what cargo test printed.
matrix_head() {
    local command=$1 binary=$2 output=$3 commit
    if commit=$(git rev-parse --short=12 HEAD 2>/dev/null); then
        git diff --quiet HEAD -- . ':!TESTED.md' || commit+=' with changes'
    else
        commit='no commit'
    fi
    echo '# What was tested'
    echo
    echo "Written by \`$command\` on $(date -u +%Y-%m-%d), from what the tests noted while they ran."
    echo "Binary: $("$binary" --version), $commit, $(stat -c %s "$binary") bytes, $(uname -sm)."
    echo "Tests: $(awk '
        / \.\.\. (ok|FAILED)$/ && $1 == "test" { name = $0; sub(/ \.\.\. [^ ]*$/, "", name); last[name] = $NF }
        END {
            for (name in last) last[name] == "ok" ? passed++ : failed++
            print passed + 0 " passed, " failed + 0 " failed"
        }' "$output")."
    echo
}
