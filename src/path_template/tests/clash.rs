//! Names that two files would have.

use std::path::Path;

use super::template;

#[test]
fn files_beside_a_file_must_not_be_files_of_their_own() {
    for (text, form) in [
        ("/log/{topic}", ".journal"),
        ("/log/{key}", ".journal"),
        ("/log/{key}.lock", ".lock"),
        ("/log/{key}.gz", "-00000000T000000.000Z.gz"),
        ("/log/{topic}@{key}Z", "-00000000T000000.000Z"),
        ("/log/{%Y}/{key}.late", ".late"),
        ("/log/{%Y}/{topic}.{partition}", ".0"),
        ("/log/{%Y}/{topic}.{%j}", ".000"),
        ("/log/{%Y}/{key}.7", ".0"),
        ("/log/{%Y}/{key}.gz.gz", ".gz"),
    ] {
        assert_eq!(template(text).own_clash().as_deref(), Some(form), "{text}");
    }
    for text in [
        "/log/a",
        "/log/{topic}.log",
        "/log/{key}.1",
        "/log/{%Y}/{key}.log",
        "/log/{%Y}/{topic}-{partition}",
        "/log/{topic}-{%Y-%m-%d}",
        "/log/{key}/{%Y}.{partition}",
        "/log/{key}/{partition}.gz",
    ] {
        assert_eq!(template(text).own_clash(), None, "{text}");
    }
}

#[test]
fn other_files_must_not_be_where_records_could_go() {
    let clash = |text: &str, topics: &[&str], other: &str| {
        let topics: Vec<_> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        template(text).clash(Path::new(other), &topics)
    };
    assert_eq!(clash("/log/a", &[], "/log/a"), Some("a log file"));
    assert_eq!(clash("/log/a", &[], "/log/a.lock"), Some("the lock file"));
    assert_eq!(clash("/log/a", &[], "/log/a.late"), None);
    assert_eq!(clash("/log/{topic}.log", &["a", "b"], "/log/b.log"), Some("a log file"));
    assert_eq!(clash("/log/{topic}.log", &[".b"], "/log/%2Eb.log.probe"), Some("the probe of the disk"));
    assert_eq!(clash("/log/{topic}.log", &["a", "b"], "/log/pandad.log"), None);
    assert_eq!(clash("/log/{topic}.log", &[], "/log/pandad.log"), Some("a log file"));
    assert_eq!(clash("/log/{key}.log", &["a"], "/log/pandad.log"), Some("a log file"));
    assert_eq!(clash("/log/{key}.log", &["a"], "/log/pandad.txt"), None);
    assert_eq!(clash("/log/{topic}/{%Y}", &[], "/log/{topic}%2F{%25Y}.journal"), Some("the journal"));
    for (other, what) in [
        ("/log/t/2026-1.log", Some("a log file")),
        ("/log/future/t/2026-17.log", Some("a log file")),
        ("/log/t/2026-1.log.late.2.gz", Some("a finished file")),
        ("/log/t/2026-1.log-20261124T153000.123Z", Some("a rotated file")),
        ("/log/t/226-1.log", None),
        ("/log/t/2026-x.log", None),
        ("/log/t/2026-1.log/x", None),
        ("/log/past/t/2026-1.log", None),
        ("/log/2026-1.log", None),
        ("/log", None),
        ("/other/t/2026-1.log", None),
    ] {
        assert_eq!(clash("/log/{topic}/{%Y}-{partition}.log", &["t"], other), what, "{other}");
    }
}
