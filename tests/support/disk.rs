//! Disks of a test's own that can be full, fail, be over quota or read-only.
//!
//! Each disk is mounted in a mount namespace of its own, so that only the daemon sees it and it ends with
//! the process that holds the namespace. A tmpfs needs no root where user namespaces are allowed. A file
//! system on a loop device needs root; if the test is not root, it reports that.
//!
//! Fault model. A tmpfs refuses writes when another program has filled it, and can be remounted read-only.
//! A device behind ext4 takes no more blocks: the kernel learns of it at write-back, one fsync fails, and
//! the bytes are lost (`Plain`), or the file system goes read-only (`Journalled`). btrfs refuses writes
//! over its quota. A file system that is shut down gives its device nothing more, and nothing of what the
//! kernel still held: mounted again it is as after a loss of power, except that the device itself had no
//! cache to lose. No disk here returns wrong bytes on reading.

use super::servers::variable;
use super::wait;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub struct Disk {
    holder: Child,
    /// The directory as the daemon sees it.
    pub inside: PathBuf,
    /// The same directory as the test sees it.
    pub outside: PathBuf,
    /// A file of another program, which takes the space.
    filler: PathBuf,
    root: bool,
}

/// Kinds of file systems, of which most give a file another device number with each mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    Tmpfs,
    Overlay,
    Ext4,
    Xfs,
    Btrfs,
}

impl FileSystem {
    pub const ALL: [FileSystem; 5] =
        [FileSystem::Tmpfs, FileSystem::Overlay, FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs];

    /// The command that makes one in a directory, and the one that mounts it; `@` stands for where, `%`
    /// for that directory.
    fn commands(self) -> (&'static str, &'static str) {
        match self {
            FileSystem::Tmpfs => ("true", "mount -t tmpfs -o size=64m pandad-tests '@'"),
            FileSystem::Overlay => (
                "mkdir '%/lower' '%/upper' '%/work'",
                "mount -t overlay -o lowerdir='%/lower',upperdir='%/upper',workdir='%/work' pandad-tests '@'",
            ),
            FileSystem::Ext4 => ("mkfs.ext4 -q '%/image'", "mount -o loop '%/image' '@'"),
            FileSystem::Xfs => ("mkfs.xfs -q '%/image'", "mount -o loop '%/image' '@'"),
            FileSystem::Btrfs => ("mkfs.btrfs -q '%/image' >/dev/null", "mount -o loop '%/image' '@'"),
        }
    }
}

/// What a file system does when its device fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ext4 {
    /// The file system has a journal: it becomes read-only.
    Journalled,
    /// The file system has no journal: it goes on.
    Plain,
}

impl Disk {
    /// Mounts `megabytes` on a directory.
    pub fn mount(at: &Path, megabytes: u32) -> Disk {
        let mount = format!("mount -t tmpfs -o size={megabytes}m pandad-tests '{}'", at.display());
        Disk::hold(at, at, &mount).unwrap_or_else(|why| {
            panic!("no tmpfs for the full disk: needs root, or user namespaces (unshare -rm): {why}")
        })
    }

    /// An ext4 of `megabytes` on a loop device that has only `real` of them: when the file under it
    /// takes no more, the device fails. The error says why there is no such disk.
    pub fn ext4(at: &Path, (megabytes, real): (u32, u32), kind: Ext4) -> Result<Disk, String> {
        let under = under(at);
        let features = match kind {
            Ext4::Journalled => "-J size=4",
            Ext4::Plain => "-O ^has_journal",
        };
        let script = format!(
            "{} && mkfs.ext4 -q -E nodiscard {features} {} && {}",
            image_on(&under, megabytes, real),
            image(at),
            on_a_device(at, kind),
        );
        Disk::hold(at, &under, &script)
    }

