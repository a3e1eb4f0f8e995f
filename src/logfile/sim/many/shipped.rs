//! Another program takes files away. They are found again by their names.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::World;
use crate::logfile::disk::Disk;

impl World {
    /// Renames a file beside its path, as log rotation does. If the compressed copy of the file is published
    /// already, pandad was about to remove the file: nothing shows later that the renamed file is the same.
    pub(super) fn move_away(&mut self, path: &Path) {
        let name = path.display().to_string();
        let contents = self.disk.contents("/");
        let held = contents.iter().find(|(other, _)| *other == name).map(|(_, bytes)| bytes);
        let is_copy = |(other, bytes): &(String, Vec<u8>)| {
            let is_published = other.starts_with("/done/") || other.starts_with("/away/");
            is_published
                && where_written(other).starts_with(&format!("{name}.gz"))
                && plain(other, bytes.clone()).as_ref() == held
        };
        let number = self.disk.number_of(&name);
        let to = PathBuf::from(format!("{name}.{}", self.disk.operations()));
        // The other program may fail, too.
        if self.disk.rename(path, &to).is_ok() && contents.iter().any(is_copy) {
            self.copied.insert(number);
        }
    }

    /// Moves every complete file to another directory.
    pub(super) fn ship(&self) -> Option<()> {
        for (name, _) in self.disk.contents("/done/") {
            let number = self.disk.operations();
            let to = PathBuf::from(format!("/away/{}%{number}", name[1..].replace('/', "%")));
            let from = Path::new(&name);
            self.disk.link(from, &to).ok()?;
            self.disk.sync_names(Path::new("/away")).ok()?;
            self.disk.remove(from).ok()?;
        }
        Some(())
    }
}

/// The name of a file before it was completed and taken away.
pub(super) fn where_written(name: &str) -> String {
    let name =
        name.strip_prefix("/away/").map_or(name.to_owned(), |name| format!("/{}", name.replace('%', "/")));
    name.replacen("/done/", "/log/", 1)
}

/// What a file holds, also if it is compressed. `None`: not the whole of it.
pub(super) fn plain(name: &str, bytes: Vec<u8>) -> Option<Vec<u8>> {
    if !name.contains(".gz") {
        return Some(bytes);
    }
    let mut text = Vec::new();
    let is_part = name.ends_with(".part");
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).ok().filter(|_| !is_part)?;
    Some(text)
}
