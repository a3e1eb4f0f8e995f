//! The errors that end a run of the job before its stop.

use std::io;
use std::path::Path;

use crate::error::Fault;
use crate::pipeline::PipelineError;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunError {
    /// A fault that any job can have.
    Fault(Fault),
    /// Another pandad has joined the group under this member's name. The text says what to change.
    Fenced(String),
    /// The member has left its group, because the disk has refused every write for too long. The reason is
    /// logged already.
    LeftGroup,
    /// The group took partitions away while their lines were being written. Some of these lines may be in
    /// the file; opening the file again cuts them.
    LostInWrite(String),
    /// A log file is open now that was not when the run began: the next run writes it, too.
    FileOpened,
    /// Several errors of one run, the first one first. Each has a consequence that the others do not have.
    Several(Vec<RunError>),
}

impl RunError {
    /// Whether written lines may be missing on the disk, as after a failed sync. Then the next run
    /// compares everything with the disk.
    pub(super) fn may_have_lost_writes(&self) -> bool {
        self.each().iter().any(|error| matches!(error, RunError::Fault(Fault::Restart(_))))
    }

    /// Whether the member has left its group, so that the next run tries the disk before it joins.
    pub(super) fn has_left_group(&self) -> bool {
        self.each().contains(&RunError::LeftGroup)
    }

    /// Why the member is fenced, if it is.
    pub(super) fn fenced(&self) -> Option<&str> {
        self.each().iter().find_map(|error| match error {
            RunError::Fenced(why) => Some(why.as_str()),
            _ => None,
        })
    }

    fn each(&self) -> &[RunError] {
        match self {
            RunError::Several(errors) => errors,
            one => std::slice::from_ref(one),
        }
    }

    /// The fault that tells the daemon what to do.
    pub(super) fn into_fault(self) -> Fault {
        match self {
            RunError::Fault(fault) => fault,
            RunError::Fenced(why) => Fault::Fatal(why),
            RunError::LeftGroup | RunError::FileOpened => Fault::RetryLogged,
            RunError::LostInWrite(why) => Fault::Restart(why),
            RunError::Several(errors) => {
                // A member that is fenced must not run again, whatever error came first.
                let fenced = errors.iter().position(|error| matches!(error, RunError::Fenced(_)));
                let error = errors.into_iter().nth(fenced.unwrap_or(0));
                error.map_or(Fault::RetryLogged, RunError::into_fault)
            }
        }
    }
}

/// The fault of a file or journal that cannot be synced. If an entry would contradict its journal, the disk
/// is not at fault, so the text does not name the disk.
pub(super) fn cannot_sync(path: &Path, error: &io::Error) -> Fault {
    let path = path.display();
    Fault::Restart(match error.kind() {
        io::ErrorKind::InvalidData => format!("{path}: {error}; starting again from what the disk holds"),
        _ => format!("cannot sync {path}: {error}"),
    })
}

impl From<Fault> for RunError {
    fn from(fault: Fault) -> Self {
        RunError::Fault(fault)
    }
}

impl PipelineError for RunError {
    fn fault(&self) -> Option<&Fault> {
        match self {
            RunError::Fault(fault) => Some(fault),
            _ => None,
        }
    }

    fn add_later(&mut self, later: RunError) {
        let says_more = match &later {
            RunError::Fenced(_) => self.fenced().is_none(),
            RunError::LeftGroup => !self.has_left_group(),
            RunError::Fault(Fault::Restart(_)) => !self.may_have_lost_writes(),
            _ => false,
        };
        if says_more {
            let mut errors = self.each().to_vec();
            errors.push(later);
            *self = RunError::Several(errors);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_errors_map_to_faults_and_to_lost_writes() {
        let why = || "why".to_owned();
        let restart = || Fault::Restart(why());
        let cases = [
            (RunError::Fault(Fault::Retry(why())), false, Fault::Retry(why())),
            (RunError::Fault(restart()), true, restart()),
            (RunError::Fenced(why()), false, Fault::Fatal(why())),
            (RunError::LeftGroup, false, Fault::RetryLogged),
            // The group took the partitions away; the disk lost nothing.
            (RunError::LostInWrite(why()), false, restart()),
        ];
        for (error, lost_writes, fault) in cases {
            assert_eq!(error.may_have_lost_writes(), lost_writes, "{error:?}");
            assert_eq!(error.into_fault(), fault);
        }
    }

    #[test]
    fn contradicted_journal_is_not_called_a_failed_sync() {
        let path = Path::new("/var/log/a.log");
        let text = |kind| match cannot_sync(path, &io::Error::new(kind, "internal error: why")) {
            Fault::Restart(text) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(io::ErrorKind::StorageFull), "cannot sync /var/log/a.log: internal error: why");
        let text = text(io::ErrorKind::InvalidData);
        assert_eq!(text, "/var/log/a.log: internal error: why; starting again from what the disk holds");
    }

    /// The facts for the next run are kept, even if another error ended the run first.
    #[test]
    fn later_errors_are_kept_with_the_first() {
        let mut error = RunError::Fault(Fault::Retry("first".to_owned()));
        for _ in 0..2 {
            error.add_later(RunError::LeftGroup);
            error.add_later(RunError::Fault(Fault::Restart("a sync".to_owned())));
            error.add_later(RunError::Fault(Fault::Retry("not kept".to_owned())));
        }
        assert!(error.has_left_group() && error.may_have_lost_writes() && error.fenced().is_none());
        assert_eq!(error.each().len(), 3);
        assert_eq!(error.clone().into_fault(), Fault::Retry("first".to_owned()));
        error.add_later(RunError::Fenced("twice".to_owned()));
        assert_eq!(error.fenced(), Some("twice"));
        assert_eq!(error.into_fault(), Fault::Fatal("twice".to_owned()));
    }

    /// The pipeline must not try again after an end that only this job knows.
    #[test]
    fn the_pipeline_sees_only_general_faults() {
        assert_eq!(RunError::from(Fault::RetryLogged).fault(), Some(&Fault::RetryLogged));
        assert_eq!(RunError::LeftGroup.fault(), None);
    }
}
