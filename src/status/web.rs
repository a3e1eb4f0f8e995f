//! Which path of the HTTP server shows what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::history::History;
use super::page::PAGE;
use super::prometheus::{MetricsFormat, metrics};
use super::snapshot::StatusSource;
use super::{json, readiness};
use crate::http::{Handler, HttpRequest, Response, Status};

/// Without a sign of life for this long, the process does not live.
const PULSE_MAX: Duration = Duration::from_secs(30);
/// The page brings its style and script with it, asks only this server, and is shown in no frame.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                           connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                           frame-ancestors 'none'";

/// The sign of life of the thread that watches the jobs. Clones share it.
#[derive(Debug, Clone)]
pub struct Pulse {
    began: Instant,
    /// When it last beat, in milliseconds after the beginning.
    last: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { began: Instant::now(), last: Arc::default() }
    }
}

impl Pulse {
    /// The thread is alive now.
    pub fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Relaxed);
    }

    /// How long ago it last beat.
    fn silent_for(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }
}

/// What answers the requests.
pub fn handler(source: StatusSource, history: History, pulse: Pulse) -> Handler {
    Arc::new(move |request| respond(request, &source, &history, &pulse))
}

pub(super) fn respond(
    request: &HttpRequest,
    source: &StatusSource,
    history: &History,
    pulse: &Pulse,
) -> Response {
    match request.path.as_str() {
        "/" => Response {
            status: Status::Ok,
            content_type: "text/html; charset=utf-8",
            policy: Some(PAGE_POLICY),
            body: PAGE.into(),
        },
        "/status.json" => Response {
            content_type: "application/json",
            ..Response::text(Status::Ok, json(&source.look(), &history.all()))
        },
        "/metrics" => {
            let format = match request.accept.contains("application/openmetrics-text") {
                true => MetricsFormat::OpenMetrics,
                false => MetricsFormat::Text,
            };
            let body = metrics(&source.look(), &source.jobs, format);
            Response { content_type: format.content_type(), ..Response::text(Status::Ok, body) }
        }
        "/live" => match pulse.silent_for() {
            silent if silent < PULSE_MAX => Response::text(Status::Ok, "alive\n"),
            silent => {
                let text = format!("no sign of life for {} s\n", silent.as_secs());
                Response::text(Status::Unavailable, text)
            }
        },
        "/ready" => {
            let (is_ready, text) = readiness(&source.look());
            Response::text(if is_ready { Status::Ok } else { Status::Unavailable }, text)
        }
        _ => Response::text(
            Status::NotFound,
            "pandad serves / (a page for people), /status.json, /metrics, /live and /ready\n",
        ),
    }
}
