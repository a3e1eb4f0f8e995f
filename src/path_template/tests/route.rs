//! The paths of records, and how often they are formatted.

use super::super::{Period, RouteFacts};
use super::{TIME, facts, path_of, router};

#[test]
fn values_take_the_place_of_placeholders() {
    for (text, path) in [
        ("a%b.log", "/base/a%b.log"),
        ("/{topic}", "/to.pic-1"),
        ("/log/{topic}/{partition}.log", "/log/to.pic-1/7.log"),
        ("/log/{{{key}}}/{%Y-%m-%d/%H}h{%M}.log", "/log/{a%2Fb}/2026-11-24/15h30.log"),
        ("/log/{%F}_{%j}", "/log/2026-11-24_328"),
    ] {
        assert_eq!(path_of(&mut router(text), &facts("to.pic-1", 7, Some("a/b"))), path);
    }
    let hidden = path_of(&mut router("/log/.{topic}@{key}"), &facts(".x", 0, Some("..")));
    assert_eq!(hidden, "/log/.%2Ex@%2E.");
    let mut keys = router("/log/{key}.log");
    assert_eq!(path_of(&mut keys, &facts("t", 0, None)), "/log/%null.log");
    assert_eq!(path_of(&mut keys, &facts("t", 0, Some(""))), "/log/%empty.log");
    let bytes = RouteFacts { key: Some(b"\xff/"), ..facts("t", 0, None) };
    assert_eq!(path_of(&mut keys, &bytes), "/log/%FF%2F.log");
}

#[test]
fn what_is_too_far_ahead_has_a_directory_of_its_own() {
    let ahead = |topic| RouteFacts { is_future: true, ..facts(topic, 0, None) };
    let mut router = router("/log/{topic}/{%Y}.log");
    assert_eq!(path_of(&mut router, &ahead("a")), "/log/future/a/2026.log");
    assert_eq!(path_of(&mut router, &facts("a", 0, None)), "/log/a/2026.log");
    // A topic of this name does not share that directory.
    assert_eq!(path_of(&mut router, &facts("future", 0, None)), "/log/%66uture/2026.log");
    assert_eq!(path_of(&mut router, &ahead("future")), "/log/future/%66uture/2026.log");
    let mut timeless = super::router("/log/{topic}");
    assert_eq!(path_of(&mut timeless, &ahead("future")), "/log/future");
}

#[test]
fn long_values_are_shortened_to_names_that_fit() {
    let (long, other) = ("x".repeat(1_000_000), format!("{}y", "x".repeat(999_999)));
    let mut keys = router("/log/{topic}@{key}-{%Y}.log");
    let paths = [&long, &other].map(|key| path_of(&mut keys, &facts("t", 0, Some(key))));
    assert_ne!(paths[0], paths[1]);
    for path in paths {
        let name = path.strip_prefix("/log/").unwrap();
        assert!(name.starts_with("t@xxx") && name.contains("x%~") && name.ends_with("-2026.log"), "{name}");
        assert_eq!(name.len(), 255 - ".late.123456-20261124T153000.123Z.gz.part".len());
    }
    // Thirty such components are too much for one path.
    let mut deep = router(&format!("/log{}/{{%Y}}", "/{key}".repeat(30)));
    let path = path_of(&mut deep, &RouteFacts { is_future: true, ..facts("t", 0, Some(&long)) });
    assert!((3_990..4_096 - 41).contains(&path.len()), "{}", path.len());
}

#[test]
fn records_that_go_the_same_way_are_not_formatted_again() {
    let mut router = router("/log/{topic}/{key}-{%F-%H}.log");
    let mut route = |facts: RouteFacts<'_>, formatted| {
        let route = router.route(&facts).clone();
        assert_eq!(router.formatted(), formatted, "{facts:?}");
        route
    };
    let begin = TIME - TIME.rem_euclid(3_600_000);
    let a = facts("t", 0, Some("a"));
    let first = route(a, 1);
    assert_eq!(first.period, Some(Period { start: begin, end: begin + 3_600_000 }));
    for time in [TIME, begin, begin + 3_599_999, TIME + 1] {
        assert!(std::sync::Arc::ptr_eq(&first.path, &route(RouteFacts { time, ..a }, 1).path));
    }
    // The partition is not in the path.
    assert_eq!(route(RouteFacts { partition: 9, ..a }, 1), first);
    let mut formatted = 1;
    for other in [
        RouteFacts { topic: "u", ..a },
        RouteFacts { key: Some(b"b"), ..a },
        RouteFacts { key: None, ..a },
        RouteFacts { key: Some(b""), ..a },
        RouteFacts { time: begin - 1, ..a },
        RouteFacts { time: begin + 3_600_000, ..a },
        RouteFacts { is_future: true, ..a },
    ] {
        assert_ne!(route(other, formatted + 1).path, first.path, "{other:?}");
        assert_eq!(route(a, formatted + 2), first);
        formatted += 2;
    }
    let mut partitions = super::router("/log/{partition}.log");
    assert_ne!(path_of(&mut partitions, &a), path_of(&mut partitions, &RouteFacts { partition: 1, ..a }));
    assert_eq!(path_of(&mut partitions, &facts("u", 1, None)), "/log/1.log");
    assert_eq!(partitions.formatted(), 2, "neither key, topic nor time is in the path");
}

#[test]
fn a_minute_that_comes_back_is_not_mixed_up_with_those_between() {
    let zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let mut router = super::Router::new(super::template("/log/{%F-%H%M}"), zone);
    // 2026-10-25T00:30Z, when clocks in Berlin show 02:30 for the first time.
    let first = 1_792_888_200_000;
    for (minutes, shown) in [(0, "0230"), (1, "0231"), (60, "0230"), (61, "0231"), (0, "0230"), (30, "0200")]
    {
        let time = RouteFacts { time: first + minutes * 60_000, ..facts("t", 0, None) };
        assert_eq!(path_of(&mut router, &time), format!("/log/2026-10-25-{shown}"), "{minutes}");
    }
}

/// Once its buffers have grown, a router allocates for a new path only, and little for a long key.
#[test]
fn a_kept_answer_allocates_nothing() {
    let mut router = router("/log/{topic}/{key}-{%F-%H}.log");
    let a = facts("t", 0, Some("a"));
    router.route(&a);
    let same = allocation_counter::measure(|| {
        for time in TIME..TIME + 1000 {
            router.route(&RouteFacts { time, ..a });
        }
    });
    assert_eq!(same.count_total, 0);
    let long = "/".repeat(1 << 20);
    let shortened = allocation_counter::measure(|| {
        router.route(&RouteFacts { key: Some(long.as_bytes()), ..a });
    });
    assert!(shortened.bytes_total < 8192, "{} bytes", shortened.bytes_total);
}
