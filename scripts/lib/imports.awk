# Reads imports.rules and then Rust sources, whose names are relative to src, and
# prints FILE:LINE and the rule for every path that breaks one. A path counts
# wherever it stands, in `use` or in the middle of an expression, through groups,
# aliases, self and super. Comments and strings are not code.
#
# Names are looked up per file, which is coarser than the compiler does it.

FILENAME != file { finish(); begin() }
reading_rules { read_rule(); next }
{ tokenize($0) }
END { finish(); exit broken > 0 }

function begin() {
    file = FILENAME
    reading_rules = file ~ /imports\.rules$/
    split("", tok); split("", line_of); split("", alias)
    tokens = paths = state = comment_depth = 0
}

function finish() {
    if (file == "" || reading_rules) return
    read_tokens()
    judge_file()
}

# ---- The rules

function read_rule(    name, n, word, i) {
    if ($1 == "job") { holds_jobs[$2] = 1; return }
    if ($1 !~ /^(room|door\*?)$/) return
    name = $2
    sub(/:$/, "", name)
    if ($1 == "room") known[name] = 1
    else { doors[++door_count] = name; tests_pass[name] = $1 == "door*"; files[name] = "" }
    n = split($0, word)
    for (i = 3; i <= n; i++)
        if ($1 == "room") may[name, word[i]] = 1
        else files[name] = files[name] " " word[i]
}

# ---- Tokens: words, :: and single characters, without comments and literals

