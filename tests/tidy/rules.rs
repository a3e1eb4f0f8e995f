//! The rules of the house. A change to MODULES, FLOORS or DOORS is a change of design
//! and explains itself in its commit.

/// Each module of src and the others that it may name, in any of its files.
pub const MODULES: &[(&str, &str)] = &[
    // The command line, and the only exit.
    ("main", "config daemon commands verify logging threads error"),
    // The lock beside pandad's own log is that of a log file.
    ("daemon", "jobs pipeline report status http shutdown config logfile logging host threads error backoff"),
    // The commands that a person calls beside the running jobs.
    (
        "commands",
        "config jobs queue redis kafka logfile verify status http logging moment record host threads plural \
         error",
    ),
    // Reads both sides by the same code as the job, and is no part of it.
    ("verify", "kafka logfile path_template record host threads plural error"),
    // Jobs know no threads; they know each other by values in config.
    (
        "jobs",
        "config pipeline kafka redis net queue expiry logfile path_template record recycle report status \
         shutdown moment time_zone plural error backoff",
    ),
    // The pipeline knows no Kafka, no Redis and no file.
    ("pipeline", "shutdown threads report error backoff"),
    ("kafka", "record recycle host net error threads backoff pattern plural"),
    // It makes the lines of the records, by templates and patterns.
    ("logfile", "record line_template path_template pattern log_names moment host threads plural error"),
    // A connection reports its server's outages itself, once for all users of the server.
    ("redis", "report net resolver threads error"),
    ("queue", "redis host threads error backoff"),
    ("expiry", "redis host report threads plural error backoff"),
    ("config", "error line_template path_template log_names moment pattern time_zone"),
    ("report", "plural error"),
    // One look at the process, in each form in which somebody may ask for it.
    ("status", "report http"),
    // A server that knows nothing of what it serves.
    ("http", "threads"),
    ("shutdown", "threads error"),
    // pandad's own log is below all modules that log through the crate `log`.
    ("logging", "threads plural"),
    ("threads", "error"),
    ("record", "error"),
    ("recycle", ""),
    ("time_limit", ""),
    ("host", ""),
    // The resolver is below all modules that connect.
    ("resolver", "threads time_limit"),
    // A stream to a server knows no protocol but TLS.
    ("net", "tls resolver time_limit"),
    // The cryptography of TLS takes random bytes from the one door and knows no sockets.
    ("tls", "host"),
    // The configuration refuses bad templates, and the log file fills good ones in.
    ("line_template", "time_zone"),
    // The configuration refuses bad paths, and the log file is routed by good ones.
    ("path_template", "log_names"),
    ("time_zone", ""),
    ("moment", ""),
    ("pattern", ""),
    ("plural", ""),
    // The configuration refuses names that could be mistaken for those of the log file's own files.
    ("log_names", ""),
    ("backoff", ""),
    ("error", ""),
];

/// Modules whose children know nothing of each other; only their `mod.rs` knows them.
pub const APART: &[&str] = &["jobs"];

/// The floors inside a module, from the lowest: a child may name those on the floors
/// below its own, and none beside it. The module's own file stands above them all.
pub const FLOORS: &[(&str, &[&str])] = &[
    // Keys and text come first, then the types that are made of them, up to the typed values and their
    // users.
    (
        "config",
        &[
            "key value",
            "key_name choices printer suggest",
            "convert faults",
            "kind scan",
            "keys inv",
            "reader",
            "settings",
            "checks dump reference",
        ],
    ),
    // Bytes become values; then come the connections to brokers, the two seams, and the implementations of
    // the seams. `auto` and `operator` choose among the implementations and so stand above them.
    ("kafka", &["protocol lease", "client", "cluster", "seam", "fetch group", "legacy", "auto operator"]),
    // The disk first, then the journal and pure decisions; the ledger owns the journal, and the two
    // ends of the file (`settler`, `writer`) share the ledger.
    (
        "logfile",
        &[
            "disk group_view label line open_error",
            "directories journal lock restart_memory rotation",
            "reopener written_files",
            // `locate` finds the file that the journal means, before recovery works on it.
            "locate",
            "inspect lock_request options recovery resume",
            "archive backup checkpoint journal_view ledger_state",
            "parts",
            "ledger",
            "opening settler",
            "writer",
            // Many files share one ledger, each with a writer of its own.
            "file_set",
            "topic_files",
        ],
    ),
];

