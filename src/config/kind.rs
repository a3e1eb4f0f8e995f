//! The kinds of values that keys have: each reads, prints and describes its values.
//!
//! A description serves the comments of the shipped .inv and docs/configuration.md. Text in backticks is
//! code there.

use std::path::PathBuf;
use std::time::Duration;

use super::choices::{self, Choice, StartPolicy, TopicSelection};
use super::convert::{self, in_bytes, in_seconds};
use super::key::{NumberRange, ValueKind};
use crate::line_template::LineTemplate;
use crate::moment;
use crate::path_template::PathTemplate;
use crate::pattern::{HeaderPattern, Pattern};
use crate::time_zone::NamedZone;

mod addresses;

pub use addresses::{brokers, host_names, http_address};

/// The text that is printed in place of a password. It is refused as a password.
pub const MASK: &str = "********";

/// The SHA-256 of a certificate.
pub type Pin = [u8; 32];

/// Any text; blanks are part of it.
pub const fn text() -> ValueKind<String> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| Ok(text.to_owned()),
        write: String::clone,
        values: |_| "any text".into(),
        is_secret: false,
    }
}

/// Any text. `empty` says what an empty text means, in words for a person.
pub const fn text_or(empty: &'static str) -> ValueKind<String> {
    ValueKind {
        range: NumberRange { unit: empty, ..NumberRange::ANY },
        values: |NumberRange { unit, .. }| format!("any text, empty for {unit}"),
        ..text()
    }
}

/// A text that is not empty and has no control characters.
pub const fn name() -> ValueKind<String> {
    ValueKind { read: |text, _| convert::name(text), values: |_| "a name".into(), ..text() }
}

/// A password: any text except the mask that `-T` prints in place of a password.
pub const fn password() -> ValueKind<String> {
    ValueKind {
        read: |text, context| {
            if text == MASK && !context.is_mask_allowed {
                return Err("this is the mask that -T prints: write the password itself".into());
            }
            Ok(text.to_owned())
        },
        write: |password| if password.is_empty() { String::new() } else { MASK.into() },
        is_secret: true,
        ..text_or("none")
    }
}

/// A whole number of some unit.
pub const fn count(least: u64, most: u64, unit: &'static str) -> ValueKind<u32> {
    ValueKind {
        range: NumberRange { least, most, unit },
        read: |text, context| {
            let number = convert::number(text, context.range)?;
            u32::try_from(number).map_err(|error| error.to_string())
        },
        write: u32::to_string,
        values: |NumberRange { least, most, unit }| match unit {
            "" => format!("{least} to {most}"),
            unit => format!("{least} to {most} {unit}"),
        },
        is_secret: false,
    }
}

/// A whole number of some unit; an empty text means off.
pub const fn count_or_off(least: u64, most: u64, unit: &'static str) -> ValueKind<Option<u32>> {
    ValueKind {
        range: NumberRange { least, most, unit },
        read: |text, context| {
            if text.trim().is_empty() {
                return Ok(None);
            }
            let number = convert::number(text, context.range).map_err(|why| format!("{why}; '' is off"))?;
            u32::try_from(number).map(Some).map_err(|error| error.to_string())
        },
        write: |number| number.map(|number| number.to_string()).unwrap_or_default(),
        values: |NumberRange { least, most, unit }| format!("{least} to {most} {unit}; empty for off"),
        is_secret: false,
    }
}

/// A number of worker threads. The limit catches typing errors.
pub const fn workers() -> ValueKind<usize> {
    ValueKind {
        range: NumberRange { least: 1, most: 256, unit: "threads" },
        read: |text, context| {
            let number = convert::number(text, context.range)?;
            usize::try_from(number).map_err(|error| error.to_string())
        },
        write: usize::to_string,
        values: |NumberRange { least, most, unit }| format!("{least} to {most} {unit}"),
        is_secret: false,
    }
}