# state: 0 code, 1 comment, 2 string, 3 raw string that ends at raw_end
function tokenize(s) {
    while (s != "") {
        if (state == 1) s = skip_comment(s)
        else if (state == 2) s = skip_string(s)
        else if (state == 3) s = skip_raw(s)
        else if (match(s, /^[ \t\r]+/)) s = substr(s, RLENGTH + 1)
        else if (substr(s, 1, 2) == "//") return
        else if (substr(s, 1, 2) == "/*") { state = comment_depth = 1; s = substr(s, 3) }
        else if (match(s, /^(br|cr|r)#*"/)) {
            raw_end = substr(s, 1, RLENGTH); gsub(/[^#]/, "", raw_end); raw_end = "\"" raw_end
            state = 3; s = substr(s, RLENGTH + 1)
        }
        else if (match(s, /^[bc]?"/)) { state = 2; s = substr(s, RLENGTH + 1) }
        # A character, or else a lifetime.
        else if (match(s, /^b?'(\\[^u]|\\x..|\\u[^']*|[^\\']|[\200-\377]+)'/)) s = substr(s, RLENGTH + 1)
        else if (match(s, /^'[A-Za-z_0-9]*/)) s = substr(s, RLENGTH + 1)
        else if (match(s, /^[A-Za-z_0-9\200-\377]+/) || match(s, /^::/)) { token(substr(s, 1, RLENGTH)); s = substr(s, RLENGTH + 1) }
        else { token(substr(s, 1, 1)); s = substr(s, 2) }
    }
}
function token(t) { tok[++tokens] = t; line_of[tokens] = FNR }
function skip_comment(s) {
    if (!match(s, /\/\*|\*\//)) return ""
    comment_depth += substr(s, RSTART, 2) == "/*" ? 1 : -1
    if (comment_depth == 0) state = 0
    return substr(s, RSTART + 2)
}
function skip_string(s) {
    # Up to the next quote or escape; an escape takes one more character.
    if (!match(s, /["\\]/)) return ""
    if (substr(s, RSTART, 1) == "\\") return substr(s, RSTART + 2)
    state = 0
    return substr(s, RSTART + 1)
}
function skip_raw(s,    at) {
    at = index(s, raw_end)
    if (!at) return ""
    state = 0
    return substr(s, at + length(raw_end))
}

# ---- Paths, with the module they stand in and whether that is test code

function is_word(t) { return t ~ /^[A-Za-z_\200-\377]/ }

function read_tokens(    depth, mods, pending) {
    here = module_of(file)
    is_test = file ~ /(^|\/)(tests|sim)(\.rs$|\/)/
    test_until = -1
    in_use = 0
    for (p = 1; p <= tokens;) {
        t = tok[p]
        if (t == "#" && tok[p + 1] == "[") { if (attribute()) pending = 1; continue }
        if (t == "{") {
            if (pending && test_until < 0) test_until = depth
            pending = 0
            depth++
        } else if (t == "}") {
            depth--
            if (mods && mod_depth[mods] == depth) { sub(/::[^:]*$/, "", here); mods-- }
            if (depth == test_until) test_until = -1
        } else if (t == ";") {
            pending = 0
        } else if (t == "mod" && tok[p + 2] == "{") {
            mod_depth[++mods] = depth
            here = here "::" tok[p + 1]
            p += 2
            continue
        } else if (t == "use" || (t == "extern" && tok[p + 1] == "crate")) {
            p += t == "use" ? 1 : 2
            # A test item that ends here was only this import.
            one_test = pending
            in_use = 1
            path_tree("")
            in_use = one_test = pending = 0
            continue
        } else if ((is_word(t) && tok[p + 1] == "::" || t == "::" && is_word(tok[p + 1])) && tok[p - 1] != "::") {
            path_tree("")
            continue
        }
        p++
    }
}

# Skips an attribute; tells whether it makes the next item test code and nothing
# else: test, cfg(test), cfg(all(test, ...)).
function attribute(    nest, test, other) {
    test = other = 0
    p++
    if (tok[p + 1] !~ /^(cfg|test)$/) other = 1
    do {
        if (tok[p] == "[") nest++
        if (tok[p] == "]") nest--
        if (tok[p] == "test") test = 1
        if (tok[p] ~ /^(not|any)$/) other = 1
        p++
    } while (nest > 0 && p <= tokens)
    return test && !other
}

# One path, or in an import a tree of them, from token p on.
function path_tree(prefix,    path, line) {
    while (p <= tokens) {
        if (in_use && tok[p] == "{") {
            p++
            while (p <= tokens && tok[p] != "}") {
                path_tree(prefix)
                if (tok[p] == ",") p++
                else if (tok[p] != "}") return
            }
            p++
            return
        }
        # A path that begins with :: is that of a crate, whatever is in scope.
        if (tok[p] == "::" && prefix == "") { prefix = "::"; p++; continue }
        if (in_use && tok[p] == "*") { found(prefix "::*", line_of[p++], ""); return }
        if (!is_word(tok[p])) { p++; return }
        line = line_of[p]
        path = prefix == "" || prefix == "::" ? prefix tok[p] : prefix "::" tok[p]
        p++
        if (tok[p] == "::" && (is_word(tok[p + 1]) || in_use)) { prefix = path; p++; continue }
        if (in_use && tok[p] == "as") { found(path, line, tok[p + 1]); p += 2 }
        else found(path, line, in_use ? "-" : "")
        return
    }
}

function found(path, line, name) {
    sub(/::self$/, "", path)
    if (name == "-") { name = path; sub(/.*::/, "", name) }
    if (name != "" && name != "_" && name != path) alias[name] = absolute(path, here)
    path_is[++paths] = path
    path_line[paths] = line
    path_here[paths] = here
    path_test[paths] = is_test || test_until >= 0 || one_test
}

function module_of(f) {
    sub(/\.rs$/, "", f)
    sub(/(^|\/)(mod|lib|main)$/, "", f)
    gsub(/\//, "::", f)
    return f == "" ? "crate" : "crate::" f
}

# self, super and our own crate's name, as seen from a module.
function absolute(path, from) {
    if (path ~ /^pandad(::|$)/) sub(/^pandad/, "crate", path)
    if (path ~ /^self(::|$)/) { sub(/^self/, "", path); return from path }
    if (path !~ /^super(::|$)/) return path
    while (path ~ /^super(::|$)/) { sub(/^super(::)?/, "", path); sub(/::[^:]*$/, "", from) }
    return path == "" ? from : from "::" path
}

function resolve(path, from,    first, tries) {
    path = absolute(path, from)
    for (tries = 0; tries < 5; tries++) {
        first = path
        sub(/::.*/, "", first)
        if (!(first in alias) || alias[first] == first || alias[first] ~ ("^" first "::")) break
        path = absolute(alias[first] substr(path, length(first) + 1), from)
    }
    sub(/^::/, "", path)
    return path
}

# ---- Judgement

function judge_file(    i, path) {
    room = file
    sub(/\/.*/, "", room)
    sub(/\.rs$/, "", room)
    # lib.rs only lists the rooms.
    if (room == "lib") return
    if (!(room in known)) { complain(1, "no rule for the room " room " (scripts/lib/imports.rules)"); return }
    for (i = 1; i <= paths; i++) {
        path = resolve(path_is[i], path_here[i])
        if (path ~ /^crate::/) judge_room(path, path_line[i])
        else judge_door(path, path_line[i], path_test[i])
    }
}

function judge_room(path, line,    part) {
    split(path, part, "::")
    if (part[2] == room) {
        if (room in holds_jobs) judge_job(path, part[3], line)
    } else if (part[2] in known) {
        if (!((room, part[2]) in may)) complain(line, room " must not name " part[2] " (" path ")")
    } else complain(line, "there is no room " part[2] " (" path ")")
}

# A job names the common part of its room and itself, never another job. Types
# begin with a capital, modules do not.
function judge_job(path, other, line,    mine) {
    mine = file
    sub(/^[^\/]*\//, "", mine)
    sub(/(\.rs|\/.*)$/, "", mine)
    if (mine == "mod" || other == mine || other !~ /^[a-z]/ || !(other in job_module)) return
    complain(line, "job " mine " must not name job " other " (" path ")")
}

function judge_door(path, line, test,    d, name, glob) {
    for (d = 1; d <= door_count; d++) {
        name = doors[d]
        glob = name
        sub(/::[^:]*$/, "::*", glob)
        if (path != name && index(path, name "::") != 1 && (glob == name || path != glob)) continue
        if ((test && tests_pass[name]) || passes(files[name])) continue
        complain(line, name " only in " (files[name] == "" ? "tests" : files[name]) " (" path ")")
        return
    }
}

function passes(list,    n, word, i, pattern) {
    n = split(list, word)
    for (i = 1; i <= n; i++) {
        pattern = word[i]
        gsub(/\./, "[.]", pattern)
        gsub(/\*/, ".*", pattern)
        if (file ~ ("^" pattern "$")) return 1
    }
    return 0
}

function complain(line, text) {
    gsub(/  +/, " ", text)
    printf "src/%s:%d: %s\n", file, line, text
    broken++
}

BEGIN { n = split(jobs, list, " "); for (i = 1; i <= n; i++) job_module[list[i]] = 1 }
