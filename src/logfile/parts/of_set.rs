//! The files of a path with placeholders. Those that the journal knows are read up to where it says. The
//! others are finished, moved or compressed, and known by their names alone.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::copies::without_copies;
use super::{
    LOOKS_FOR_PATH, LogPart, SettledLog, find_known, is_date, looked_at, not_there, settled_partitions,
};
use crate::log_names::is_compressed_to;
use crate::logfile::backup::{CopyFailure, settled_state};
use crate::logfile::disk::{Disk, FileId, FileKind, FileStat, RealDisk, with_suffix};
use crate::logfile::journal::{JournalState, JournalledFile};
use crate::logfile::locate::WantedFile;
use crate::path_template::PathTemplate;
use crate::plural::counted;

/// How many files that are not there are named.
const NAMED_MAX: usize = 20;

/// The path of the files, with its placeholders.
#[derive(Debug, Clone)]
pub struct SetPath {
    template: PathTemplate,
    /// Only these topics are read; if there are none, topics of any name.
    topics: Vec<String>,
    /// Where the complete files of a period are moved.
    complete: Option<Arc<Path>>,
}

/// What a name says of a file.
struct NamedLog {
    /// The log file that has, or had, this name without what others have appended.
    log_file: PathBuf,
    /// Whether pandad writes to files of this name.
    is_written: bool,
}

/// The files that have names of the set.
#[derive(Debug, Default)]
struct Listed {
    files: Vec<LogPart>,
    /// Directories that cannot be read, and why.
    doubts: Vec<String>,
}

impl SetPath {
    /// The files of this path. `complete`: where the complete files of a period are moved.
    pub fn new(template: PathTemplate, topics: Vec<String>, complete: Option<&Path>) -> Self {
        Self { template, topics, complete: complete.map(Arc::from) }
    }

    /// The journal's path without its suffix.
    pub(super) fn base(&self) -> PathBuf {
        self.root().join(self.template.journal_name())
    }

    fn root(&self) -> &Path {
        self.template.fixed_directory()
    }

    pub(super) fn in_directory(&self, directory: &Path) -> Self {
        let (template, topics) = (self.template.in_directory(directory), self.topics.clone());
        Self { template, topics, complete: None }
    }

    pub(super) fn settled(&self) -> Result<SettledLog, String> {
        looked_at(&|disk, looks| self.look(disk, looks))
    }

    /// One look. The names are listed before and after the journal is read: what is the same both times was
    /// so at the moment of the journal's last mark.
    pub(in crate::logfile) fn look(
        &self,
        disk: &Arc<dyn Disk>,
        looks: u32,
    ) -> Result<SettledLog, CopyFailure> {
        let before = self.list(&**disk)?;
        let (journal, state) = settled_state(disk, &self.base())?;
        let Listed { files: after, doubts } = self.list(&**disk)?;
        let mut log = SettledLog {
            identity: Some(journal),
            partitions: settled_partitions(&state),
            parts: Vec::new(),
            doubts,
        };
        let listed = after.iter().map(|part| &part.path).collect();
        let taken = self.known_parts((&**disk, &listed), &state, looks, &mut log)?;
        log.parts.extend(self.other_parts(before.files, after, &taken, looks)?);
        self.order(&mut log.parts);
        Ok(log)
    }

    pub(super) fn add_archived(&self, log: &mut SettledLog, directory: &Path) -> Result<(), String> {
        let there = self.in_directory(directory);
        let Listed { files, mut doubts } = there.list(&RealDisk).map_err(CopyFailure::into_text)?;
        log.doubts.append(&mut doubts);
        log.parts.extend(files);
        Ok(())
    }

