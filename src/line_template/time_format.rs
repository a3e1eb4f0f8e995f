//! A timestamp as text. The calendar is asked once a second: the text, or the broken down time if the
//! format shows parts of a second, is kept until the second changes.

use jiff::Timestamp;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

use crate::time_zone;

/// A format of strftime and a time zone.
#[derive(Debug)]
pub struct TimeFormat {
    format: String,
    zone: TimeZone,
    /// Whether the format shows parts of a second.
    has_fraction: bool,
    kept: Option<KeptSecond>,
}

/// The last second that was written.
#[derive(Debug)]
struct KeptSecond {
    second: i64,
    /// The second, and then parts of the second, in the terms of the calendar.
    time: BrokenDownTime,
    /// The text of that time.
    text: Vec<u8>,
}

impl TimeFormat {
    /// A format as jiff's `strtime` documents it. The zone is an offset, a name of the zone database, or
    /// `local`; without one it is UTC.
    ///
    /// # Errors
    /// What is wrong with the format or the zone.
    pub fn new(format: &str, zone: Option<&str>) -> Result<Self, String> {
        let zone = zone.map_or(Ok(TimeZone::UTC), time_zone::named);
        let zone = zone.map_err(|why| format!("{why} in the brackets"))?;
        let mut new = Self { format: format.to_owned(), zone, has_fraction: false, kept: None };
        // Two samples show whether parts of a second matter, and that every directive is known.
        let mut sample = new.break_down(0)?;
        let begin = sample.text.clone();
        sample.go_to(format, 123)?;
        if begin.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err("the format would break the line: %n cannot be in it".to_owned());
        }
        new.has_fraction = sample.text != begin;
        Ok(new)
    }

    /// Appends the text of a time in milliseconds since 1970. A time that the calendar does not have is
    /// written as this number.
    pub fn append(&mut self, out: &mut Vec<u8>, milliseconds: i64) {
        match self.text(milliseconds) {
            Ok(text) => out.extend_from_slice(text),
            Err(_) => out.extend_from_slice(itoa::Buffer::new().format(milliseconds).as_bytes()),
        }
    }

    fn text(&mut self, milliseconds: i64) -> Result<&[u8], String> {
        let second = milliseconds.div_euclid(1000);
        let kept = match self.kept.take().filter(|kept| kept.second == second) {
            Some(kept) => kept,
            None => self.break_down(second)?,
        };
        let kept = self.kept.insert(kept);
        if self.has_fraction {
            kept.go_to(&self.format, milliseconds.rem_euclid(1000))?;
        }
        Ok(&kept.text)
    }

    /// Asks the calendar for a second.
    fn break_down(&self, second: i64) -> Result<KeptSecond, String> {
        let time = Timestamp::from_second(second).map_err(|why| why.to_string())?;
        let time = BrokenDownTime::from(&time.to_zoned(self.zone.clone()));
        let mut text = Vec::new();
        time.format(&self.format, &mut text).map_err(|why| why.to_string())?;
        Ok(KeptSecond { second, time, text })
    }
}

/// A clone has the same format, and keeps nothing yet.
impl Clone for TimeFormat {
    fn clone(&self) -> Self {
        let Self { format, zone, has_fraction, kept: _ } = self;
        Self { format: format.clone(), zone: zone.clone(), has_fraction: *has_fraction, kept: None }
    }
}

impl KeptSecond {
    /// Goes to this many milliseconds after the second's beginning.
    fn go_to(&mut self, format: &str, milliseconds: i64) -> Result<(), String> {
        let nanoseconds = i32::try_from(milliseconds * 1_000_000).map_err(|why| why.to_string())?;
        self.time.set_subsec_nanosecond(Some(nanoseconds)).map_err(|why| why.to_string())?;
        self.text.clear();
        self.time.format(format, &mut self.text).map_err(|why| why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(format: &str, zone: Option<&str>, milliseconds: i64) -> String {
        let mut out = Vec::new();
        TimeFormat::new(format, zone).unwrap().append(&mut out, milliseconds);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_zone_is_utc_unless_the_template_names_one() {
        let time = 1_764_115_200_123;
        assert_eq!(text("%FT%T%.3f%:z", None, time), "2025-11-26T00:00:00.123+00:00");
        assert_eq!(text("%F %H:%M", Some("+08:00"), time), "2025-11-26 08:00");
        assert_eq!(text("%F %H:%M", Some("-03:30"), time), "2025-11-25 20:30");
        assert_eq!(text("%F %T", None, -1_001), "1969-12-31 23:59:58");
        assert_eq!(text("%s.%3f", None, time), "1764115200.123");
        assert_eq!(text("%Y", None, i64::MAX), i64::MAX.to_string());
        assert!(TimeFormat::new("%F", Some("local")).is_ok());
    }

    #[test]
    fn formats_and_zones_that_do_not_exist_are_refused() {
        for (format, zone, what) in [
            ("%!", None, "unrecognized specifier directive `!`"),
            ("%", None, "%"),
            ("%H%n", None, "break the line"),
            ("%H", Some("Mars/Olympus"), "Asia/Shanghai"),
            ("%H", Some("+8"), "+08:00"),
            ("%H", Some("+08:60"), "+08:00"),
            ("%H", Some("+99:00"), "+08:00"),
        ] {
            let why = TimeFormat::new(format, zone).unwrap_err();
            assert!(why.contains(what), "{format} {zone:?}: {why}");
        }
    }

    proptest! {
        /// A format that has written other times before writes the same text as jiff does anew.
        #[test]
        fn what_is_kept_changes_no_text(
            times in proptest::collection::vec(prop_oneof![-5_000i64..5_000, -1i64 << 46..1 << 47], 1..20),
            format in prop_oneof![Just("%F %T"), Just("%FT%T%.3f%z"), Just("%f|%A %B %j %I%p")],
        ) {
            let zone = "+05:30";
            let mut kept = TimeFormat::new(format, Some(zone)).unwrap();
            for time in times {
                let mut out = Vec::new();
                kept.append(&mut out, time);
                let time = Timestamp::from_millisecond(time).unwrap();
                let zoned = time.to_zoned(time_zone::named(zone).unwrap());
                prop_assert_eq!(String::from_utf8(out).unwrap(), zoned.strftime(format).to_string());
            }
        }
    }
}
