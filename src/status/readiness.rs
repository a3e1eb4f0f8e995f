//! The answer for a load balancer or a service manager: ready, or one reason a line.

use std::fmt::Write;

use super::snapshot::Snapshot;

/// Whether every job runs, and the text that says so: `ready`, or one reason a line.
pub fn readiness(snapshot: &Snapshot) -> (bool, String) {
    let mut text = String::new();
    for job in snapshot.jobs.iter().filter(|job| !job.state.is_well()) {
        if job.reasons.is_empty() {
            let seconds = job.lasts.as_secs();
            // Writing to a string cannot fail.
            let _written = writeln!(text, "{}: {} for {seconds} s", job.name, job.state);
        }
        for (reason, lasts) in &job.reasons {
            let (seconds, why) = (lasts.as_secs(), one_line(&reason.why));
            let _written =
                writeln!(text, "{}: {}: {} for {seconds} s: {why}", job.name, job.state, reason.subject);
        }
    }
    match text.is_empty() {
        true => (true, "ready\n".to_owned()),
        false => (false, text),
    }
}

/// The text without line breaks.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