/// The files that may name another crate; `*` is any text. clippy.toml says which functions of std are kept
/// to one place.
pub const DOORS: &[Door] = &[
    Door { path: "kafka_crate", files: "kafka/legacy/*", tests: false },
    // The oracle and the broker's side in tests.
    Door { path: "kafka_protocol", files: "", tests: true },
    // Codecs and checksums of record sets.
    Door {
        path: "flate2",
        files: "kafka/protocol/records/codec/* logfile/archive.rs logfile/parts/reader.rs",
        tests: true,
    },
    Door { path: "snap", files: "kafka/protocol/records/codec/*", tests: true },
    Door { path: "lz4_flex", files: "kafka/protocol/records/codec/*", tests: true },
    Door {
        path: "twox_hash",
        files: "kafka/protocol/records/codec/* verify/lines.rs path_template/escape.rs status/socket_name.rs",
        tests: true,
    },
    Door { path: "memchr", files: "verify/*", tests: true },
    Door { path: "ruzstd", files: "kafka/protocol/records/codec/*", tests: true },
    Door { path: "crc32c", files: "kafka/protocol/records/batch.rs", tests: true },
    Door { path: "redis_crate", files: "redis/*", tests: false },
    Door { path: "regex_lite", files: "pattern.rs", tests: false },
    Door { path: "configparser", files: "config/inv.rs config/inv/*", tests: false },
    Door { path: "env_logger", files: "logging/macros.rs", tests: false },
    Door { path: "getrandom", files: "host.rs", tests: false },
    Door { path: "resolv_conf", files: "resolver/*", tests: true },
    Door { path: "simple_dns", files: "resolver/*", tests: true },
    // TLS: rustls takes the primitives through src/tls.
    Door { path: "rustls", files: "tls/* net/*", tests: true },
    Door { path: "aes_gcm", files: "tls/record/* tls/suites.rs", tests: true },
    Door { path: "chacha20poly1305", files: "tls/record/* tls/suites.rs", tests: true },
    Door { path: "ed25519_dalek", files: "tls/signing/* tls/verification/*", tests: true },
    Door { path: "hmac", files: "tls/keyed_hash.rs", tests: true },
    Door { path: "p256", files: "tls/*", tests: true },
    Door { path: "p384", files: "tls/*", tests: true },
    Door { path: "p521", files: "tls/*", tests: true },
    Door { path: "rsa", files: "tls/*", tests: true },
    Door { path: "sha2", files: "tls/*", tests: true },
    Door { path: "x25519_dalek", files: "tls/key_exchange/*", tests: true },
    Door { path: "x509_cert", files: "net/security/*", tests: true },
    Door { path: "signal_hook", files: "shutdown.rs", tests: false },
];

/// Which files of src may name a crate, and whether tests may.
pub struct Door {
    pub path: &'static str,
    pub files: &'static str,
    pub tests: bool,
}

/// Characters, in src, tests and scripts.
pub const LINE_LENGTH_MAX: usize = 110;
/// Lines of a function, from `fn` to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Lines of a file of src, and of the tests.
pub const FILE_LINES_MAX: usize = 400;
/// Lines of unit tests inside the file that they test.
pub const INLINE_TEST_LINES_MAX: usize = 79;

/// The rules that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    Parses,
    Modules,
    Floors,
    Circles,
    Doors,
    LineLength,
    FunctionLength,
    FileLength,
    DeadFiles,
    TypeNames,
    InlineTests,
}

impl Rule {
    /// What to do about a breach.
    pub fn remedy(self) -> &'static str {
        match self {
            Rule::Parses => "make it compile",
            Rule::Modules => {
                "move what both need below them, or change MODULES in tests/tidy/rules.rs and say why"
            }
            Rule::Floors => {
                "move what is needed to a lower floor, or change FLOORS in tests/tidy/rules.rs and say why"
            }
            Rule::Circles => "move what they share to a file of its own",
            Rule::Doors => "go through that module, or change DOORS in tests/tidy/rules.rs and say why",
            Rule::LineLength => "break the line",
            Rule::FunctionLength => "split the function",
            Rule::FileLength => "split the file",
            Rule::DeadFiles => "declare it with `mod`, or delete it",
            Rule::TypeNames => "put the subject before one of the names",
            Rule::InlineTests => "move the tests to a file beside it, `mod tests;`",
        }
    }
}
