//! What is read of a template, and how a bad one is refused.

use std::path::{Path, PathBuf};

use super::super::{PathTemplate, Router};
use super::{facts, path_of, template};

#[test]
fn the_fixed_directory_and_the_name_of_the_journal() {
    for (text, fixed, journal) in [
        ("/log/a.log", "/log", "a.log"),
        ("a%b.log", "/base", "a%b.log"),
        ("x/{{a}}.log", "/base/x", "{a}.log"),
        ("/a.log", "/", "a.log"),
        ("/{topic}", "/", "{topic}"),
        ("/log/{topic}.log", "/log", "{topic}.log"),
        ("/log//x/{topic}/y.log", "/log/x", "{topic}%2Fy.log"),
        ("/l{{o}}g/a-{key}/{{/{%Y/%m}.log", "/l{o}g", "a-{key}%2F{{%2F{%25Y%2F%25m}.log"),
        ("{%F}.log", "/base", "{%25F}.log"),
    ] {
        let template = template(text);
        assert_eq!(template.fixed_directory(), Path::new(fixed), "{text}");
        assert_eq!(template.journal_name(), journal, "{text}");
        assert_eq!(template.has_placeholders(), journal.contains('{') && text != "x/{{a}}.log", "{text}");
    }
    let names = |text: &str| {
        let template = template(text);
        (template.names_topic(), template.names_partition(), template.names_key(), template.names_time())
    };
    assert_eq!(names("/log/x"), (false, false, false, false));
    assert_eq!(names("/log/{topic}"), (true, false, false, false));
    assert_eq!(names("/log/{partition}/x"), (false, true, false, false));
    assert_eq!(names("/log/{key}/x"), (false, false, true, false));
    assert_eq!(names("/log/{%Y}"), (false, false, false, true));
}

#[test]
fn what_is_printed_is_read_as_the_same() {
    for (base, text) in [
        ("/base", "/log/{{{topic}}}/{%Y-%m}"),
        ("/ba{key}se", "x/{key}.log"),
        ("/", "{topic}"),
        ("/base/", "a"),
        ("", "{topic}.log"),
    ] {
        let read = PathTemplate::parse(Path::new(base), text).unwrap();
        let again = PathTemplate::parse(Path::new(""), &read.to_string());
        assert_eq!(again, Ok(read), "{base} {text}");
    }
    let read = PathTemplate::parse(Path::new("/ba{key}se"), "x/{topic}.log").unwrap();
    assert_eq!(read.to_string(), "/ba{{key}}se/x/{topic}.log");
    let mut router = Router::new(read, jiff::tz::TimeZone::UTC);
    assert_eq!(path_of(&mut router, &facts("t", 0, None)), "/ba{key}se/x/t.log");
}

/// The faults of a text, each as the character and a part of the sentence.
fn is_refused(text: &str, expected: &[(usize, &str)]) {
    let faults = PathTemplate::parse(Path::new("/base"), text).unwrap_err();
    let places: Vec<_> = faults.iter().map(|fault| fault.at).collect();
    assert_eq!(places, expected.iter().map(|(at, _)| *at).collect::<Vec<_>>(), "{text}: {faults:?}");
    for (fault, (_, what)) in faults.iter().zip(expected) {
        assert!(fault.what.contains(what), "{text}: {fault:?}");
    }
}

#[test]
fn all_faults_are_found_each_at_its_character() {
    let cases: [(&str, &[(usize, &str)]); 17] = [
        ("", &[(1, "the path of a file")]),
        ("/log/", &[(5, "the path of a file")]),
        (
            "é{tpoic}/{keys}}",
            &[(2, "no placeholder {tpoic}"), (10, "no placeholder {keys}"), (16, "closes nothing")],
        ),
        ("/log/{topic", &[(6, "not closed")]),
        ("/log/..", &[(6, "needs a name")]),
        ("/log/{topic}//x/./..", &[(14, "needs a name"), (17, "needs a name"), (19, "needs a name")]),
        ("/log/{topic}\n", &[(13, "no control characters")]),
        ("/log/%Y/{topic}-%m", &[(9, "a time has braces, as {%Y-%m-%d}")]),
        ("/log/{%Y-%S%q%}", &[(10, "no %S: %Y, %m"), (12, "no %q"), (14, "no %: ")]),
        ("/log/{%S}", &[(7, "no %S")]),
        ("/log/{%Y{x}", &[(9, "inside braces")]),
        ("/log/{%H}", &[(6, "%H needs %d or %j")]),
        ("/log/{topic}/{%m}", &[(14, "%m needs %Y")]),
        ("/log/{%Y-%d}", &[(6, "%d needs %m")]),
        ("/log/{%F %M}", &[(6, "%M needs %H")]),
        ("/log/{%j}", &[(6, "%j needs %Y")]),
        ("/log/{topic}{partition}", &[(6, "{partition} and {topic} run together")]),
    ];
    for (text, expected) in cases {
        is_refused(text, expected);
    }
    let unknown = PathTemplate::parse(Path::new("/"), "{tpoic}").unwrap_err();
    assert_eq!(unknown[0].unknown.as_deref(), Some("tpoic"));
}

#[test]
fn placeholders_that_a_path_does_not_tell_apart_are_refused() {
    for text in [
        "{topic}/{key}",
        "{topic}@{key}",
        "{key}@{topic}",
        "{key}-{partition}",
        "{topic}-{partition}.log",
        "{partition}.{topic}-{%Y}{key}/{topic}",
        "{key}{key}",
        "{%Y}{key}{%m}",
        "{topic}/{topic}{key}",
        "{key}x{topic}y{key}/{topic}",
        "a{topic}={key}-{partition}b",
    ] {
        template(text);
    }
    for (text, which) in [
        ("{topic}-{key}", "{key} and {topic}"),
        ("{topic}{%Y}{key}", "{key} and {topic}"),
        ("{partition}{key}", "{key} and {partition}"),
        ("{key}%{partition}".replace('%', "7").as_str(), "{key} and {partition}"),
        ("{topic}{key}/{partition}{key}", "{key} and {partition} and {topic}"),
        ("{key}{topic}{key}", "{key} and {topic}"),
    ] {
        is_refused(text, &[(1, which)]);
    }
}

#[test]
fn names_that_leave_no_place_for_values_are_refused() {
    let long = |bytes: usize| format!("/log/{}{{key}}.log", "a".repeat(bytes));
    template(&long(176));
    is_refused(&long(177), &[(6, "takes up to 215 bytes")]);
    is_refused(&format!("/log/{}/{{key}}", "{%Y}".repeat(54)), &[(6, "takes up to 216 bytes")]);
    // The whole path is a limit, too.
    let deep = |depth: usize| format!("{}{{key}}", "/abcdefghi".repeat(depth));
    template(&deep(399));
    is_refused(&deep(405), &[(4042, "6 are left")]);
    let base = PathBuf::from(format!("/{}", "a/".repeat(2100)));
    assert!(PathTemplate::parse(&base, "{partition}").is_err());
    assert!(PathTemplate::parse(&base, "plain").is_ok());
}
