//! Random records: two share a file exactly if the path shows the same of both, and every file is below the
//! fixed directory.

use std::collections::HashMap;
use std::path::{Component, Path};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::{RouteFacts, Router};
use super::template;

/// What a path may show of a record, in words of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ShownFacts {
    topic: Option<String>,
    partition: Option<i32>,
    key: Option<Option<Vec<u8>>>,
    time: Option<(String, bool)>,
}

/// Each template, and the time that it shows in the words of jiff.
const TEMPLATES: [(&str, Option<&str>); 8] = [
    ("{topic}/{partition}/{key}.log", None),
    ("{topic}@{key}-{partition}.log", None),
    ("{key}.{partition}x", None),
    ("{topic}{%Y%m%d%H}{partition}/{topic}.log", Some("%F %H")),
    (".{key}.{%F-%H%M}", Some("%F %H %M")),
    ("f{key}/{%Y/%m}/x-{topic}", Some("%Y-%m")),
    ("{topic}/{topic}{key}/{%Y-%j}.log", Some("%Y-%j")),
    ("{key}/{key}/{partition}={topic}", None),
];

/// Short texts of bytes that matter, so that there are many that differ little; a few are long.
fn key(dice: &mut fastrand::Rng) -> Option<Vec<u8>> {
    const PIECES: [&[u8]; 22] = [
        b"a",
        b"b",
        b"0",
        b"1",
        b".",
        b"..",
        b"/",
        b"%",
        b"%2F",
        b"%2E",
        b"-",
        b"@",
        b"{",
        b"}",
        b"null",
        b"empty",
        b"uture",
        b"\0",
        b"\xff",
        b"\xc3",
        "é".as_bytes(),
        b"%~",
    ];
    if dice.u8(..16) == 0 {
        return None;
    }
    let mut key: Vec<u8> =
        (0..dice.usize(0..4)).flat_map(|_| dice.choice(&PIECES).unwrap().to_vec()).collect();
    if dice.u8(..50) == 0 {
        let long = *dice.choice(&[150, 209, 210, 215, 5000]).unwrap();
        key.extend(std::iter::repeat_n(*dice.choice(b"x/\xff").unwrap(), long));
        key.push(dice.u8(b'a'..b'd'));
    }
    Some(key)
}

fn topic(dice: &mut fastrand::Rng) -> String {
    match dice.u8(..20) {
        0 => "future".to_owned(),
        1 => format!("{}{}", "t".repeat(240), dice.u8(..3)),
        _ => {
            let pieces = ["a", ".", "-", "_", "1", "12", "2026", "%"];
            (0..dice.usize(1..4)).map(|_| *dice.choice(&pieces).unwrap()).collect()
        }
    }
}

/// What a path of this template must show.
fn shown(router: &str, facts: &RouteFacts<'_>, format: Option<&str>, zone: &TimeZone) -> ShownFacts {
    let time = |format| {
        let time = Timestamp::from_millisecond(facts.time).unwrap().to_zoned(zone.clone());
        (time.strftime(format).to_string(), facts.is_future)
    };
    ShownFacts {
        topic: router.contains("{topic}").then(|| facts.topic.to_owned()),
        partition: router.contains("{partition}").then_some(facts.partition),
        key: router.contains("{key}").then(|| facts.key.map(<[u8]>::to_vec)),
        time: format.map(time),
    }
}

fn is_confined(path: &Path, depth: usize) {
    let below = path.strip_prefix("/base/fixed").unwrap_or_else(|_| panic!("{path:?}"));
    let text = path.to_str().unwrap();
    assert!(!text.contains("//") && !text.ends_with('/') && text.len() < 4096, "{text}");
    assert!(below.components().all(|part| matches!(part, Component::Normal(_))), "{text}");
    // Components leave out a dot in the middle of a path.
    let names: Vec<_> = below.to_str().unwrap().split('/').collect();
    assert!(names.iter().all(|name| !matches!(*name, "" | "." | "..") && name.len() <= 214), "{text}");
    assert_eq!(names.len(), depth, "{text}");
    assert!(!text.chars().any(char::is_control), "{text}");
}

#[test]
fn two_records_share_a_file_if_the_path_shows_the_same_of_both() {
    let seed = std::env::var("PANDAD_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(16);
    let mut dice = fastrand::Rng::with_seed(seed);
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    for (text, format) in TEMPLATES {
        let mut router = Router::new(template(&format!("fixed/{text}")), zone.clone());
        let depth = text.split('/').count();
        let mut paths: HashMap<String, ShownFacts> = HashMap::new();
        let mut routes: HashMap<ShownFacts, String> = HashMap::new();
        for _ in 0..100_000 / TEMPLATES.len() {
            let (topic, key) = (topic(&mut dice), key(&mut dice));
            // Hours around the end of summer time.
            let time =
                1_792_888_200_000 + dice.i64(-3..4) * *dice.choice(&[1_800_000, 86_400_000 * 40]).unwrap();
            let facts = RouteFacts {
                topic: &topic,
                partition: *dice.choice(&[0, 1, 11, 12, 112, i32::MAX]).unwrap(),
                key: key.as_deref(),
                time: time + dice.i64(..60_000).rem_euclid(60_000),
                is_future: dice.u8(..8) == 0,
            };
            let path = router.route(&facts).path.clone();
            is_confined(&path, depth + usize::from(facts.is_future && format.is_some()));
            let path = path.to_str().unwrap().to_owned();
            let shown = shown(text, &facts, format, &zone);
            let other = paths.entry(path.clone()).or_insert_with(|| shown.clone());
            assert_eq!(*other, shown, "seed {seed}: {text}: one file {path} for both");
            let other = routes.entry(shown.clone()).or_insert_with(|| path.clone());
            assert_eq!(*other, path, "seed {seed}: {text}: two files for {shown:?}");
        }
        assert!(paths.len() > 200 && paths.len() < 12_000, "{text}: {} files", paths.len());
    }
}
