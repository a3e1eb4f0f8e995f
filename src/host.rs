//! This machine and this process: their names, whether another process of this machine has
//! ended, random bytes, the clock that goes on while the machine is suspended, and the limit of open
//! files.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Resource, getrlimit, setrlimit, test_kill_process};
use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic};

/// The time since the boot. Unlike `Instant`, it goes on while the machine is suspended, unless the
/// kernel refuses that clock; see [`counts_suspension`].
pub fn since_boot() -> Duration {
    let now = boot_time().unwrap_or_else(|_| clock_gettime(ClockId::Monotonic));
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), nanos)
}

/// Whether [`since_boot`] goes on while the machine is suspended. False if a sandbox refuses
/// CLOCK_BOOTTIME, which came with Linux 2.6.39.
pub fn counts_suspension() -> bool {
    boot_time().is_ok()
}

fn boot_time() -> rustix::io::Result<Timespec> {
    clock_gettime_dynamic(DynamicClockId::Boottime)
}

/// Raises the number of files that this process may have open to the highest that it may choose.
///
/// # Errors
/// The kernel's refusal.
pub fn raise_open_files_max() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit })?)
}

/// A number that differs after each boot.
pub fn boot_id() -> Option<u128> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
}

/// The name of the machine, or of the container.
pub fn name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Bytes from the kernel's generator. Where getrandom(2) is missing (before Linux 3.17) or refused
/// (in sandboxes that do not know it), they come from /dev/urandom.
///
/// # Errors
/// The kernel's refusal of both.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

/// Fills the buffer as [`random`] does.
///
/// # Errors
/// As [`random`].
pub fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    Ok(getrandom::fill(bytes)?)
}

/// One process of one boot of one machine. Its text `<boot id> <process namespace> <process id>` is
/// stored where other processes read it. An unknown part is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    boot: u128,
    namespace: u64,
    id: u32,
}

impl Process {
    /// The present process.
    pub fn this() -> Self {
        Self { boot: boot_id().unwrap_or(0), namespace: namespace().unwrap_or(0), id: std::process::id() }
    }

    /// Whether the process has certainly ended. False for a process of another machine, and for
    /// one whose id was given to another process.
    pub fn has_ended(&self) -> bool {
        let here = Self::this();
        if here.boot == 0 || here.namespace == 0 || (here.boot, here.namespace) != (self.boot, self.namespace)
        {
            return false;
        }
        let pid = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        // EPERM shows that the process exists: this one may not signal it.
        pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
    }
}

/// The namespace in which process ids are unique. Each container has its own.
fn namespace() -> Option<u64> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x} {} {}", self.boot, self.namespace, self.id)
    }
}

impl FromStr for Process {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let (Some(boot), Some(namespace), Some(id), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(());
        };
        Ok(Self {
            boot: u128::from_str_radix(boot, 16).map_err(|_| ())?,
            namespace: namespace.parse().map_err(|_| ())?,
            id: id.parse().map_err(|_| ())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_this_machine_can_be_known_to_have_ended() {
        let this = Process::this();
        assert_eq!(this.to_string().parse(), Ok(this));
        assert!(!this.has_ended());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = Process { id: child.id(), ..this };
        child.wait().unwrap();
        assert!(ended.has_ended());
        assert!(!Process { boot: this.boot ^ 1, ..ended }.has_ended());
        assert!(!Process { namespace: this.namespace ^ 1, ..ended }.has_ended());
        assert!("".parse::<Process>().is_err() && "0 0".parse::<Process>().is_err());
    }
}
