//! The meaning of a path: the module that declares the name, or another crate.

use crate::tree::{ModuleId, Named, Tree};

/// A chain of `use` that is longer than this is taken for a circle.
const HOPS: usize = 16;

/// The target of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A module of this crate.
    Here {
        /// The module that the path names as it is written: a module that re-exports the name, not the one
        /// that declares it.
        written: ModuleId,
        /// The module in which the name is declared.
        declared: ModuleId,
    },
    /// A name of another crate.
    Elsewhere {
        /// The whole path.
        path: Vec<String>,
        /// Whether the path names a module of this crate that re-exports the name (`pub use`).
        given_on: bool,
    },
}

pub fn resolve(tree: &Tree, named: &Named) -> Target {
    from(tree, named.module, &named.segments, HOPS)
}

fn from(tree: &Tree, module: ModuleId, segments: &[String], hops: usize) -> Target {
    let Some(first) = segments.first() else { return here(module) };
    let (mut start, mut rest) = (module, segments);
    match first.as_str() {
        "crate" => (start, rest) = (root(tree, module), &segments[1..]),
        "self" => rest = &segments[1..],
        "super" => {}
        name if hops > 0 && knows(tree, module, name) => {}
        name => {
            return match (glob(tree, module, name, segments, hops), tree.library) {
                (Some(target), _) => target,
                (None, Some(library)) if name == "pandad" => walk(tree, library, &segments[1..], hops, false),
                _ => elsewhere(segments),
            };
        }
    }
    while rest.first().is_some_and(|name| name == "super") {
        (start, rest) = (tree.modules[start].parent.unwrap_or(start), &rest[1..]);
    }
    walk(tree, start, rest, hops, start == module)
}

/// A path written `::name` begins with an empty segment.
fn elsewhere(segments: &[String]) -> Target {
    let path = segments.iter().filter(|name| !name.is_empty()).cloned().collect();
    Target::Elsewhere { path, given_on: false }
}

fn here(module: ModuleId) -> Target {
    Target::Here { written: module, declared: module }
}

fn root(tree: &Tree, mut module: ModuleId) -> ModuleId {
    while let Some(parent) = tree.modules[module].parent {
        module = parent;
    }
    module
}

fn knows(tree: &Tree, module: ModuleId, name: &str) -> bool {
    let module = &tree.modules[module];
    module.children.contains_key(name) || module.items.contains(name) || module.uses.contains_key(name)
}

/// Follows names downwards. `own`: an alias at the first step is this module's own and
/// part of how the path is written.
fn walk(tree: &Tree, start: ModuleId, segments: &[String], hops: usize, own: bool) -> Target {
    let mut module = start;
    for (at, name) in segments.iter().enumerate() {
        let known = &tree.modules[module];
        if let Some(child) = known.children.get(name) {
            module = *child;
            continue;
        }
        if known.items.contains(name) {
            break;
        }
        let target = match known.uses.get(name) {
            Some(path) if hops > 0 => {
                let path = [path.as_slice(), &segments[at + 1..]].concat();
                // `use name::…` where `name` is no module: another crate's, not this alias again.
                let is_crate = path.first() == Some(name) && !known.children.contains_key(name);
                Some(if is_crate { elsewhere(&path) } else { from(tree, module, &path, hops - 1) })
            }
            _ => glob(tree, module, name, &segments[at..], hops),
        };
        return match target {
            Some(target) if own && at == 0 => target,
            Some(Target::Here { declared, .. }) => Target::Here { written: module, declared },
            Some(Target::Elsewhere { path, .. }) => Target::Elsewhere { path, given_on: true },
            None => here(module),
        };
    }
    here(module)
}

/// Looks for a name among those that `use …::*` brings in.
fn glob(tree: &Tree, module: ModuleId, name: &str, segments: &[String], hops: usize) -> Option<Target> {
    if hops == 0 {
        return None;
    }
    tree.modules[module].globs.iter().find_map(|path| match from(tree, module, path, hops - 1) {
        Target::Here { declared, .. } if declared != module && knows(tree, declared, name) => {
            Some(walk(tree, declared, segments, hops - 1, false))
        }
        _ => None,
    })
}
