//! A journal for people: its entries as lines, and forgetting its positions.

use std::path::Path;
use std::sync::Arc;

use super::OpenError;
use super::disk::with_suffix;
use super::disk::{Disk, Real};
use super::journal::Entry;
use super::journal::State;
use super::journal::{Area, Found};
use super::lock::Lock;
use crate::host;

/// One line for each entry of the half in force, oldest first, and what they add up to.
///
/// # Errors
/// A text: there is no journal, or none that can be read.
pub fn lines(log_file: &Path) -> Result<Vec<String>, String> {
    let (area, entries) = read(log_file)?;
    let mut lines = vec![format!("journal {:032x}, {} entries", area.identity(), entries.len())];
    lines.extend(entries.iter().map(line));
    let mut state = State::replay(entries);
    let settled: Vec<i64> = state.partitions.values().map(|known| known.position).collect();
    // The next start looks whether these are in the file.
    let unsettled: Vec<_> = state.recent.drain(..).collect();
    unsettled.iter().for_each(|range| state.settle(&range.changes));
    for (known, settled) in state.partitions.values().zip(settled) {
        let mut line = format!("{} is at {}", known.partition, known.position);
        if known.position != settled {
            line += &format!(", settled up to {settled}");
        }
        lines.push(line);
    }
    lines.push(format!("{} writes unsettled", unsettled.len()));
    Ok(lines)
}

/// Makes the journal forget its partitions' positions; what it knows of the file stays.
/// Gives their number.
///
/// # Errors
/// A text: a pandad has the file, or the journal cannot be read or written.
pub fn forget(log_file: &Path) -> Result<usize, String> {
    let _lock = Lock::take(log_file).map_err(|error| match error {
        OpenError::Wait(why) | OpenError::Never(why) => why,
    })?;
    let (mut area, entries) = read(log_file)?;
    let mut state = State::replay(entries);
    let count = state.partitions.len();
    state.forget_partitions();
    // By another name: its own tokens are to be followed like anybody's.
    let name = host::random().map_err(|error| format!("no random name: {error}"))?;
    area.rename(u128::from_be_bytes(name));
    area.rewrite(&state.snapshot(), None).map_err(|error| format!("{}: {error}", log_file.display()))?;
    Ok(count)
}

fn read(log_file: &Path) -> Result<(Area, Vec<Entry>), String> {
    let at = with_suffix(log_file, ".journal");
    let shown = at.display();
    let disk: Arc<dyn Disk> = Arc::new(Real);
    match Area::read(&disk, &at) {
        Ok(Found::Journal { area, entries, .. }) => Ok((area, entries)),
        Ok(Found::Missing) => Err(format!("{shown}: there is none")),
        Ok(Found::Unreadable(why)) => Err(format!("{shown}: not a journal that can be read: {why}")),
        Ok(Found::Later(version)) => {
            Err(format!("{shown}: of version {version}, which a later pandad wrote"))
        }
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

fn line(entry: &Entry) -> String {
    match entry {
        Entry::Partition(number, state) => format!(
            "partition {number}: {} at {}, epoch {:016x}, last records {}, committed without a token {:?}, left {}",
            state.partition,
            state.position,
            state.epoch,
            state.landmarks.iter().map(|mark| mark.offset.to_string()).collect::<Vec<_>>().join(" "),
            state.committed,
            state.left.iter().map(|epoch| format!("{epoch:016x}")).collect::<Vec<_>>().join(" "),
        ),
        Entry::Range(range) => format!(
            "range {}: bytes {} to {} of file {}:{}, crc {:08x}, positions {}",
            range.sequence,
            range.from,
            range.to,
            range.file.device,
            range.file.inode,
            range.crc,
            range
                .changes
                .iter()
                .map(|change| format!("{}={}", change.index, change.position))
                .collect::<Vec<_>>()
                .join(" "),
        ),
        Entry::Mark(mark) => format!(
            "mark {}: {} bytes of file {}:{} are durable, committing {}",
            mark.sequence,
            mark.end,
            mark.file.device,
            mark.file.inode,
            mark.commits
                .iter()
                .map(|commit| match commit.value {
                    Some(value) => format!("{}={value} without a token", commit.index),
                    None => format!("{} with a token", commit.index),
                })
                .collect::<Vec<_>>()
                .join(" "),
        ),
        Entry::Session(session) => {
            format!("session: boot {:032x}, {}", session.boot, if session.closed { "closed" } else { "open" })
        }
        Entry::Member(member) => format!(
            "member: known to the group as {}{}",
            member.id,
            if member.silent { ", by a broker that does not say what it speaks" } else { "" }
        ),
    }
}