    /// A file system of this kind, of 64 MiB or more. The error says why there is none.
    pub fn of(at: &Path, kind: FileSystem) -> Result<Disk, String> {
        let under = under(at);
        let (make, mount) = kind.commands();
        let script = format!("{} && {make} && {mount}", image_on(&under, 320, 400));
        Disk::hold(at, &under, &filled_in(&script, at))
    }

    /// Mounts the file system once more, or copies it, so that its files have other numbers. Nobody may
    /// use it meanwhile.
    #[track_caller]
    pub fn renumber(&self, kind: FileSystem) {
        let numbers = || {
            std::fs::read_dir(&self.outside).unwrap().map(|entry| {
                let data = entry.unwrap().metadata().unwrap();
                (data.dev(), data.ino())
            })
        };
        let before: Vec<_> = numbers().collect();
        let (_, mount) = kind.commands();
        let again = match kind {
            // What it holds is copied, and the first one stays under the second.
            FileSystem::Tmpfs => {
                format!(
                    "mkdir -p '%/second' && cp -a '@/.' '%/second' && {mount} && cp -a '%/second/.' '@' \
                         && rm -r '%/second'"
                )
            }
            // What is mounted or attached in between takes the number that was.
            _ => format!(
                "umount '@' && mkdir -p '%/other' && mount -t tmpfs pandad-tests '%/other' \
                 && truncate -s 1M '%/spare' && losetup -f '%/spare' && {mount}"
            ),
        };
        let changed = (0..20).any(|_| {
            self.run(&filled_in(&again, &self.inside));
            numbers().all(|now| !before.contains(&now))
        });
        // The devices that were in the way go when nothing is mounted from them.
        self.run(&filled_in("losetup -j '%/spare' | cut -d: -f1 | xargs -r -n 1 losetup -d", &self.inside));
        assert!(changed, "the files still have their numbers");
    }

    /// As if the power failed: the file system gives nothing more to its device, neither bytes nor names. The
    /// next boot has another id. Only for file systems that can be shut down: ext4 and xfs.
    #[track_caller]
    pub fn lose_power(&self) {
        // FS_IOC_SHUTDOWN, without writing the file system's own journal before.
        let shutdown = "import fcntl,os,struct,sys; \
             fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
        self.run(&format!("'{}' -c \"{shutdown}\" '@'", variable("PANDAD_PYTHON")));
        let boot_id = "/proc/sys/kernel/random/boot_id";
        let new_boot =
            format!("cat /proc/sys/kernel/random/uuid >'%/boot_id' && mount --bind '%/boot_id' {boot_id}");
        self.run(&filled_in(&new_boot, &self.inside));
    }

    /// Mounts what the device has, after [`Self::lose_power`]. Nobody may use the file system any more.
    #[track_caller]
    pub fn power_on(&self, kind: FileSystem) {
        self.unmount();
        self.run(&filled_in(kind.commands().1, &self.inside));
    }

    /// A btrfs with a quota of `megabytes`.
    pub fn with_quota(at: &Path, megabytes: u32) -> Result<Disk, String> {
        let (under, shown) = (under(at), at.display());
        let script = format!(
            "{} && mkfs.btrfs -q {image} >/dev/null && mount -o loop {image} '{shown}' \
             && btrfs quota enable '{shown}' && btrfs qgroup limit {megabytes}M '{shown}'",
            image_on(&under, 300, 350),
            image = image(at),
        );
        Disk::hold(at, &under, &script)
    }

    /// The process that holds the namespace mounts the disk and waits until the test's end of the pipe
    /// closes, however the test ends.
    fn hold(at: &Path, filled: &Path, mount: &str) -> Result<Disk, String> {
        std::fs::create_dir_all(at).unwrap();
        std::fs::create_dir_all(filled).unwrap();
        let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let script = format!("{mount} && echo mounted && read -r rest");
        let mut command = Command::new("unshare");
        command.args(if root { &["-m"][..] } else { &["-r", "-m"] }).args(["sh", "-c", &script]);
        command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().expect("unshare (util-linux) starts");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said != "mounted\n" {
            let noise = io::read_to_string(holder.stderr.take().unwrap()).unwrap();
            holder.wait().unwrap();
            return Err(noise.trim().replace('\n', " "));
        }
        let outside = |path: &Path| PathBuf::from(format!("/proc/{}/root{}", holder.id(), path.display()));
        let (outside, filler) = (outside(at), outside(filled).join("somebody-else"));
        Ok(Disk { holder, inside: at.to_path_buf(), outside, filler, root })
    }

