//! Periods, above all around the hours that a clock shows twice.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::period::{TimeField, TimeUnit, in_range};
use super::super::{Calendar, Period};

const HOUR: i64 = 3_600_000;

fn millis(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn zone(posix: &str) -> TimeZone {
    TimeZone::posix(posix).unwrap()
}

fn berlin() -> TimeZone {
    zone("CET-1CEST,M3.5.0,M10.5.0/3")
}

fn period(unit: TimeUnit, zone: &TimeZone, at: &str) -> (String, i64) {
    let Period { start, end } = Calendar { unit, zone: zone.clone() }.period_of(millis(at));
    (Timestamp::from_millisecond(start).unwrap().to_string(), (end - start) / 60_000)
}

#[test]
fn a_period_lasts_as_long_as_its_name() {
    let is = |unit, at, start: &str, minutes| {
        assert_eq!(period(unit, &TimeZone::UTC, at), (start.to_owned(), minutes), "{at}");
    };
    is(TimeUnit::Minute, "2026-11-24T15:30:59.999Z", "2026-11-24T15:30:00Z", 1);
    is(TimeUnit::Hour, "2026-11-24T15:30:00.123Z", "2026-11-24T15:00:00Z", 60);
    is(TimeUnit::Day, "1969-12-31T23:59:59.999Z", "1969-12-31T00:00:00Z", 24 * 60);
    is(TimeUnit::Month, "2028-02-10T00:00:00Z", "2028-02-01T00:00:00Z", 29 * 24 * 60);
    is(TimeUnit::Year, "2028-12-31T00:00:00Z", "2028-01-01T00:00:00Z", 366 * 24 * 60);
}

#[test]
fn an_hour_that_comes_twice_is_one_period() {
    let is = |unit, zone: &TimeZone, at, start: &str, minutes| {
        assert_eq!(period(unit, zone, at), (start.to_owned(), minutes), "{at}");
    };
    for at in ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:59:59.999Z"] {
        is(TimeUnit::Hour, &berlin(), at, "2026-10-25T00:00:00Z", 120);
    }
    is(TimeUnit::Hour, &berlin(), "2026-10-24T23:59:59.999Z", "2026-10-24T23:00:00Z", 60);
    is(TimeUnit::Hour, &berlin(), "2026-10-25T02:00:00Z", "2026-10-25T02:00:00Z", 60);
    is(TimeUnit::Day, &berlin(), "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25 * 60);
    is(TimeUnit::Day, &berlin(), "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23 * 60);
    is(TimeUnit::Hour, &berlin(), "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", 60);
    // A minute comes back after an hour: its period holds others.
    for at in ["2026-10-25T00:30:10Z", "2026-10-25T01:30:10Z"] {
        is(TimeUnit::Minute, &berlin(), at, "2026-10-25T00:30:00Z", 61);
    }
    // On Lord Howe Island clocks are set back by half an hour, from 02:00 to 01:30.
    let lord_howe = zone("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0");
    is(TimeUnit::Hour, &lord_howe, "2026-04-04T14:10:00Z", "2026-04-04T14:00:00Z", 90);
    is(TimeUnit::Hour, &lord_howe, "2026-04-04T15:10:00Z", "2026-04-04T14:00:00Z", 90);
    is(TimeUnit::Hour, &lord_howe, "2026-04-04T15:30:00Z", "2026-04-04T15:30:00Z", 60);
    let kolkata = zone("IST-5:30");
    is(TimeUnit::Hour, &kolkata, "2026-04-04T15:10:00Z", "2026-04-04T14:30:00Z", 60);
    is(TimeUnit::Day, &kolkata, "2026-04-04T18:30:00Z", "2026-04-04T18:30:00Z", 24 * 60);
}

/// Times near changes of the clock, and others: the name, made by jiff, is the same exactly within the spans
/// of a name, and the period goes from the first to the last of these.
#[test]
fn periods_agree_with_the_names_of_all_their_times() {
    let zones = [
        berlin(),
        zone("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"),
        // Clocks go back from 00:01 to 23:01 of the day before.
        zone("NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01"),
        zone("<-04>4<-03>,M9.1.6/24,M4.1.6/24"),
        TimeZone::fixed(jiff::tz::offset(-12)),
        TimeZone::UTC,
    ];
    let mut dice = fastrand::Rng::with_seed(15);
    let years: Vec<_> = (2025..2027).map(|year| millis(&format!("{year}-01-01T00:00:00Z"))).collect();
    for (at, zone) in zones.iter().enumerate() {
        let changes: Vec<_> = zone
            .following(Timestamp::from_millisecond(years[0]).unwrap())
            .take(4)
            .map(|change| change.timestamp().as_millisecond())
            .collect();
        for (unit, format) in [
            (TimeUnit::Minute, "%F %H:%M"),
            (TimeUnit::Hour, "%F %H"),
            (TimeUnit::Day, "%Y-%j"),
            (TimeUnit::Month, "%Y-%m"),
            (TimeUnit::Year, "%Y"),
        ] {
            let calendar = Calendar { unit, zone: zone.clone() };
            let name = |time: i64| {
                let time = Timestamp::from_millisecond(time).unwrap().to_zoned(zone.clone());
                time.strftime(format).to_string()
            };
            let mut seen: HashMap<String, Period> = HashMap::new();
            for _ in 0..300 {
                let around = *dice.choice(&changes).unwrap_or(&years[0]);
                let reach = *dice.choice(&[2 * HOUR, 60 * HOUR, 9_000 * HOUR]).unwrap();
                let time = around + dice.i64(-reach..reach);
                let shown = calendar.shown(time);
                let what = format!("zone {at} {unit:?} {time}: {shown:?}");
                assert!(shown.span.holds(time), "{what}");
                for (inside, outside) in [
                    (shown.span.start, None),
                    (shown.span.end - 1, None),
                    (dice.i64(shown.span.start..shown.span.end), None),
                    (shown.period.start, Some(shown.period.start - 1)),
                    (shown.period.end - 1, Some(shown.period.end)),
                ] {
                    assert_eq!(name(inside), name(time), "{what}");
                    assert!(outside.is_none_or(|outside| name(outside) != name(time)), "{what}");
                }
                let known = seen.entry(name(time)).or_insert(shown.period);
                assert_eq!(*known, shown.period, "{what}");
            }
        }
    }
}

#[test]
fn times_without_a_year_of_four_digits_are_in_the_first_or_last_period() {
    for zone in [TimeZone::UTC, zone("XXX-24:59"), zone("XXX24:59")] {
        for (unit, time, year) in [
            (TimeUnit::Minute, i64::MAX, 9998),
            (TimeUnit::Year, i64::MAX, 9998),
            (TimeUnit::Minute, i64::MIN, 1),
            (TimeUnit::Year, i64::MIN, 1),
        ] {
            let calendar = Calendar { unit, zone: zone.clone() };
            let shown = calendar.shown(time);
            assert_eq!(shown.begin.year(), year);
            assert!(shown.period.holds(in_range(time)) && shown.span.holds(in_range(time)), "{shown:?}");
        }
    }
    let in_utc = |time| Timestamp::from_millisecond(in_range(time)).unwrap().to_string();
    assert_eq!(in_utc(i64::MIN), "0001-01-03T00:00:00Z");
    assert_eq!(in_utc(i64::MAX), "9998-12-30T00:00:00Z");
}

#[test]
fn fields_make_the_smallest_unit() {
    let unit = |letters: &str| {
        let fields: Vec<_> = letters.chars().map(|letter| TimeField::of(letter).unwrap()).collect();
        TimeUnit::of(&fields)
    };
    assert_eq!(unit(""), Ok(None));
    assert_eq!(unit("Y"), Ok(Some(TimeUnit::Year)));
    assert_eq!(unit("mY"), Ok(Some(TimeUnit::Month)));
    assert_eq!(unit("Ymd"), Ok(Some(TimeUnit::Day)));
    assert_eq!(unit("Yj"), Ok(Some(TimeUnit::Day)));
    assert_eq!(unit("YjH"), Ok(Some(TimeUnit::Hour)));
    assert_eq!(unit("YmdHM"), Ok(Some(TimeUnit::Minute)));
    assert!(TimeField::of('S').is_none());
}
