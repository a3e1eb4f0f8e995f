//! The fields of a time that a path may show, and the period for which these fields stay the same.
//!
//! When clocks are set back, a name comes back, too. Its period then lasts from its first moment to its
//! last: the hour that comes twice in Berlin is one file for two hours.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};

/// The first and the last time that are told apart: years have four digits, in every zone.
const TIME_MIN: i64 = -62_135_424_000_000;
const TIME_MAX: i64 = 253_370_592_000_000;
/// No zone is further from UTC, in milliseconds.
const OFFSET_MAX: i64 = 26 * 3_600_000;

/// A field of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeField {
    Year,
    Month,
    Day,
    YearDay,
    Hour,
    Minute,
}

impl TimeField {
    const ALL: [(Self, char); 6] = [
        (Self::Year, 'Y'),
        (Self::Month, 'm'),
        (Self::Day, 'd'),
        (Self::YearDay, 'j'),
        (Self::Hour, 'H'),
        (Self::Minute, 'M'),
    ];

    /// The field behind `%`, as strftime names it.
    pub fn of(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, other)| *other == letter).map(|(field, _)| field)
    }

    fn letter(self) -> char {
        Self::ALL.into_iter().find(|(field, _)| *field == self).map_or('?', |(_, letter)| letter)
    }

    /// Its number of digits.
    pub fn digits(self) -> usize {
        match self {
            Self::Year => 4,
            Self::YearDay => 3,
            Self::Month | Self::Day | Self::Hour | Self::Minute => 2,
        }
    }

    fn number(self, time: DateTime) -> u16 {
        let number = match self {
            Self::Year => time.year(),
            Self::YearDay => time.date().day_of_year(),
            Self::Month => time.month().into(),
            Self::Day => time.day().into(),
            Self::Hour => time.hour().into(),
            Self::Minute => time.minute().into(),
        };
        number.unsigned_abs()
    }

    /// Appends the digits.
    pub fn write(self, time: DateTime, out: &mut impl FnMut(&[u8])) {
        let (number, digits) = (self.number(time), self.digits());
        for place in (0..digits).rev() {
            let power = 10u16.pow(u32::try_from(place).unwrap_or_default());
            out(&[b'0' + u8::try_from(number / power % 10).unwrap_or_default()]);
        }
    }

    /// The fields of which one must be named with this one. Otherwise times that are far apart would have
    /// one name.
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Year => &[],
            Self::Month | Self::YearDay => &[Self::Year],
            Self::Day => &[Self::Month],
            Self::Hour => &[Self::Day, Self::YearDay],
            Self::Minute => &[Self::Hour],
        }
    }
}

/// A unit of time, the shortest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimeUnit {
    Minute,
    Hour,
    Day,
    Month,
    Year,
}

impl TimeUnit {
    /// The unit of these fields; `None` if there are none.
    ///
    /// # Errors
    /// What is missing.
    pub fn of(fields: &[TimeField]) -> Result<Option<Self>, String> {
        for field in fields {
            let needed = field.needs();
            if !needed.is_empty() && !needed.iter().any(|other| fields.contains(other)) {
                let names: Vec<_> = needed.iter().map(|field| format!("%{}", field.letter())).collect();
                return Err(format!(
                    "%{} needs {} in the path, too: otherwise times that are far apart would share a file",
                    field.letter(),
                    names.join(" or ")
                ));
            }
        }
        let unit = |field: &TimeField| match field {
            TimeField::Year => Self::Year,
            TimeField::Month => Self::Month,
            TimeField::Day | TimeField::YearDay => Self::Day,
            TimeField::Hour => Self::Hour,
            TimeField::Minute => Self::Minute,
        };
        Ok(fields.iter().map(unit).min())
    }

    /// The time at which the unit began that a clock shows.
    fn begin(self, shown: DateTime) -> DateTime {
        let (date, hour, minute) = (shown.date(), shown.hour(), shown.minute());
        match self {
            Self::Minute => date.at(hour, minute, 0, 0),
            Self::Hour => date.at(hour, 0, 0, 0),
            Self::Day => date.at(0, 0, 0, 0),
            Self::Month => date.first_of_month().at(0, 0, 0, 0),
            Self::Year => date.first_of_year().at(0, 0, 0, 0),
        }
    }

    fn length(self) -> Span {
        match self {
            Self::Minute => Span::new().minutes(1),
            Self::Hour => Span::new().hours(1),
            Self::Day => Span::new().days(1),
            Self::Month => Span::new().months(1),
            Self::Year => Span::new().years(1),
        }
    }
}

/// From `start` to before `end`, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first millisecond.
    pub start: i64,
    /// The first millisecond after it.
    pub end: i64,
}

impl Period {
    /// Whether the time is in it.
    pub fn holds(&self, time: i64) -> bool {
        (self.start..self.end).contains(&time)
    }
}

/// The periods of a template in a zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    pub(super) unit: TimeUnit,
    pub(super) zone: TimeZone,
}

/// A time as a calendar shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownTime {
    /// The beginning of its unit.
    pub begin: DateTime,
    /// Times around it, without a gap, that are shown alike.
    pub span: Period,
    /// From the first to the last time that is shown alike.
    pub period: Period,
}

/// The time, or the nearest one that a calendar tells apart from others.
pub(super) fn in_range(time: i64) -> i64 {
    time.clamp(TIME_MIN, TIME_MAX)
}

impl Calendar {
    /// The period of a time in milliseconds since 1970: the times whose names are the same. Where clocks are
    /// set back, times of another period may lie within it.
    pub fn period_of(&self, time: i64) -> Period {
        self.shown(time).period
    }

    pub(super) fn shown(&self, time: i64) -> ShownTime {
        let time = in_range(time);
        let shown = self.zone.to_datetime(timestamp(time));
        let begin = self.unit.begin(shown);
        let alike = self.shown_between(begin, begin.saturating_add(self.unit.length()));
        let around = alike.iter().find(|span| span.holds(time));
        // A calendar that contradicts itself keeps nothing.
        let alone = Period { start: time, end: time + 1 };
        let period = match (alike.first(), alike.last()) {
            (Some(first), Some(last)) => Period { start: first.start, end: last.end },
            _ => alone,
        };
        ShownTime { begin, span: around.copied().unwrap_or(alone), period }
    }

    /// When clocks show a time from `begin` to before `end`: one span for each offset that the zone has then.
    fn shown_between(&self, begin: DateTime, end: DateTime) -> Vec<Period> {
        let (begin, end) = (in_utc(begin), in_utc(end));
        let first = timestamp(begin - OFFSET_MAX);
        let changes = self.zone.following(first).map(|change| (millis(change.timestamp()), change.offset()));
        let mut spans = Vec::new();
        let (mut since, mut offset) = (i64::MIN, self.zone.to_offset(first));
        let last = (i64::MAX, Offset::UTC);
        for (until, next) in changes.take_while(|(at, _)| *at < end + OFFSET_MAX).chain([last]) {
            let ahead = i64::from(offset.seconds()) * 1000;
            let span = Period { start: since.max(begin - ahead), end: until.min(end - ahead) };
            if span.start < span.end {
                spans.push(span);
            }
            (since, offset) = (until, next);
        }
        spans
    }
}

fn timestamp(time: i64) -> Timestamp {
    Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// The time at which a clock in UTC shows this.
fn in_utc(shown: DateTime) -> i64 {
    Offset::UTC.to_timestamp(shown).map_or(TIME_MAX, millis)
}
