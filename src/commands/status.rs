//! `pandad status FILE`: what the running pandads of this configuration say about themselves.

use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::http;
use crate::status::{StatusReport, socket_names, terminal};

/// How long a pandad may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How often `--watch` asks.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// Clears a terminal and begins at its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// How to show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusForm {
    /// Text, once.
    Once,
    /// Text, again and again until the command is ended.
    Watch,
    /// JSON, one line for each process.
    Json,
}

/// What the processes said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusVerdict {
    /// All is well.
    Well,
    /// Something is not.
    NotWell,
    /// No process of this configuration runs.
    NotRunning,
}

/// Prints what each process says.
///
/// # Errors
/// `Failed`: the file cannot be found, or a process does not answer; and those of `print`.
pub fn run(
    file: &Path,
    form: StatusForm,
    mut print: impl FnMut(&str) -> Result<(), Error>,
) -> Result<StatusVerdict, Error> {
    loop {
        let (verdict, text) = look(file, form)?;
        if form != StatusForm::Watch {
            print(text.trim_end())?;
            return Ok(verdict);
        }
        print(&format!("{CLEAR}{}", text.trim_end()))?;
        std::thread::sleep(WATCH_INTERVAL);
    }
}

fn look(file: &Path, form: StatusForm) -> Result<(StatusVerdict, String), Error> {
    let names = socket_names(file)
        .map_err(|error| Error::Failed(format!("{}: cannot be found: {error}", file.display())))?;
    let (mut verdict, mut text) = (StatusVerdict::NotRunning, String::new());
    for name in names {
        let answer = http::get(&name, "/status.json", ANSWER_MAX);
        let failed = |why: String| Error::Failed(format!("a pandad of {} runs: {why}", file.display()));
        let Some(json) = answer.map_err(failed)? else { continue };
        let report = StatusReport::parse(&json)
            .map_err(|why| failed(format!("its answer cannot be read: {why}; is it of another version?")))?;
        verdict = match (report.is_well(), verdict) {
            (true, StatusVerdict::NotRunning | StatusVerdict::Well) => StatusVerdict::Well,
            _ => StatusVerdict::NotWell,
        };
        match form {
            StatusForm::Json => text.push_str(&json),
            StatusForm::Once | StatusForm::Watch => {
                text.push_str(&terminal(&report));
                text.push('\n');
            }
        }
    }
    if verdict == StatusVerdict::NotRunning {
        let what = format!("no pandad of {} runs here, or it belongs to another user", file.display());
        text = match form {
            StatusForm::Json => "{\"running\":false}".to_owned(),
            StatusForm::Once | StatusForm::Watch => what,
        };
    }
    Ok((verdict, text))
}