/// A TCP port.
pub const fn port() -> ValueKind<u16> {
    ValueKind {
        range: NumberRange { least: 1, most: 65_535, unit: "" },
        read: |text, context| {
            let number = convert::number(text, context.range)?;
            u16::try_from(number).map_err(|error| error.to_string())
        },
        write: u16::to_string,
        values: |NumberRange { least, most, .. }| format!("{least} to {most}"),
        is_secret: false,
    }
}

/// A whole number of milliseconds.
pub const fn milliseconds(least: u64, most: u64) -> ValueKind<Duration> {
    ValueKind {
        range: NumberRange { least, most, unit: "milliseconds" },
        read: |text, context| convert::number(text, context.range).map(Duration::from_millis),
        write: |time| time.as_millis().to_string(),
        values: |NumberRange { least, most, unit }| format!("{unit}, {least} to {most}"),
        is_secret: false,
    }
}

/// Seconds with up to three decimals.
pub const fn seconds(least: u64, most: u64) -> ValueKind<Duration> {
    ValueKind {
        range: NumberRange { least, most, unit: "seconds" },
        read: |text, context| convert::seconds(text, context.range),
        write: |time| in_seconds(*time),
        values: |NumberRange { least, most, unit }| format!("{unit}, {least} to {most}"),
        is_secret: false,
    }
}

/// A length of time, with s, m, h or d. The bounds are in seconds.
pub const fn duration(least: u64, most: u64) -> ValueKind<Duration> {
    ValueKind {
        range: NumberRange { least, most, unit: "seconds" },
        read: |text, context| convert::duration(text, context.range),
        write: |time| moment::length_text(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        values: |NumberRange { least, most, .. }| {
            format!("a number and s, m, h or d, {} to {}", convert::in_units(least), convert::in_units(most))
        },
        is_secret: false,
    }
}

/// Seconds until a connection to Redis must be usable.
pub const fn connect_timeout() -> ValueKind<Duration> {
    ValueKind {
        read: |text, context| convert::connect_timeout(text, context.range),
        values: |NumberRange { most, unit, .. }| {
            format!("{unit}, 0 to {most}; 0 means {}", in_seconds(convert::REDIS_TIMEOUT))
        },
        ..seconds(0, 300)
    }
}

/// Bytes, with K, M or G for powers of 1024.
pub const fn size(least: u64, most: u64) -> ValueKind<u64> {
    ValueKind {
        range: NumberRange { least, most, unit: "bytes" },
        read: |text, context| convert::size(text, context.range),
        write: |size| in_bytes(*size),
        values: |NumberRange { least, most, unit }| {
            format!("{unit}, {} to {}", in_bytes(least), in_bytes(most))
        },
        is_secret: false,
    }
}

/// A size; an empty text means off.
pub const fn size_or_off(least: u64, most: u64) -> ValueKind<Option<u64>> {
    ValueKind {
        range: NumberRange { least, most, unit: "bytes" },
        read: |text, context| convert::size_or_off(text, context.range),
        write: |size| size.map(in_bytes).unwrap_or_default(),
        values: |NumberRange { least, most, unit }| {
            format!("{unit}, {} to {}; empty for off", in_bytes(least), in_bytes(most))
        },
        is_secret: false,
    }
}

/// One of a few words.
pub const fn choice<T: Choice>() -> ValueKind<T> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| choices::choice(text),
        write: |value| choices::word_of(value).to_owned(),
        values: |_| choices::words::<T>(),
        is_secret: false,
    }
}

/// One of a few words; an empty text means off.
pub const fn choice_or_off<T: Choice>() -> ValueKind<Option<T>> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| {
            if text.trim().is_empty() {
                return Ok(None);
            }
            choices::choice(text).map(Some).map_err(|expected| format!("{expected}, or '' for off"))
        },
        write: |value| value.as_ref().map(choices::word_of).unwrap_or_default().to_owned(),
        values: |_| format!("{}; empty for off", choices::words::<T>()),
        is_secret: false,
    }
}

/// The path of a file, with placeholders or without; a relative one begins at the directory of the .inv.
pub const fn path_template() -> ValueKind<PathTemplate> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, context| convert::path_template(text, context.base),
        write: PathTemplate::to_string,
        values: |_| "a path, relative to the `.inv`".into(),
        is_secret: false,
    }
}

