//! A small disk of the test's own: a tmpfs in a mount namespace of its own, so
//! that it needs no root where user namespaces are allowed, is seen by the
//! daemon alone, and is gone with the process that holds it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Disk {
    holder: Child,
    /// The directory as the daemon sees it.
    pub inside: PathBuf,
    /// The same directory as the test sees it.
    pub outside: PathBuf,
    root: bool,
}

impl Disk {
    /// Mounts `megabytes` on a directory.
    pub fn mount(at: &std::path::Path, megabytes: u32) -> Disk {
        std::fs::create_dir_all(at).unwrap();
        let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let mount = format!("mount -t tmpfs -o size={megabytes}m pandad-tests '{}'", at.display());
        // It holds the namespace until the test's end of the pipe closes, however the test ends.
        let script = format!("{mount} && echo mounted && read -r rest");
        let mut command = Command::new("unshare");
        command.args(if root { &["-m"][..] } else { &["-r", "-m"] }).args(["sh", "-c", &script]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().expect("unshare (util-linux) starts");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said != "mounted\n" {
            let noise = io::read_to_string(holder.stderr.take().unwrap()).unwrap();
            panic!("no tmpfs for the full disk: needs root, or user namespaces (unshare -rm): {noise}");
        }
        let outside = PathBuf::from(format!("/proc/{}/root{}", holder.id(), at.display()));
        Disk { holder, inside: at.to_path_buf(), outside, root }
    }

    /// What to put before a command that is to see this disk. It keeps its process id.
    pub fn prefix(&self) -> Vec<String> {
        let mut words =
            vec!["nsenter".to_string(), "-t".to_string(), self.holder.id().to_string(), "-m".to_string()];
        if !self.root {
            words.extend(["-U".to_string(), "--preserve-credentials".to_string()]);
        }
        words
    }

    /// Somebody else writes until nothing more fits.
    pub fn fill(&self) {
        let mut file = File::create(self.outside.join("somebody-else")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![b'x'; size];
            while file.write(&block).is_ok() {}
        }
    }

    /// Somebody else goes away.
    pub fn free(&self) {
        std::fs::remove_file(self.outside.join("somebody-else")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
