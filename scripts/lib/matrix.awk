# Two files: the servers, in the order in which they are shown, and the results.
BEGIN {
    FS = "\t"
    split("kafka_to_file expired_to_list list_to_hash", jobs, " ")
}
NR == FNR { servers[++count] = $1; next }
{
    key = $1 FS $2 FS $3
    if (!(key in begun) && !(key in ended)) keys[++lines] = key
    if ($4 == "begun") { begun[key]++; next }
    ended[key]++
    if ($4 == "passed" || $4 == "refused") {
        good[key]++
        if ($4 == "refused") refused[key] = 1
        if (!(index(FS figures[key] FS, FS $5 FS))) figures[key] = figures[key] == "" ? $5 : figures[key] "; " $5
    }
}
# Only what was begun and came to a good end each time.
function outcome(key) {
    if (good[key] != begun[key] || !begun[key]) return ended[key] < begun[key] ? "**DID NOT END**" : "**FAILED**"
    return key in refused ? "refused" : "passed"
}
# The tables of contents: a row for each kind of record, a column for each broker.
function contents(client,    mark, i, s, part, kinds, rows, row, key) {
    mark = "content, " client ": "
    for (i = 1; i <= lines; i++) {
        split(keys[i], part, FS)
        if (index(part[3], mark) != 1) continue
        row = substr(part[3], length(mark) + 1)
        if (!(row in kinds)) { rows[++rows[0]] = row; kinds[row] }
    }
    if (!rows[0]) return
    print ""
    print "## Records by the " client " client, equal to what was produced"
    print ""
    row = "| |"; key = "|---|"
    for (s = 1; s <= count; s++) if (servers[s] ~ /^Kafka/) {
        row = row " " substr(servers[s], 7) " |"
        key = key "---|"
    }
    print row
    print key
    for (i = 1; i <= rows[0]; i++) {
        row = "| " rows[i] " |"
        for (s = 1; s <= count; s++) if (servers[s] ~ /^Kafka/) {
            key = servers[s] FS "kafka_to_file" FS mark rows[i]
            if (!(key in begun)) row = row " – |"
            else row = row " " (outcome(key) == "passed" ? figures[key] : outcome(key)) " |"
        }
        print row
    }
}
function cell(server, job,    i, part, n, bad, refusals) {
    if ((server ~ /^Kafka/) != (job == "kafka_to_file")) return "–"
    for (i = 1; i <= lines; i++) {
        split(keys[i], part, FS)
        if (part[1] != server || part[2] != job) continue
        n++
        if (outcome(keys[i]) == "refused") refusals++
        else if (outcome(keys[i]) != "passed") bad++
    }
    if (!n) return "not run"
    if (bad) return "**" bad " of " n " FAILED**"
    if (refusals) return "refused with a clear error"
    return "passed, " n (n == 1 ? " test" : " tests")
}
END {
    print "| server | kafka_to_file | expired_to_list | list_to_hash |"
    print "|---|---|---|---|"
    for (s = 1; s <= count; s++) {
        row = "| " servers[s] " |"
        for (j = 1; j <= 3; j++) row = row " " cell(servers[s], jobs[j]) " |"
        print row
    }
    print ""
    print "| server | job | what | how much | result |"
    print "|---|---|---|---|---|"
    for (s = 1; s <= count; s++) for (j = 1; j <= 3; j++) for (i = 1; i <= lines; i++) {
        split(keys[i], part, FS)
        if (part[1] == servers[s] && part[2] == jobs[j] && part[3] !~ /^content, /)
            print "| " part[1] " | " part[2] " | " part[3] " | " figures[keys[i]] " | " outcome(keys[i]) " |"
    }
    contents("native")
    contents("crate")
}