    /// By their paths. Of copies one is left.
    pub(super) fn order(&self, parts: &mut Vec<LogPart>) {
        // Of copies the one that the journal knows counts, and then one that was not moved away.
        parts.sort_by_key(|part| !part.is_known);
        keep_one_name(parts);
        *parts = without_copies(std::mem::take(parts));
        parts.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Every file that is one of the set by its name.
    fn list(&self, disk: &dyn Disk) -> Result<Listed, CopyFailure> {
        let mut listed = self.list_below(disk)?;
        if let Some(complete) = self.complete.as_deref().filter(|complete| disk.stat(complete).is_ok()) {
            let Listed { files, doubts } = self.in_directory(complete).list_below(disk)?;
            listed.files.extend(files);
            listed.doubts.extend(doubts);
        }
        listed.files.sort_by(|a, b| a.path.cmp(&b.path));
        keep_one_name(&mut listed.files);
        for part in &mut listed.files {
            part.moved_to.clone_from(&self.complete);
        }
        Ok(listed)
    }

    fn list_below(&self, disk: &dyn Disk) -> Result<Listed, CopyFailure> {
        let mut listed = Listed::default();
        let mut directories = vec![self.root().to_owned()];
        while let Some(directory) = directories.pop() {
            let cannot_be_read = |error| format!("{}: cannot be read: {error}", directory.display());
            let entries = match disk.list(&directory) {
                Ok(entries) => entries,
                Err(error) if directory == self.root() => {
                    return Err(CopyFailure::Refused(cannot_be_read(error)));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    listed.doubts.push(cannot_be_read(error));
                    continue;
                }
            };
            let names: BTreeSet<&PathBuf> = entries.iter().collect();
            for path in &entries {
                let Ok(stat) = disk.stat(path) else { continue };
                match stat.kind {
                    FileKind::Directory if self.template.leads_to(path, &self.topics) => {
                        directories.push(path.clone());
                    }
                    FileKind::File => listed.files.extend(self.part(disk, path, stat, &names)),
                    _ => {}
                }
            }
        }
        Ok(listed)
    }

    /// The file, if it is one of the set by its name.
    fn part(
        &self,
        disk: &dyn Disk,
        path: &Path,
        stat: FileStat,
        beside: &BTreeSet<&PathBuf>,
    ) -> Option<LogPart> {
        let NamedLog { log_file, is_written } = self.named(path)?;
        // A file with a journal of its own is that of another log.
        if beside.contains(&with_suffix(&log_file, ".journal")) {
            return None;
        }
        // A link is no file of its own, unless lines are written through it.
        if !is_written && disk.stat_link(path).ok()?.kind != FileKind::File {
            return None;
        }
        let is_compressed = path.extension().is_some_and(|end| end == "gz");
        let limit = (!is_compressed).then_some(stat.len);
        let (key, is_any_name) = (self.key(path), is_written);
        Some(LogPart { limit, is_any_name, key, ..LogPart::new(path.to_owned(), stat) })
    }

    /// The name of a file below the directory of the set, without that of the compression.
    fn key(&self, path: &Path) -> PathBuf {
        let complete = self.complete.as_deref().and_then(|complete| path.strip_prefix(complete).ok());
        let below = complete.or_else(|| path.strip_prefix(self.root()).ok()).unwrap_or(path);
        if below.extension().is_some_and(|end| end == "gz") {
            below.with_extension("")
        } else {
            below.to_owned()
        }
    }

    /// Which of the log files has this name, or had it before somebody renamed or compressed the file.
    fn named(&self, path: &Path) -> Option<NamedLog> {
        let is_one = |path: &PathBuf| self.template.is_log_file(path, &self.topics);
        let name = path.file_name()?.to_str()?;
        // A file of late lines is one beside that of its period.
        let late = name.rsplit_once(".late").filter(|(_, number)| is_end_of_late(number));
        let late = late.map(|(before, _)| path.with_file_name(before)).filter(is_one);
        if let Some(log_file) = Some(path.to_owned()).filter(is_one).or(late) {
            return Some(NamedLog { log_file, is_written: true });
        }
        let plain = name.strip_suffix(".gz").unwrap_or(name);
        let before_late = plain.rsplit_once(".late").filter(|(_, end)| end.is_empty() || is_date(end));
        let stem = before_late.map_or(plain, |(before, _)| before);
        let log_file = Some(path.with_file_name(stem)).filter(|path| stem != name && is_one(path));
        log_file.or_else(|| self.renamed(path, stem)).map(|log_file| NamedLog { log_file, is_written: false })
    }

    /// The log file whose name this is, with a date or number behind it or before its extension.
    fn renamed(&self, path: &Path, plain: &str) -> Option<PathBuf> {
        let is_one = |path: &PathBuf| self.template.is_log_file(path, &self.topics);
        let renamed = |stem: &str, end: &str| {
            let cuts = stem.char_indices().filter_map(|(at, _)| stem.split_at_checked(at));
            let dated = cuts.filter(|(before, date)| !before.is_empty() && is_date(date));
            dated.map(|(before, _)| path.with_file_name(format!("{before}{end}"))).find(is_one)
        };
        renamed(plain, "").or_else(|| {
            let (stem, extension) = plain.rsplit_once('.')?;
            renamed(stem, &format!(".{extension}"))
        })
    }

    /// Adds the files that the journal knows, each up to its last mark.
    fn known_parts(
        &self,
        (disk, listed): (&dyn Disk, &BTreeSet<&PathBuf>),
        state: &JournalState,
        looks: u32,
        log: &mut SettledLog,
    ) -> Result<Taken, CopyFailure> {
        let (mut taken, mut missing, mut copies) = (Taken::default(), Vec::new(), Vec::new());
        let here = |known: &JournalledFile| Some(self.template.located_in(self.root(), known.path()?));
        taken.paths = state.files.values().filter_map(here).collect();
        let begun = state.files.values().filter(|known| known.place.end == 0);
        taken.begun = begun.filter_map(|known| Some((here(known)?, numbers(known.place.file)))).collect();
        for (number, known) in state.files.iter().filter(|(_, known)| known.place.end > 0) {
            let Some(path) = here(known) else { continue };
            let wanted = WantedFile::one_of(&taken.paths, (*number, &known.place), &state.recent);
            // A complete file is moved, and then others may take it. What was made of it by compression is
            // another file, which is known by its name.
            let below = self.complete.as_deref().unwrap_or(self.root());
            let closing = known.closing_to().map(|to| (below.join(to), is_compressed_to(&path, to)));
            let moved = closing.as_ref().filter(|(to, is_gz)| !is_gz && disk.stat(to).is_ok());
            let at = moved.map_or(&path, |(to, _)| to);
            let Some(part) = find_known(disk, at, wanted, looks)? else {
                if known.closing_to().is_some() {
                    log.parts.extend(self.published_since(disk, listed, closing));
                    continue;
                }
                // Somebody may have compressed it, although it is not finished.
                missing.extend(Some(path).filter(|path| disk.stat(&with_suffix(path, ".gz")).is_err()));
                continue;
            };
            taken.ids.insert(numbers(part.id));
            copies.extend(closing.filter(|(_, is_gz)| *is_gz).map(|(to, _)| to));
            let key = self.key(&part.path);
            // Not all of them can be open at once.
            let (open, moved_to, is_any_name) = (None, self.complete.clone(), true);
            let place = Some(known.place);
            let part = LogPart { open, moved_to, place, is_any_name, key, ..part };
            log.parts.push(LogPart { has_stamp: false, is_known: true, ..part });
        }
        taken.paths.extend(copies);
        log.doubts.extend(missing.iter().take(NAMED_MAX).map(|path| not_there(path)));
        if let Some(more) = missing.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            log.doubts.push(format!("{} more that the journal knows are not there", counted(more, "file")));
        }
        Ok(taken)
    }

