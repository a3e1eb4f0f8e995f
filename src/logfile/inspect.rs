//! Shows a journal's entries to people, one line each, and removes its positions on request.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Disk, FileId, RealDisk, with_suffix};
use super::journal::{
    FileNumber, JournalContents, JournalEntry, JournalFile, JournalRead, Mark, ONLY_FILE, PartitionState,
};
use super::lock::Lock;
use super::open_error::OpenError;
use crate::host;
use crate::plural::counted;

/// How often a journal is read that is being written meanwhile.
const LOOKS_MAX: u32 = 20;
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// One line for each entry of the half in force, oldest first, then one for each partition.
///
/// # Errors
/// There is no journal that can be read; the text says why.
pub fn lines(log_file: &Path) -> Result<Vec<String>, String> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (journal, contents) = look(&disk, log_file)?;
    let entries = &contents.newest.entries;
    let mut lines = vec![format!("journal {:032x}, {} entries", journal.identity(), entries.len())];
    lines.extend(entries.iter().map(|(_, entry)| line(entry)));
    let replayed = contents.replay(None)?;
    lines.extend(replayed.damage.map(|damage| format!("damaged: {damage}")));
    let mut state = replayed.state;
    let settled: Vec<i64> = state.partitions.values().map(|known| known.position).collect();
    // The next start compares these ranges with the file and adopts those that the file holds.
    let unsettled: Vec<_> = state.recent.drain(..).collect();
    unsettled.iter().for_each(|range| state.settle(&range.changes, 0));
    for (known, settled) in state.partitions.values().zip(settled) {
        let mut line = format!("{} is at {}", known.partition, known.position);
        if known.position != settled {
            line += &format!(", settled up to {settled}");
        }
        line += &former_line(known);
        lines.push(line);
    }
    for known in state.files.values() {
        let Some(path) = known.path() else { continue };
        let closing = known.closing_to().map(|to| format!(", is about to be moved to {}", to.display()));
        let bytes = counted(known.place.end, "byte");
        lines.push(format!("{} is settled up to {bytes}{}", path.display(), closing.unwrap_or_default()));
    }
    lines.push(counted(unsettled.len(), "unsettled write"));
    Ok(lines)
}

/// Removes all partitions and their positions from the journal; what the journal knows of the log file
/// stays. Returns the number of partitions removed.
///
/// # Errors
/// The text says that a pandad is using the file, or that the journal cannot be read or written.
pub fn forget(log_file: &Path) -> Result<usize, String> {
    let _lock = Lock::take(log_file).map_err(OpenError::into_text)?;
    let (mut journal, contents) = read(log_file)?;
    let mut state = contents.replay(None)?.state;
    let count = state.partitions.len();
    state.forget_partitions();
    // The journal gets a new identity. With the old one it would take its own tokens for offsets that it
    // has read already, and would not follow the group to these offsets.
    let name = host::random().map_err(|error| format!("no random name: {error}"))?;
    journal.rename(u128::from_be_bytes(name));
    // In both halves: damage to one of them must bring back neither the positions nor the old identity.
    for _ in 0..2 {
        journal
            .rewrite(&state.snapshot(), None)
            .map_err(|error| format!("{}: {error}", log_file.display()))?;
    }
    Ok(count)
}

