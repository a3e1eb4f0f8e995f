//! Linux 3.2 as a program sees it, by filters of system calls (seccomp) on a kernel of today: calls
//! that came later do not exist, and flags, options and clocks that came later are invalid. What
//! such a kernel lacks in /proc and behind pointers is not shown.

use super::directory;
use super::servers::binary;
use libc::c_long;
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::io::Errno;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{self, Eq, Ge, MaskedEq};
use seccompiler::{BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, apply_filter};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The first number that Linux 3.2 has no call for: kcmp came with 3.5. Later calls have higher ones.
const FIRST_LATER_CALL: c_long = libc::SYS_kcmp;
/// Above every number that is in use.
const LAST_LATER_CALL: c_long = 600;

/// One more call that is refused, and how. Without conditions it is refused whatever it is asked.
type Refusal = (c_long, &'static [(u8, SeccompCmpOp, u64)]);

/// The number of the clock that goes on while the machine is suspended.
const BOOTTIME: u64 = libc::CLOCK_BOOTTIME as u64;

/// The option of prctl(2) that gives what /proc/self/auxv holds (6.4).
const PR_GET_AUXV: u64 = 0x4155_5856;

/// That clock, and the newer way to the vDSO; see [`binary_without_vdso`].
const NO_BOOT_TIME: &[Refusal] =
    &[(libc::SYS_clock_gettime, &[(0, Eq, BOOTTIME)]), (libc::SYS_prctl, &[(0, Eq, PR_GET_AUXV)])];

/// What is invalid on Linux 3.2: an argument by its place, and a value or bits of it. In brackets the
/// version with which it came.
const LATER_ARGUMENTS: &[Refusal] = &[
    // CLOCK_TAI (3.10).
    (libc::SYS_clock_gettime, &[(0, Ge, libc::CLOCK_TAI as u64)]),
    (libc::SYS_clock_getres, &[(0, Ge, libc::CLOCK_TAI as u64)]),
    (libc::SYS_clock_nanosleep, &[(0, Ge, libc::CLOCK_TAI as u64)]),
    // Timers by CLOCK_BOOTTIME (3.15).
    (libc::SYS_timerfd_create, &[(0, Ge, BOOTTIME)]),
    // O_TMPFILE (3.11); one of its bits is O_DIRECTORY.
    (libc::SYS_openat, &[(2, MaskedEq(0o20_000_000), 0o20_000_000)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, &[(1, MaskedEq(0o20_000_000), 0o20_000_000)]),
    // F_OFD_GETLK (3.15) up to the seals of memfd (3.17) and the hints of writes (4.13).
    (libc::SYS_fcntl, &[(1, Ge, libc::F_OFD_GETLK as u64), (1, SeccompCmpOp::Lt, 1024)]),
    (libc::SYS_fcntl, &[(1, Ge, libc::F_ADD_SEALS as u64)]),
    // All modes but FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE (3.15 and later).
    (libc::SYS_fallocate, &[(1, Ge, 4)]),
    // MAP_SHARED_VALIDATE (4.15).
    (libc::SYS_mmap, &[(3, MaskedEq(0xf), 3)]),
    // MADV_FREE (4.5), MADV_DONTDUMP (3.4) and later ones.
    (libc::SYS_madvise, &[(2, Eq, libc::MADV_FREE as u64)]),
    (libc::SYS_madvise, &[(2, Ge, libc::MADV_DONTDUMP as u64)]),
    // FUTEX_LOCK_PI2 (5.14).
    (libc::SYS_futex, &[(1, MaskedEq(0x7f), 13)]),
    // CLONE_PIDFD (5.2).
    (libc::SYS_clone, &[(0, MaskedEq(libc::CLONE_PIDFD as u64), libc::CLONE_PIDFD as u64)]),
    // PR_SET_MM (3.3) and later ones.
    (libc::SYS_prctl, &[(0, Ge, libc::PR_SET_MM as u64)]),
    // SO_REUSEPORT (3.9), SO_LOCK_FILTER (3.9) and later ones.
    (libc::SYS_setsockopt, &[(1, Eq, libc::SOL_SOCKET as u64), (2, Eq, libc::SO_REUSEPORT as u64)]),
    (libc::SYS_setsockopt, &[(1, Eq, libc::SOL_SOCKET as u64), (2, Ge, libc::SO_LOCK_FILTER as u64)]),
    (libc::SYS_getsockopt, &[(1, Eq, libc::SOL_SOCKET as u64), (2, Ge, libc::SO_LOCK_FILTER as u64)]),
    // TCP_REPAIR (3.5) and later ones.
    (libc::SYS_setsockopt, &[(1, Eq, libc::IPPROTO_TCP as u64), (2, Ge, libc::TCP_REPAIR as u64)]),
    // MSG_FASTOPEN (3.6), MSG_ZEROCOPY (4.14).
    (libc::SYS_sendto, &[(3, MaskedEq(libc::MSG_FASTOPEN as u64), libc::MSG_FASTOPEN as u64)]),
    (libc::SYS_sendto, &[(3, MaskedEq(libc::MSG_ZEROCOPY as u64), libc::MSG_ZEROCOPY as u64)]),
    (libc::SYS_seccomp, &[]),
];

/// What a daemon is refused.
#[derive(Debug, Default, Clone, Copy)]
pub struct Refusals {
    /// Every call, flag, option and clock that Linux 3.2 does not have.
    pub later: bool,
    /// getrandom(2), with EPERM: a sandbox that does not know it.
    pub random: bool,
    /// CLOCK_BOOTTIME, which Linux has from 2.6.39 on.
    pub boot_time: bool,
}

impl Refusals {
    /// Runs this, and the processes that it starts, where the calls are refused. It must not start
    /// threads: glibc gives up if one of them is refused what others were granted (rseq).
    #[track_caller]
    pub fn during<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        // A filter stays with the thread that has installed it, and with the processes that it starts.
        std::thread::scope(|scope| {
            let done = scope.spawn(|| {
                self.install();
                work()
            });
            done.join().expect("the filters are installed and the work is done")
        })
    }

    fn install(self) {
        if self.random {
            apply_filter(&filter(libc::EPERM, &[(libc::SYS_getrandom, &[])])).unwrap();
        }
        if self.boot_time {
            apply_filter(&filter(libc::EINVAL, NO_BOOT_TIME)).unwrap();
        }
        if self.later {
            // The calls that install a filter are refused by the last one.
            let later = (FIRST_LATER_CALL..=LAST_LATER_CALL).filter(|call| *call != libc::SYS_seccomp);
            let later: Vec<Refusal> = later.map(|call| (call, [].as_slice())).collect();
            apply_filter(&filter(libc::ENOSYS, &later)).unwrap();
            apply_filter(&filter(libc::EINVAL, LATER_ARGUMENTS)).unwrap();
            // Filters that refuse nothing would show nothing.
            assert_eq!(memfd_create("later", MemfdFlags::CLOEXEC).err(), Some(Errno::NOSYS));
            let unnamed = open(std::env::temp_dir(), OFlags::TMPFILE | OFlags::WRONLY, Mode::RUSR);
            assert_eq!(unnamed.err(), Some(Errno::INVAL));
        }
    }
}

fn filter(errno: i32, refusals: &[Refusal]) -> BpfProgram {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (call, conditions) in refusals {
        let rules = rules.entry(*call).or_default();
        let conditions = conditions.iter().map(|(place, operator, value)| {
            SeccompCondition::new(*place, Dword, operator.clone(), *value).unwrap()
        });
        let conditions: Vec<SeccompCondition> = conditions.collect();
        if !conditions.is_empty() {
            rules.push(SeccompRule::new(conditions).unwrap());
        }
    }
    let refused = SeccompAction::Errno(errno as u32);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    SeccompFilter::new(rules, SeccompAction::Allow, refused, arch).unwrap().try_into().unwrap()
}

/// A copy of the binary that makes a system call for each look at CLOCK_BOOTTIME: otherwise no filter
/// sees them, since the kernel answers in the process itself (vDSO). The copy does not find the vDSO
/// where `boot_time` is refused, since it looks for the way there in a file that does not exist.
pub fn binary_without_vdso() -> PathBuf {
    let mut bytes = std::fs::read(binary()).unwrap();
    // The end of /proc/self/auxv, as the compiler has it in a text or in an instruction.
    let name = b"elf/auxv";
    let places = bytes.windows(name.len()).enumerate().filter(|(_, place)| place == name);
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the binary does not name /proc/self/auxv as it used to");
    places.iter().for_each(|at| bytes[at + name.len() - 1] = b'_');
    let path = directory("without-vdso").join("pandad");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}
