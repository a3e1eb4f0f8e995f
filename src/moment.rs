//! Moments as people write them: a time, or how long ago.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil};

/// The longest length of time, in days: a hundred years.
const DAYS_MAX: i64 = 36_500;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At this time, in milliseconds since 1970.
    At(i64),
    /// So many milliseconds before the moment at which it is asked for.
    Ago(i64),
}

impl Moment {
    /// Reads `-2h` (s, m, h, d), or a time: with an offset or a zone as RFC 3339 has it, otherwise in the
    /// machine's zone. A day alone is its midnight.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_in(text, TimeZone::system)
    }

    fn parse_in(text: &str, local: impl FnOnce() -> TimeZone) -> Result<Self, String> {
        let text = text.trim();
        if let Some(ago) = text.strip_prefix('-') {
            return length_ms(ago).map(Self::Ago).ok_or_else(|| {
                format!("a time ago is a whole number and s, m, h or d, as -2h, and up to {DAYS_MAX} d")
            });
        }
        // A number alone could be a day without hyphens, seconds or milliseconds.
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let at = if is_number { None } else { timestamp(text, local) };
        at.map(|at| Self::At(at.as_millisecond())).ok_or_else(|| {
            "a time is expected, as 2026-11-27T06:00:00Z, 2026-11-27T06:00+01:00, 2026-11-27T06:00 or \
             2026-11-27 (in the machine's zone), or -2h for two hours ago"
                .to_owned()
        })
    }

    /// The moment in milliseconds since 1970, if it is asked for at `now`.
    pub fn millis(self, now: Timestamp) -> i64 {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.as_millisecond().saturating_sub(ago),
        }
    }

    /// As [`Self::millis`], by the machine's clock.
    pub fn millis_now(self) -> i64 {
        self.millis(Timestamp::now())
    }
}

/// The time in UTC, or how long ago, as [`Moment::parse`] reads it.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => f.write_str(&in_utc(*at)),
            Self::Ago(ago) => write!(f, "-{}", length_text(*ago)),
        }
    }
}

/// Milliseconds since 1970 as a time in UTC, for a reader.
pub fn in_utc(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map_or_else(|_| format!("{millis} ms"), |at| at.to_string())
}

/// The units of a length of time in milliseconds, longest first.
const UNITS: [(i64, char); 4] = [(86_400_000, 'd'), (3_600_000, 'h'), (60_000, 'm'), (1000, 's')];

/// A length of time such as `2h`, in milliseconds: a whole number and s, m, h or d, up to a hundred years.
pub fn length_ms(text: &str) -> Option<i64> {
    let (unit, name) = UNITS.into_iter().find(|(_, name)| text.ends_with(*name))?;
    let number = text.strip_suffix(name)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length = number.parse::<i64>().ok()?.checked_mul(unit)?;
    (length <= DAYS_MAX * 86_400_000).then_some(length)
}

/// A length of time of whole seconds, as [`length_ms`] reads it.
pub fn length_text(length: i64) -> String {
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| length % unit == 0).unwrap_or((1000, 's'));
    format!("{}{name}", length / unit)
}

fn timestamp(text: &str, local: impl FnOnce() -> TimeZone) -> Option<Timestamp> {
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Some(zoned.timestamp());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    // The hour that a clock shows twice is the first of the two, so that nothing is missed.
    text.parse::<civil::DateTime>().ok().and_then(|at| local().to_ambiguous_timestamp(at).earlier().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_berlin(text: &str) -> Result<Moment, String> {
        Moment::parse_in(text, || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap())
    }

    #[test]
    fn times_are_read_with_their_zone_or_in_that_of_the_machine() {
        let six = "2026-11-27T06:00:00Z".parse::<Timestamp>().unwrap().as_millisecond();
        for text in [
            "2026-11-27T06:00:00Z",
            " 2026-11-27T07:00+01:00 ",
            "2026-11-27 07:00:00",
            "2026-11-27T07:00",
            "2026-11-27T06:00:00.000Z",
        ] {
            assert_eq!(in_berlin(text), Ok(Moment::At(six)), "{text}");
        }
        assert_eq!(in_berlin("2026-11-27"), Ok(Moment::At(six - 7 * 3_600_000)), "midnight in Berlin");
        let shown = |text| in_berlin(text).unwrap().to_string();
        assert_eq!(shown("2026-10-25T02:30"), "2026-10-25T00:30:00Z", "the first of two");
        assert_eq!(shown("2026-03-29T02:30"), "2026-03-29T00:30:00Z", "no clock showed it");
    }

    #[test]
    fn times_ago_count_back_from_the_moment_of_asking() {
        let now = Timestamp::from_millisecond(1_000_000_000).unwrap();
        for (text, ago) in [("-90s", 90_000), ("-5m", 300_000), ("-2h", 7_200_000), ("-1d", 86_400_000)] {
            let moment = Moment::parse(text).unwrap();
            assert_eq!(moment.millis(now), 1_000_000_000 - ago, "{text}");
            assert_eq!(moment.to_string(), text);
        }
        assert_eq!(Moment::parse("-24h").unwrap().to_string(), "-1d");
    }

    #[test]
    fn what_is_printed_is_read_again_as_the_same() {
        for text in ["2026-11-27", "1969-12-31T23:59:59.999Z", "-36500d", "-0s", "2026-11-27T06:00:00.5Z"] {
            let moment = in_berlin(text).unwrap();
            assert_eq!(Moment::parse(&moment.to_string()), Ok(moment), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "-", "-2", "-h", "-2 h", "--2h", "-2w", "-1.5h", "+2h", "-36501d", "20261127", "now"]
        {
            assert!(in_berlin(text).is_err(), "{text}");
        }
        assert!(in_berlin("-99999999999999999999d").is_err());
        assert!(in_berlin("2026-13-01").unwrap_err().contains("2026-11-27T06:00:00Z"));
    }
}
