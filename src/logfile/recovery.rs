//! Recovery at the start: finds out which of the journalled ranges are really in the file. Ranges whose CRC
//! agrees with the file are adopted. Only a torn rest of pandad's own is cut.

use std::io;
use std::path::Path;

use super::disk::{Disk, FileId, FileKind, Handle, OpenMode, directory_of};
use super::journal::JournalState;
use super::journal::Replayed;
use super::journal::{FileHead, FilePlace, JournalEntry, Mark, ONLY_FILE, Range, RangePart, Session};
use super::label::LogLabel;
use super::locate::{Located, WantedFile, head, is_part_in, locate, tail};
use super::restart_memory::{Finding, RestartMemory};
use crate::plural::counted;

/// The log file, open at its end.
#[derive(Debug)]
pub(super) struct OpenedLog {
    pub(super) file: Handle,
    pub(super) id: FileId,
    pub(super) end: u64,
    /// The time of the last write, in seconds since 1970.
    pub(super) modified: i64,
    /// The last bytes before the end, at most [`CHECKED_BYTES`].
    pub(super) tail: Vec<u8>,
    pub(super) head: FileHead,
}

impl OpenedLog {
    /// Where the file ends.
    pub(super) fn place(&self) -> FilePlace {
        let before = crc32fast::hash(&self.tail);
        FilePlace { file: self.id, end: self.end, before, head: Some(self.head) }
    }

    /// Whether the file is the one that was left at this place. Then writing goes on there; what others have
    /// appended is met by the writer.
    pub(super) fn goes_on_at(&mut self, place: &FilePlace) -> io::Result<bool> {
        if self.id != place.file || self.end < place.end {
            return Ok(false);
        }
        let before = tail(&self.file, place.end)?;
        if crc32fast::hash(&before) != place.before {
            return Ok(false);
        }
        let head = head(&self.file, place.end)?;
        if place.head.is_some_and(|known| known != head) {
            return Ok(false);
        }
        (self.end, self.tail, self.head) = (place.end, before, head);
        Ok(true)
    }

    /// Writes the newline that the last line lacks.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        self.file.append_all(b"\n")?;
        self.end += 1;
        self.tail = tail(&self.file, self.end)?;
        self.head.extend(b"\n");
        Ok(())
    }
}

/// Logs what is damaged in the journal, and what follows from it.
pub(super) fn report_damage(replayed: &Replayed, label: &LogLabel, memory: &mut RestartMemory) {
    let Some(damage) = &replayed.damage else { return };
    let outcome = if replayed.lacks_ranges {
        "the last lines before the stop may be cut; their records are fetched again"
    } else {
        "other entries repeat the damaged ones, and nothing is lost"
    };
    let text = format!("its journal is damaged at {damage}: {outcome}");
    memory.warn(label, Finding::DamagedJournal, &text);
}

/// Opens the file for appending. Creates it if it does not exist.
pub(super) fn open(disk: &dyn Disk, path: &Path) -> io::Result<OpenedLog> {
    opened_as(disk.open(path, OpenMode::Append)?)
}

/// As [`open`], but a file that does not exist is an error.
pub(super) fn open_existing(disk: &dyn Disk, path: &Path) -> io::Result<OpenedLog> {
    disk.stat(path)?;
    open(disk, path)
}