    /// What a complete file has become, if that was published after the names were listed.
    fn published_since(
        &self,
        disk: &dyn Disk,
        listed: &BTreeSet<&PathBuf>,
        closing: Option<(PathBuf, bool)>,
    ) -> Option<LogPart> {
        let (to, _) = closing.filter(|(to, _)| !listed.contains(to))?;
        let stat = disk.stat(&to).ok().filter(|stat| stat.kind == FileKind::File)?;
        let (key, moved_to) = (self.key(&to), self.complete.clone());
        Some(LogPart { key, moved_to, ..LogPart::new(to, stat) })
    }

    fn is_complete(&self, path: &Path) -> bool {
        self.complete.as_deref().is_some_and(|complete| path.starts_with(complete))
    }

    /// Whether the file that had this key can be this one by its name. A complete file gets `.1` and so on if
    /// its name is taken.
    fn may_be_named(&self, key: &Path, part: &LogPart) -> bool {
        let numbered = || {
            let name = part.key.as_os_str().as_encoded_bytes();
            let end = name.strip_prefix(key.as_os_str().as_encoded_bytes())?.strip_prefix(b".")?;
            Some(!end.is_empty() && end.iter().all(u8::is_ascii_digit))
        };
        part.key == *key || self.is_complete(&part.path) && numbered().unwrap_or(false)
    }

