//! Templates that are read and refused, and the paths that are made of them.

mod clash;
mod parse;
mod period;
mod random;
mod route;

use std::path::Path;

use jiff::tz::TimeZone;

use super::{PathTemplate, RouteFacts, Router};

fn template(text: &str) -> PathTemplate {
    PathTemplate::parse(Path::new("/base"), text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

fn router(text: &str) -> Router {
    Router::new(template(text), TimeZone::UTC)
}

/// 2026-11-24T15:30:00.123Z
const TIME: i64 = 1_795_534_200_123;

fn facts<'a>(topic: &'a str, partition: i32, key: Option<&'a str>) -> RouteFacts<'a> {
    RouteFacts { topic, partition, key: key.map(str::as_bytes), time: TIME, is_future: false }
}

fn path_of(router: &mut Router, facts: &RouteFacts<'_>) -> String {
    router.route(facts).path.to_str().unwrap().to_owned()
}
