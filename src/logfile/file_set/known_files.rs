//! The files that the journal of a set knows, and which of them the records of a path go to: a file whose
//! period is complete takes no more lines, so late ones go to a file beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::routed::RoutedFile;
use crate::logfile::disk::{Disk, with_suffix};
use crate::logfile::journal::{FileNumber, NamedFile, RouteScope};
use crate::logfile::ledger::Ledger;

/// How many files of late lines one path has.
const LATE_MAX: u32 = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct KnownFiles {
    files: BTreeMap<PathBuf, KnownFile>,
    /// Where late lines go, by the path that they would have.
    late: HashMap<PathBuf, PathBuf>,
}

#[derive(Debug, Clone)]
pub(super) struct KnownFile {
    pub(super) number: FileNumber,
    pub(super) until: Option<i64>,
    pub(super) scope: RouteScope,
    /// Where it is about to be moved.
    pub(super) closing: Option<PathBuf>,
}

impl KnownFiles {
    /// The files are below `root`, and complete ones below the other directory.
    pub(super) fn of(ledger: &Ledger, root: &Path, complete_dir: Option<&Path>) -> Self {
        let all = ledger.numbered_files().into_iter();
        let files = all.map(|(NamedFile { path, until, scope }, number, to)| {
            let closing = to.map(|to| complete_dir.unwrap_or(root).join(to));
            (root.join(path), KnownFile { number, until, scope, closing })
        });
        Self { files: files.collect(), late: HashMap::new() }
    }

    pub(super) fn get(&self, path: &Path) -> Option<&KnownFile> {
        self.files.get(path)
    }

    pub(super) fn insert(&mut self, file: &RoutedFile<'_>, number: FileNumber) {
        let (until, scope) = (file.until, file.scope.clone());
        self.files.insert(file.path.to_owned(), KnownFile { number, until, scope, closing: None });
    }

    /// The files that match, by their paths.
    pub(super) fn matching(&self, fits: impl Fn(&Path, &KnownFile) -> bool) -> Vec<(PathBuf, KnownFile)> {
        let found = self.files.iter().filter(|(path, known)| fits(path, known));
        found.map(|(path, known)| (path.clone(), known.clone())).collect()
    }

    /// The file is about to be moved, which can take a while. Lines go to another file from now on.
    pub(super) fn close(&mut self, path: &Path, to: PathBuf) {
        if let Some(known) = self.files.get_mut(path) {
            known.closing = Some(to);
        }
        self.late.retain(|_, late| late != path);
    }

    /// The names that files will get that are about to be moved. A file of late lines and another one that
    /// got a number could want the same.
    pub(super) fn reserved(&self) -> BTreeSet<PathBuf> {
        self.files.values().filter_map(|known| known.closing.clone()).collect()
    }

    /// Nothing more goes to the file.
    pub(super) fn remove(&mut self, path: &Path) {
        self.files.remove(path);
        self.late.retain(|_, late| late != path);
    }

    /// The file that lines for this path go to now. `complete`: by when periods end that are complete, for
    /// this path.
    ///
    /// # Errors
    /// The disk refuses, or there are too many files of late lines.
    pub(super) fn file_for(
        &mut self,
        disk: &dyn Disk,
        path: &Path,
        (until, complete): (Option<i64>, i64),
        now: i64,
    ) -> io::Result<PathBuf> {
        let is_open = |known: Option<&KnownFile>| known.is_some_and(|known| known.closing.is_none());
        if let Some(late) = self.late.get(path) {
            return Ok(late.clone());
        }
        let Some(until) = until.filter(|_| !is_open(self.files.get(path))) else {
            return Ok(path.to_owned());
        };
        let is_complete = until <= complete;
        // What another run has finished may not be known any more: an operator may have gone back.
        if !is_complete && (until > now || is_free(disk, path)?) && !self.files.contains_key(path) {
            return Ok(path.to_owned());
        }
        for number in 1..=LATE_MAX {
            let suffix = if number == 1 { ".late".to_owned() } else { format!(".late.{number}") };
            let late = with_suffix(path, &suffix);
            let known = self.files.get(&late);
            if is_open(known) || known.is_none() && is_free(disk, &late)? {
                self.late.insert(path.to_owned(), late.clone());
                return Ok(late);
            }
        }
        let why = format!("{}: there are {LATE_MAX} files of late lines", path.display());
        Err(io::Error::other(why))
    }
}

/// Whether no file there has lines.
fn is_free(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.stat(path) {
        Ok(stat) => Ok(stat.len == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