/// A path, or nothing.
pub const fn path_or_none() -> ValueKind<PathBuf> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, context| Ok(if text.is_empty() { PathBuf::new() } else { context.base.join(text) }),
        write: |path| path.to_string_lossy().into_owned(),
        values: |_| "a path, empty for none".into(),
        is_secret: false,
    }
}

/// The SHA-256 of a certificate; an empty text means none.
pub const fn pin_or_none() -> ValueKind<Option<Pin>> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::pin_or_none(text),
        write: |pin| pin.iter().flatten().map(|byte| format!("{byte:02x}")).collect(),
        values: |_| "64 hexadecimal digits, with or without colons, empty for none".into(),
        is_secret: false,
    }
}

/// A time zone.
pub const fn zone() -> ValueKind<NamedZone> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| NamedZone::new(text.trim()),
        write: NamedZone::to_string,
        values: |_| "`UTC`, `local` (the machine's), `+08:00`, or a name such as `Europe/Berlin`".into(),
        is_secret: false,
    }
}

/// `stderr`, or the path of a file.
pub const fn stderr_or_file() -> ValueKind<String> {
    ValueKind {
        read: |text, context| {
            let name = convert::name(text)?;
            if name == "stderr" {
                return Ok(name);
            }
            Ok(context.base.join(name).to_string_lossy().into_owned())
        },
        values: |_| "`stderr`, or a path".into(),
        ..text()
    }
}

/// Topics by name or by pattern.
pub const fn topics() -> ValueKind<TopicSelection> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::topics(text),
        write: TopicSelection::to_string,
        values: |_| "names separated by commas, or `/pattern/` for all whose whole name matches".into(),
        is_secret: false,
    }
}

/// A regular expression; an empty text means off.
pub const fn pattern_or_off() -> ValueKind<Option<Pattern>> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::pattern_or_off(text),
        write: |pattern| pattern.as_ref().map(ToString::to_string).unwrap_or_default(),
        values: |_| "`/pattern/`, empty for off".into(),
        is_secret: false,
    }
}

/// A header's name and a regular expression for its value; an empty text means off.
pub const fn header_pattern_or_off() -> ValueKind<Option<HeaderPattern>> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::header_pattern_or_off(text),
        write: |pattern| pattern.as_ref().map(ToString::to_string).unwrap_or_default(),
        values: |_| "`name=/pattern/`, empty for off".into(),
        is_secret: false,
    }
}

/// A template of lines; an empty text means none.
pub const fn template() -> ValueKind<LineTemplate> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::template(text),
        write: LineTemplate::to_string,
        values: |_| "text with placeholders such as `{value}`, empty for none".into(),
        is_secret: false,
    }
}

/// Where to begin in a partition for which nobody has an offset.
pub const fn start() -> ValueKind<StartPolicy> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::start(text),
        write: StartPolicy::to_string,
        values: |_| {
            "`earliest` (the oldest record there is), `latest` (the next record produced), a time such as \
             `2026-11-27T06:00:00Z`, or `-2h` (that long ago, in s, m, h or d)"
                .into()
        },
        is_secret: false,
    }
}

/// Redis hashes.
pub const fn hashes() -> ValueKind<Vec<String>> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::hashes(text),
        write: |names| names.join(" "),
        values: |_| "names separated by commas or blanks".into(),
        is_secret: false,
    }
}

/// A host name or address without a port; it may be empty where no job uses the server.
pub const fn host() -> ValueKind<String> {
    ValueKind { read: |text, _| convert::host(text), values: |_| "a name or address".into(), ..text() }
}

/// Whether a Redis server is reached through a socket in the file system.
pub const fn socket_type() -> ValueKind<bool> {
    ValueKind {
        range: NumberRange::ANY,
        read: |text, _| convert::socket_type(text),
        write: |is_unix| if *is_unix { "unix".into() } else { String::new() },
        values: |_| "empty or `tcp` (host and port), `unix` (socket)".into(),
        is_secret: false,
    }
}