/// Reads a journal that a running pandad may be writing, and changes nothing. Entries are appended all
/// the time, and now and then a half begins anew. What was read in the middle of that has holes, so it
/// is read again. What is whole was true at one moment: a half has the entries up to that moment, and
/// its header is written last.
pub(super) fn look(disk: &Arc<dyn Disk>, log_file: &Path) -> Result<(JournalFile, JournalContents), String> {
    let at = with_suffix(log_file, ".journal");
    let mut looks = 0;
    loop {
        let found = JournalFile::look(disk, &at);
        looks += 1;
        let is_whole = match &found {
            Ok(JournalRead::Journal { contents, .. }) => contents.is_whole(),
            Ok(JournalRead::Unreadable(_)) => false,
            _ => true,
        };
        if is_whole || looks >= LOOKS_MAX {
            return name_found(&at, found);
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

fn read(log_file: &Path) -> Result<(JournalFile, JournalContents), String> {
    let at = with_suffix(log_file, ".journal");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    name_found(&at, JournalFile::read(&disk, &at))
}

/// Says in words why there is no journal that can be read.
pub(super) fn name_found(
    at: &Path,
    found: io::Result<JournalRead>,
) -> Result<(JournalFile, JournalContents), String> {
    let shown = at.display();
    match found {
        Ok(JournalRead::Journal { journal, contents, .. }) => Ok((*journal, *contents)),
        Ok(JournalRead::Missing) if shown.to_string().contains('{') => Err(format!(
            "{shown}: there is none; the files of a path with placeholders share one that is called after \
             the path from the first placeholder on, in the directory above: name it without .journal"
        )),
        Ok(JournalRead::Missing) => {
            Err(format!("{shown}: there is none; pandad writes it when it starts with this path"))
        }
        Ok(JournalRead::Unreadable(why)) => Err(format!("{shown}: not a journal that can be read: {why}")),
        Ok(JournalRead::TakenOver(taken)) => Err(taken.refusal(at)),
        Ok(JournalRead::Later(version)) => {
            Err(format!("{shown}: of version {version}, which a later pandad wrote; use that pandad"))
        }
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// The offset ranges that the log file holds, as `0..100 50..` with the one that grows at the end.
fn held_line(state: &PartitionState) -> String {
    let Some(held) = &state.held else { return "what an older pandad has written".to_owned() };
    let mut ranges = held.ranges(state.position);
    let grows = ranges.pop().map(|(from, _)| format!("{from}.."));
    let ended = ranges.iter().map(|(from, to)| format!("{from}..{to}"));
    let shown = ended.chain(grows).collect::<Vec<_>>().join(" ");
    match held.unsure() {
        Some((from, to)) => format!("{shown}, and perhaps others of {from}..{to}"),
        None => shown,
    }
}

fn former_line(state: &PartitionState) -> String {
    let former: Vec<String> = state.former.iter().map(|identity| format!("{identity:032x}")).collect();
    if former.is_empty() { String::new() } else { format!(", taken over from {}", former.join(" ")) }
}

fn line(entry: &JournalEntry) -> String {
    match entry {
        JournalEntry::Partition(number, state) => format!(
            "partition {number}: {} at {}, epoch {:016x}, last records {}, committed without a token {:?}, \
             left {}, holds {}{}{}",
            state.partition,
            state.position,
            state.epoch,
            state.landmarks.iter().map(|mark| mark.offset.to_string()).collect::<Vec<_>>().join(" "),
            state.committed,
            state.left.iter().map(|epoch| format!("{epoch:016x}")).collect::<Vec<_>>().join(" "),
            held_line(state),
            former_line(state),
            state.topic_id.map(|id| format!(", of the topic {id}")).unwrap_or_default(),
        ),
        JournalEntry::Range(range) => format!(
            "range {}: {}, positions {}",
            range.sequence,
            joined(range.parts.iter().map(|part| {
                format!(
                    "bytes {} to {} of file {}{}, crc {:08x}",
                    part.from,
                    part.to,
                    numbered(part.number),
                    shown(part.file),
                    part.crc
                )
            })),
            range
                .changes
                .iter()
                .map(|change| format!("{}={}", change.index, change.position))
                .collect::<Vec<_>>()
                .join(" "),
        ),
        JournalEntry::Mark(mark) => mark_line(mark),
        JournalEntry::Session(session) => {
            format!("session: boot {:032x}, {}", session.boot, if session.closed { "closed" } else { "open" })
        }
        JournalEntry::Member(member) => format!(
            "member: known to the group as {}{}",
            member.id,
            if member.silent { ", by a broker that does not answer ApiVersions" } else { "" }
        ),
        JournalEntry::Topic(number, id) => format!("partition {number}: of the topic {id}"),
        JournalEntry::LeaderEpoch(number, start) => {
            format!("partition {number}: leader epoch {} from offset {} on", start.epoch, start.from)
        }
        JournalEntry::Cluster(id) => format!("the cluster {id}"),
        JournalEntry::Unknown(kind) => format!("an entry of kind {kind}, which a later pandad wrote"),
    }
}

fn mark_line(mark: &Mark) -> String {
    let files = mark.files.iter().map(|file| {
        let name = file.name.as_ref();
        let path = name.map(|name| format!(" {}", name.path.display())).unwrap_or_default();
        let place = &file.place;
        format!(
            "{} bytes of file {}{}{path} are durable",
            place.end,
            numbered(file.number),
            shown(place.file)
        )
    });
    let commits = mark.commits.iter().map(|commit| match commit.value {
        Some(value) => format!("{}={value} without a token", commit.index),
        None => format!("{} with a token", commit.index),
    });
    let mut line = format!("mark {}: {}", mark.sequence, joined(files));
    if !mark.held.is_empty() {
        line.push_str(&format!(", but not ranges {:?}", mark.held));
    }
    for closing in &mark.closing {
        line.push_str(&format!(", file {} is about to be moved to {}", closing.number, closing.to.display()));
    }
    if !mark.finished.is_empty() {
        line.push_str(&format!(", files {:?} are finished", mark.finished));
    }
    format!("{line}, committing {}", commits.collect::<Vec<_>>().join(" "))
}

/// A file's number in its journal, if the journal has several files.
fn numbered(number: FileNumber) -> String {
    if number == ONLY_FILE { String::new() } else { format!("{number}, ") }
}

fn shown(file: FileId) -> String {
    format!("{}:{}", file.device, file.inode)
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join("; ")
}
