//! How a run of the job ends before its stop.

use crate::error::Fault;
use crate::pipeline::PipelineError;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RunError {
    /// A fault that any job can have.
    Fault(Fault),
    /// Another pandad has joined the group under this member's name. The text says what to change.
    Fenced(String),
    /// The member has left its group, because the disk has refused every write for too long. That
    /// is logged already.
    LeftGroup,
    /// The group took partitions away while lines of theirs were being written. Some of these lines
    /// may be in the file; opening the file again cuts them.
    LostInWrite(String),
}

impl RunError {
    /// Whether written lines may be missing on the disk, as after a failed sync. Then the next run
    /// compares everything with the disk.
    pub(super) fn may_have_lost_writes(&self) -> bool {
        matches!(self, RunError::Fault(Fault::Restart(_)))
    }

    /// What the daemon is to do about it.
    pub(super) fn into_fault(self) -> Fault {
        match self {
            RunError::Fault(fault) => fault,
            RunError::Fenced(why) => Fault::Fatal(why),
            RunError::LeftGroup => Fault::RetryLogged,
            RunError::LostInWrite(why) => Fault::Restart(why),
        }
    }
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
            RunError::Fenced(_) | RunError::LeftGroup | RunError::LostInWrite(_) => None,
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

    /// The pipeline must not wait out an end that only this job knows.
    #[test]
    fn the_pipeline_sees_only_general_faults() {
        assert_eq!(RunError::from(Fault::RetryLogged).fault(), Some(&Fault::RetryLogged));
        assert_eq!(RunError::LeftGroup.fault(), None);
    }
}