    /// The words before a command that must see this disk. The command keeps its process id.
    pub fn prefix(&self) -> Vec<String> {
        let mut words =
            vec!["nsenter".to_string(), "-t".to_string(), self.holder.id().to_string(), "-m".to_string()];
        if !self.root {
            words.extend(["-U".to_string(), "--preserve-credentials".to_string()]);
        }
        words
    }

    /// Runs a command on the disk as its administrator; `@` stands for its directory.
    #[track_caller]
    pub fn run(&self, command: &str) {
        let (ok, said) = self.try_run(command);
        assert!(ok, "{command}: {said}");
    }

    fn try_run(&self, command: &str) -> (bool, String) {
        let prefix = self.prefix();
        let command = command.replace('@', self.inside.to_str().unwrap());
        let mut shell = Command::new(&prefix[0]);
        shell.args(&prefix[1..]).args(["sh", "-c", &command]);
        let ran = shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        (ran.status.success(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    }

    /// Unmounts the disk, repairs it and mounts it again, as after a device that failed.
    #[track_caller]
    pub fn mend(&self) {
        self.unmount();
        // Status 1: errors were found and repaired.
        self.run(&format!("e2fsck -fy {} || [ $? -eq 1 ]", image(&self.inside)));
        self.run(&on_a_device(&self.inside, Ext4::Journalled));
    }

    #[track_caller]
    fn unmount(&self) {
        let mut said = String::new();
        let unmounted = wait::within(wait::seconds(20), || {
            let (ok, why) = self.try_run("umount '@'");
            said = why;
            ok
        });
        assert!(unmounted, "{said}");
    }

    /// Another program fills the disk, or the space under the device if there is one.
    pub fn fill(&self) {
        let mut file = File::create(&self.filler).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![b'x'; size];
            while file.write(&block).is_ok() {}
        }
    }

    /// Frees the space that [`Self::fill`] took.
    pub fn free(&self) {
        std::fs::remove_file(&self.filler).unwrap();
    }
}

fn under(at: &Path) -> PathBuf {
    PathBuf::from(format!("{}-under", at.display()))
}

/// A command with its places: `@` where the disk is mounted, `%` what is under it.
fn filled_in(command: &str, at: &Path) -> String {
    command.replace('@', at.to_str().unwrap()).replace('%', under(at).to_str().unwrap())
}

fn image(at: &Path) -> String {
    format!("'{}'", under(at).join("image").display())
}

/// Mounts the image by a loop device that ends with the mount. The device gets one page at a time: if
/// there is space for only a part of a longer write, the driver reports success (Linux 6.18), and no
/// fsync reports the missing bytes.
fn on_a_device(at: &Path, kind: Ext4) -> String {
    let errors = match kind {
        Ext4::Journalled => "remount-ro",
        Ext4::Plain => "continue",
    };
    format!(
        "dev=$(losetup -f --show {}) && echo 4 >/sys/block/${{dev#/dev/}}/queue/max_sectors_kb \
         && mount -o errors={errors} $dev '{}' && losetup -d $dev",
        image(at),
        at.display()
    )
}

/// A sparse file on a tmpfs.
fn image_on(under: &Path, megabytes: u32, real: u32) -> String {
    let under = under.display();
    format!(
        "mount -t tmpfs -o size={real}m pandad-tests '{under}' && truncate -s {megabytes}M '{under}/image'"
    )
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
        let _ = std::fs::remove_dir(&self.inside);
        let _ = std::fs::remove_dir(under(&self.inside));
    }
}
