//! Which file of src needs which other one, and the circles among the files.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::{Target, resolve};
use crate::tree::{FileId, Tree};

/// The files that each file needs: those that declare the names that it uses. A file and its own submodules
/// always need each other, so this does not count. Unit tests inside a file may use names of higher files.
fn needs(tree: &Tree) -> BTreeMap<FileId, BTreeSet<FileId>> {
    let mut needs: BTreeMap<FileId, BTreeSet<FileId>> = BTreeMap::new();
    let files = tree.source_files();
    for named in tree.named.iter().filter(|named| tree.is_in_src(named.module) && !named.gives_on) {
        if named.test && files.get(&tree.modules[named.module].file) == Some(&false) {
            continue;
        }
        let Target::Here { declared, .. } = resolve(tree, named) else { continue };
        let (from, to) = (tree.modules[named.module].file, tree.modules[declared].file);
        if from != to && !is_below(&tree.files[to].name, &tree.files[from].name) {
            needs.entry(from).or_default().insert(to);
        }
    }
    needs
}

/// Whether a file is one of the submodules of another.
fn is_below(file: &str, of: &str) -> bool {
    let folder = of.strip_suffix("mod.rs").map_or_else(|| of.replace(".rs", "/"), str::to_owned);
    file.starts_with(&folder)
}

/// Groups of files in which each file needs each other one, directly or through others.
pub fn circles(tree: &Tree) -> Vec<Vec<String>> {
    let needs = needs(tree);
    let reach: BTreeMap<FileId, BTreeSet<FileId>> =
        needs.keys().map(|file| (*file, reachable(&needs, *file))).collect();
    let mut circles = BTreeSet::new();
    for (file, reached) in &reach {
        let together: BTreeSet<&str> = reached
            .iter()
            .filter(|other| reach.get(other).is_some_and(|back| back.contains(file)))
            .map(|other| tree.files[*other].name.as_str())
            .collect();
        if together.len() > 1 {
            circles.insert(together.into_iter().map(str::to_owned).collect());
        }
    }
    circles.into_iter().collect()
}

fn reachable(needs: &BTreeMap<FileId, BTreeSet<FileId>>, from: FileId) -> BTreeSet<FileId> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        for to in needs.get(&file).into_iter().flatten() {
            if seen.insert(*to) {
                next.push(*to);
            }
        }
    }
    seen
}