fn opened_as(file: Handle) -> io::Result<OpenedLog> {
    let stat = file.stat()?;
    if stat.kind != FileKind::File {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let tail = tail(&file, stat.len)?;
    let head = head(&file, stat.len)?;
    Ok(OpenedLog { file, id: stat.id, end: stat.len, modified: stat.modified, tail, head })
}

/// Compares the file with the journal, adopts ranges, cuts a torn rest, and returns the file ready to be
/// appended to. Afterwards `state` holds what was written, and a mark at the file's end that the caller
/// must journal. The first of the two boot ids is compared with that of the last session; the second is
/// recorded for the next start.
pub(super) fn recover(
    disk: &dyn Disk,
    path: &Path,
    Replayed { state, lacks_ranges, .. }: &mut Replayed,
    (boot, this_boot): (Option<u128>, Option<u128>),
    (label, memory): (&LogLabel, &mut RestartMemory),
) -> io::Result<OpenedLog> {
    // If the ranges that announced them are lost, pandad's own bytes can be anywhere after the mark.
    let boot = boot.filter(|_| !*lacks_ranges);
    if let Some(session) = state.session.as_mut().filter(|_| *lacks_ranges) {
        session.closed = false;
    }
    let mut opened = open(disk, path)?;
    disk.sync_names(directory_of(&disk.target(path)))?;
    if let Some(place) = state.files.get(&ONLY_FILE).map(|known| known.place) {
        match locate(disk, (path, Some(&opened.file)), WantedFile::only(&place, &state.recent))? {
            Located::AtPath => recover_from(&mut opened, &place, state, boot, (label, memory))?,
            Located::Beside(moved) => {
                let text = format!("was moved to {} while pandad did not run", moved.display());
                memory.info(label, Finding::Moved, &text);
                let mut file = open(disk, &moved)?;
                recover_from(&mut file, &place, state, boot, (&label.with_path(&moved), memory))?;
                file.file.sync()?;
            }
            other => report_not_found(path, &other, &place, (label, memory)),
        }
    }
    state.recent.clear();
    end_torn_line(&mut opened, label, memory)?;
    // Adopted bytes may be only in the page cache, but the mark says that they are durable.
    opened.file.sync()?;
    // If the boot is unknown, no later boot is taken for the same one.
    state.session = Some(Session { boot: this_boot.unwrap_or_default(), closed: false });
    let mark = Mark::of_only_file(state.next_sequence() - 1, opened.place());
    state.apply(JournalEntry::Mark(mark), 0);
    Ok(opened)
}

fn recover_from(
    opened: &mut OpenedLog,
    place: &FilePlace,
    state: &mut JournalState,
    boot: Option<u128>,
    (label, memory): (&LogLabel, &mut RestartMemory),
) -> io::Result<()> {
    let ranges: Vec<_> = state.recent.drain(..).collect();
    let reach = reach_of_ours(state.session, boot, &ranges, place);
    // After a failed sync the cache holds pages that seem to be written and are not on the disk. Pages that
    // cannot be synced now are dropped from the cache, so that the comparison reads the disk.
    opened.file.sync()?;
    if let Err(error) = opened.file.drop_cached(place.end) {
        log::debug!("{label}: cached pages cannot be dropped: {error}");
    }
    let mut end = place.end;
    let mut sequence = state.next_sequence() - 1;
    let mut adopted = 0usize;
    for range in &ranges {
        let Some(part) = range.part_of(ONLY_FILE) else { break };
        let follows = part.file == place.file && part.from == end && part.to <= opened.end;
        if !follows || !matches_file(&opened.file, part)? {
            break;
        }
        state.settle(&range.changes, 0);
        end = part.to;
        sequence = range.sequence;
        adopted += 1;
    }
    if !ranges.is_empty() {
        let text =
            format!("adopted the unsettled writes that the file holds whole: {adopted} of {}", ranges.len());
        memory.info(label, Finding::Adopted, &text);
    }
    if let Some(mark) = &mut state.mark {
        mark.sequence = sequence;
    }
    cut_rest(opened, end, reach, (label, memory))
}

/// Cuts what follows this end, unless the file is longer than pandad can have made it.
pub(super) fn cut_rest(
    opened: &mut OpenedLog,
    end: u64,
    reach: u64,
    (label, memory): (&LogLabel, &mut RestartMemory),
) -> io::Result<()> {
    if opened.end > end && opened.end <= reach {
        let text = format!(
            "cut {} of a write that was not complete; its records are fetched again",
            counted(opened.end - end, "byte")
        );
        memory.warn(label, Finding::Cut, &text);
        opened.file.set_len(end)?;
        opened.end = end;
    } else if opened.end > end {
        let text =
            format!("keeps {} at its end that another program wrote", counted(opened.end - end, "byte"));
        memory.warn(label, Finding::Foreign, &text);
    }
    opened.tail = tail(&opened.file, opened.end)?;
    opened.head = head(&opened.file, opened.end)?;
    Ok(())
}

/// Up to which byte the file can hold pandad's lines. The kernel writes pages back in any order, so after a
/// loss of power the file may hold lines whose range never reached the disk.
fn reach_of_ours(session: Option<Session>, boot: Option<u128>, ranges: &[Range], place: &FilePlace) -> u64 {
    match session {
        Some(session) if session.closed || Some(session.boot) == boot => {
            let parts = ranges.iter().filter_map(|range| range.part_of(ONLY_FILE));
            parts.map(|part| part.to).max().unwrap_or(place.end)
        }
        _ => u64::MAX,
    }
}

/// If the last line is not pandad's and has no newline, it gets one, so that no two lines run together.
pub(super) fn end_torn_line(
    opened: &mut OpenedLog,
    label: &LogLabel,
    memory: &mut RestartMemory,
) -> io::Result<()> {
    if matches!(opened.tail.last(), None | Some(b'\n')) {
        return Ok(());
    }
    memory.warn(label, Finding::NoNewline, "its last line had no newline; one was added");
    opened.end_line()
}

/// Logs why the file that the journal knows was not found.
pub(super) fn report_not_found(
    path: &Path,
    located: &Located,
    place: &FilePlace,
    (label, memory): (&LogLabel, &mut RestartMemory),
) {
    let of = |file: &Path| if file == path { label.clone() } else { label.with_path(file) };
    match located {
        Located::Shortened(file, length) => {
            let text = format!(
                "has {}, but the journal says {}: another program has shortened this file; positions are \
                 kept",
                counted(*length, "byte"),
                place.end
            );
            memory.warn(&of(file), Finding::Shortened, &text);
        }
        Located::Changed(file) => {
            let text = "its bytes are not those that the journal describes: another program has changed \
                        this file; positions are kept";
            memory.warn(&of(file), Finding::Changed, text);
        }
        Located::Several(first, second) => {
            let text = format!(
                "{} and {} both have the content that the journal describes, and nothing shows which is the \
                 original: nothing is adopted or cut; positions are kept, and unsettled lines come again",
                first.display(),
                second.display()
            );
            memory.error(label, Finding::Several, &text);
        }
        _ => {
            let text = "is not the file that the journal describes, and that file is not in this directory; \
                        positions are kept";
            memory.warn(label, Finding::NotBeside, text);
        }
    }
}

#[cfg(test)]
thread_local! {
    /// If set, the length alone is believed. A test sets it to show that the simulator notices this
    /// mistake.
    pub(super) static TRUST_LENGTH: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether the bytes in the file are those of the part.
pub(super) fn matches_file(file: &Handle, part: &RangePart) -> io::Result<bool> {
    #[cfg(test)]
    if TRUST_LENGTH.get() {
        return Ok(true);
    }
    is_part_in(file, part)
}
