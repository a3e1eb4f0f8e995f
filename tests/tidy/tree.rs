//! The sources in the form that the rules need: which module each file is, what it declares, and every path
//! that it names. The files are parsed, so that comments and strings are never taken for code.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::reader;

/// An index into [`Tree::files`].
pub type FileId = usize;
/// An index into [`Tree::modules`].
pub type ModuleId = usize;

/// One file, with its path from the top of the tree.
pub struct File {
    pub name: String,
    pub text: String,
}

impl File {
    /// How many lines are not blank, and how many of these are only a comment.
    pub fn code_and_comment_lines(&self) -> (usize, usize) {
        let lines: Vec<&str> = self.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        (lines.len(), lines.iter().filter(|line| line.starts_with("//")).count())
    }
}

/// A module: a file, or a `mod name { … }` inside one.
pub struct Module {
    pub file: FileId,
    pub parent: Option<ModuleId>,
    /// The path from the crate's root; the root itself has none.
    pub path: Vec<String>,
    /// Whether the module is compiled for tests only.
    pub test: bool,
    pub children: HashMap<String, ModuleId>,
    pub items: BTreeSet<String>,
    /// The paths that `use` brings in, by their names in this module.
    pub uses: HashMap<String, Vec<String>>,
    /// The modules that `use …::*` names.
    pub globs: Vec<Vec<String>>,
}

/// A path that a module names, in a `use` or in the middle of an expression.
pub struct Named {
    pub module: ModuleId,
    pub line: usize,
    /// The segments of the path. The first one is empty if the path was written `::name`.
    pub segments: Vec<String>,
    pub test: bool,
    /// Whether this is a `pub use`, which re-exports the name without needing it.
    pub gives_on: bool,
}

/// A function, or the declaration of a type.
pub struct Declared {
    pub module: ModuleId,
    pub name: String,
    pub line: usize,
    /// The number of lines from `fn` to the closing brace; 1 for a type.
    pub lines: usize,
    pub test: bool,
}

/// A `mod tests { … }` under `cfg(test)` in the file that it tests.
pub struct InlineTests {
    pub file: FileId,
    pub line: usize,
    pub lines: usize,
}

#[derive(Default)]
pub struct Tree {
    pub files: Vec<File>,
    pub modules: Vec<Module>,
    pub named: Vec<Named>,
    pub functions: Vec<Declared>,
    pub types: Vec<Declared>,
    pub inline_tests: Vec<InlineTests>,
    /// Files that a `mod` declaration or a target in Cargo.toml reaches.
    pub reached: BTreeSet<FileId>,
    /// Files that could not be read as Rust, and why.
    pub unreadable: Vec<(FileId, usize, String)>,
    /// The root modules of the library and of the program.
    pub library: Option<ModuleId>,
    pub program: Option<ModuleId>,
}

impl Tree {
    /// Reads the tree that stands in a directory.
    pub fn read(top: &Path) -> Self {
        let mut files = BTreeMap::new();
        for at in ["Cargo.toml", "fuzz/Cargo.toml", "src", "tests", "scripts", "fuzz/fuzz_targets"] {
            collect(top, at, &mut files);
        }
        Self::of(files)
    }

    /// Reads files that are given by name and text.
    pub fn of(files: BTreeMap<String, String>) -> Self {
        let files = files.into_iter().map(|(name, text)| File { name, text }).collect();
        let mut tree = Self { files, ..Self::default() };
        for root in tree.roots() {
            let Some(file) = tree.find(&root) else { continue };
            let module = reader::read_crate(&mut tree, file);
            match root.as_str() {
                "src/lib.rs" => tree.library = Some(module),
                "src/main.rs" => tree.program = Some(module),
                _ => {}
            }
        }
        tree
    }

    pub fn find(&self, name: &str) -> Option<FileId> {
        self.files.binary_search_by(|file| file.name.as_str().cmp(name)).ok()
    }

    pub fn file_of(&self, module: ModuleId) -> &File {
        &self.files[self.modules[module].file]
    }

    pub fn is_in_src(&self, module: ModuleId) -> bool {
        self.file_of(module).name.starts_with("src/")
    }

    /// The Rust files of src, and whether each is compiled for tests only.
    pub fn source_files(&self) -> BTreeMap<FileId, bool> {
        let mut files = BTreeMap::new();
        for (id, module) in self.modules.iter().enumerate().filter(|(id, _)| self.is_in_src(*id)) {
            let own = self.modules[id].parent.is_none_or(|parent| self.modules[parent].file != module.file);
            if own {
                files.insert(module.file, module.test);
            }
        }
        files
    }

    /// The files at which crates begin: the two of src, and the targets that the manifests name.
    fn roots(&self) -> BTreeSet<String> {
        let mut roots = BTreeSet::from(["src/lib.rs".to_owned(), "src/main.rs".to_owned()]);
        for (manifest, folder) in [("Cargo.toml", ""), ("fuzz/Cargo.toml", "fuzz/")] {
            let text = self.find(manifest).map_or("", |file| &self.files[file].text);
            for line in text.lines() {
                if let Some(path) = line.strip_prefix("path = ") {
                    roots.insert(format!("{folder}{}", path.trim_matches('"')));
                }
            }
        }
        roots
    }
}

/// Collects the text files, by name. Data beside the tests is left out.
fn collect(top: &Path, at: &str, files: &mut BTreeMap<String, String>) {
    let path = top.join(at);
    if path.is_dir() {
        for entry in path.read_dir().unwrap() {
            collect(top, &format!("{at}/{}", entry.unwrap().file_name().to_string_lossy()), files);
        }
        return;
    }
    let is_source = at.starts_with("scripts/") || [".rs", ".py", ".toml"].iter().any(|end| at.ends_with(end));
    if let Some(text) = is_source.then(|| std::fs::read_to_string(&path)).and_then(Result::ok) {
        files.insert(at.to_owned(), text);
    }
}