    /// The files that the journal does not know, as they were before it was read.
    fn other_parts(
        &self,
        before: Vec<LogPart>,
        after: Vec<LogPart>,
        taken: &Taken,
        looks: u32,
    ) -> Result<Vec<LogPart>, CopyFailure> {
        let may_change = looks < LOOKS_FOR_PATH;
        let changed =
            |part: &LogPart, what: &str| CopyFailure::Changed(format!("{}: {what}", part.path.display()));
        let mut known: HashMap<(u64, u64), LogPart> =
            before.into_iter().map(|part| (numbers(part.id), part)).collect();
        let mut parts = Vec::new();
        for part in after {
            // The number of a removed file may already be that of another one, which then has another name.
            let is_same = |earlier: &LogPart| self.may_be_named(&earlier.key, &part);
            let earlier = match known.entry(numbers(part.id)) {
                Entry::Occupied(earlier) if is_same(earlier.get()) => Some(earlier.remove()),
                _ => None,
            };
            if taken.has(&part) {
                continue;
            }
            match earlier {
                // Its lines were settled after the journal's last mark.
                Some(earlier) if taken.has_begun(&earlier) => {}
                Some(earlier) if earlier.bytes == part.bytes => parts.push(part),
                Some(_) if may_change => return Err(changed(&part, "grows")),
                Some(_) => parts.push(LogPart { doubt: Some("it grew while it was looked at"), ..part }),
                None if may_change => return Err(changed(&part, "has just come")),
                // It began behind the journal's last mark.
                None if part.is_any_name => {}
                None => parts.push(part),
            }
        }
        match known.into_values().find(|part| !taken.has(part)) {
            Some(gone) if may_change => Err(changed(&gone, "was moved or removed")),
            _ => Ok(parts),
        }
    }
}

/// The files that the journal knows, by their paths, and by the numbers of those that were found.
#[derive(Default)]
struct Taken {
    paths: BTreeSet<PathBuf>,
    ids: BTreeSet<(u64, u64)>,
    /// The paths and numbers of those of which nothing was settled.
    begun: BTreeSet<(PathBuf, (u64, u64))>,
}

impl Taken {
    fn has(&self, part: &LogPart) -> bool {
        self.ids.contains(&numbers(part.id)) || self.paths.contains(&part.path)
    }

    /// Whether nothing of this file, as it was listed before, was settled when the journal was read.
    fn has_begun(&self, earlier: &LogPart) -> bool {
        self.begun.contains(&(earlier.path.clone(), numbers(earlier.id)))
    }
}

/// A file with several names is one.
fn keep_one_name(parts: &mut Vec<LogPart>) {
    let mut seen = BTreeSet::new();
    parts.retain(|part| seen.insert(numbers(part.id)));
}

/// Whether this stands behind `.late` in the name of a file of late lines.
fn is_end_of_late(number: &str) -> bool {
    let digits = number.strip_prefix('.').unwrap_or("x");
    number.is_empty() || !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn numbers(id: FileId) -> (u64, u64) {
    (id.device, id.inode)
}
