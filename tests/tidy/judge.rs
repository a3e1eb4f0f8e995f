//! Compares the tree with the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::graph;
use crate::paths::{Target, resolve};
use crate::rules::{
    APART, DOORS, Door, FILE_LINES_MAX, FLOORS, FUNCTION_LINES_MAX, INLINE_TEST_LINES_MAX, LINE_LENGTH_MAX,
    MODULES, Rule,
};
use crate::tree::{Module, ModuleId, Named, Tree};

/// The text of a breach if a table leaves a module out.
pub const NO_ROW: &str = "has no row";

/// A rule that is broken, and the place.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    pub rule: Rule,
    pub file: String,
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, file, line, text } = self;
        write!(f, "{file}:{line}: {text}; {}", rule.remedy())
    }
}

/// Every breach in the tree.
pub fn judge(tree: &Tree) -> BTreeSet<Breach> {
    let mut found = Breaches { tree, all: BTreeSet::new() };
    found.unreadable();
    found.tables();
    found.imports();
    found.circles();
    found.lengths();
    found.dead_files();
    found.type_names();
    found.all
}

struct Breaches<'a> {
    tree: &'a Tree,
    all: BTreeSet<Breach>,
}

impl Breaches<'_> {
    fn add(&mut self, rule: Rule, file: &str, line: usize, text: String) {
        self.all.insert(Breach { rule, file: file.to_owned(), line, text });
    }

    fn unreadable(&mut self) {
        let tree = self.tree;
        for (file, line, why) in &tree.unreadable {
            self.add(Rule::Parses, &tree.files[*file].name, *line, why.clone());
        }
    }

    /// The tables of the rules must name exactly the modules that exist.
    fn tables(&mut self) {
        let mut names =
            vec![(Rule::Modules, None, MODULES.iter().map(|(name, _)| *name).collect::<Vec<_>>())];
        for (of, floors) in FLOORS {
            let children = floors.iter().flat_map(|floor| floor.split(' ')).collect();
            names.push((Rule::Floors, Some(*of), children));
        }
        for (rule, of, listed) in names {
            let there = children(self.tree, of);
            for (name, file) in there.iter().filter(|(name, _)| !listed.contains(name)) {
                self.add(rule, file, 1, format!("{name} {NO_ROW}"));
            }
            for name in listed.iter().filter(|name| !there.contains_key(*name)) {
                self.add(rule, "tests/tidy/rules.rs", 1, format!("there is no module {name}"));
            }
        }
    }

    fn imports(&mut self) {
        let tree = self.tree;
        for named in tree.named.iter().filter(|named| tree.is_in_src(named.module)) {
            let breach = match resolve(tree, named) {
                Target::Here { written, declared } => inside(tree, named, written, declared),
                Target::Elsewhere { path, given_on: false } => door(tree, named, &path),
                Target::Elsewhere { .. } => None,
            };
            if let Some((rule, text)) = breach {
                let text = format!("{text} ({})", named.segments.join("::"));
                self.add(rule, &tree.file_of(named.module).name, named.line, text);
            }
        }
    }

    fn circles(&mut self) {
        for circle in graph::circles(self.tree) {
            let text = format!("these files import each other: {}", circle.join(" "));
            self.add(Rule::Circles, &circle[0], 1, text);
        }
    }

    fn lengths(&mut self) {
        let tree = self.tree;
        for file in tree.files.iter().filter(|file| !file.name.ends_with(".toml")) {
            for (at, line) in file.text.lines().enumerate() {
                let length = line.chars().count();
                if length > LINE_LENGTH_MAX {
                    let text = format!("{length} characters, at most {LINE_LENGTH_MAX}");
                    self.add(Rule::LineLength, &file.name, at + 1, text);
                }
            }
            let lines = file.text.lines().count();
            if file.name.ends_with(".rs") && lines > FILE_LINES_MAX {
                self.add(
                    Rule::FileLength,
                    &file.name,
                    lines,
                    format!("{lines} lines, at most {FILE_LINES_MAX}"),
                );
            }
        }
        for function in tree.functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            let text =
                format!("{} has {} lines, at most {FUNCTION_LINES_MAX}", function.name, function.lines);
            self.add(Rule::FunctionLength, &tree.file_of(function.module).name, function.line, text);
        }
        for tests in tree.inline_tests.iter().filter(|tests| tests.lines > INLINE_TEST_LINES_MAX) {
            let text = format!("{} lines of tests in the file, at most {INLINE_TEST_LINES_MAX}", tests.lines);
            let file = &tree.files[tests.file].name;
            if file.starts_with("src/") {
                self.add(Rule::InlineTests, file, tests.line, text);
            }
        }
    }

    fn dead_files(&mut self) {
        let tree = self.tree;
        for (id, file) in tree.files.iter().enumerate() {
            if file.name.ends_with(".rs") && !tree.reached.contains(&id) {
                self.add(
                    Rule::DeadFiles,
                    &file.name,
                    1,
                    "no module and no target names this file".to_owned(),
                );
            }
        }
    }

    fn type_names(&mut self) {
        let tree = self.tree;
        for (name, places) in types_by_name(tree).into_iter().filter(|(_, places)| places.len() > 1) {
            for (at, (file, line)) in places.iter().enumerate() {
                let others: Vec<&str> =
                    places.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, (file, _))| *file).collect();
                let text = format!("{name} is also the name of a type in {}", others.join(", "));
                self.add(Rule::TypeNames, file, *line, text);
            }
        }
    }
}

/// The modules of src, or those of one of them, that are not for tests only.
fn children<'a>(tree: &'a Tree, of: Option<&str>) -> BTreeMap<&'a str, &'a str> {
    let is_child = |module: &&Module| match (of, module.path.as_slice()) {
        (None, [_]) => true,
        (Some(of), [parent, _]) => parent == of,
        _ => false,
    };
    let in_src = tree.modules.iter().filter(|module| tree.files[module.file].name.starts_with("src/"));
    let mut children: BTreeMap<&str, &str> = in_src
        .filter(|module| !module.test)
        .filter(is_child)
        .filter_map(|module| Some((module.path.last()?.as_str(), tree.files[module.file].name.as_str())))
        .collect();
    if of.is_none() && tree.program.is_some() {
        children.insert("main", "src/main.rs");
    }
    children
}

/// The types that src declares outside of tests, by name, with file and line.
pub fn types_by_name(tree: &Tree) -> BTreeMap<&str, Vec<(&str, usize)>> {
    let mut names: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for declared in tree.types.iter().filter(|declared| !declared.test && tree.is_in_src(declared.module)) {
        let place = (tree.file_of(declared.module).name.as_str(), declared.line);
        names.entry(&declared.name).or_default().push(place);
    }
    names
}

/// The top module of src that contains a module; for main.rs it is `main`, for lib.rs empty.
fn top(tree: &Tree, module: ModuleId) -> &str {
    match tree.modules[module].path.first() {
        Some(first) if tree.file_of(module).name != "src/main.rs" => first,
        _ if tree.file_of(module).name == "src/main.rs" => "main",
        _ => "",
    }
}

fn inside(tree: &Tree, named: &Named, written: ModuleId, declared: ModuleId) -> Option<(Rule, String)> {
    let (own, other) = (top(tree, named.module), top(tree, written));
    if own != other {
        // What is there for tests only, only tests can name.
        if tree.modules[written].test {
            return None;
        }
        // lib.rs only lists the modules, and names nothing.
        let may = MODULES.iter().find(|(name, _)| *name == own).map_or("", |(_, may)| may);
        let allowed = own.is_empty() || other.is_empty() || may.split(' ').any(|name| name == other);
        return (!allowed).then(|| (Rule::Modules, format!("{own} must not name {other}")));
    }
    if top(tree, declared) != own {
        // `use …::*` brings this name in; it is judged where it is imported.
        return None;
    }
    let (from, to) = (&tree.modules[named.module].path, &tree.modules[declared].path);
    // A module of the same top re-exports the name: the declaration there is not a child of this one.
    if from.first() != to.first() {
        return None;
    }
    let (from, to) = (from.get(1)?, to.get(1).map_or("", String::as_str));
    if from == to {
        return None;
    }
    if APART.contains(&own) && !to.is_empty() {
        return Some((Rule::Modules, format!("{own}::{from} must not name {own}::{to}")));
    }
    let (_, floors) = FLOORS.iter().find(|(of, _)| *of == own)?;
    let floor = |name: &str| {
        floors.iter().position(|floor| floor.split(' ').any(|child| child == name)).unwrap_or(floors.len())
    };
    let runs_up = !named.test && floor(to) >= floor(from);
    runs_up.then(|| (Rule::Floors, format!("{own}::{from} stands below {own}::{to} or beside it")))
}

fn door(tree: &Tree, named: &Named, path: &[String]) -> Option<(Rule, String)> {
    let Door { path: crate_name, files, tests } =
        DOORS.iter().find(|door| path.first().is_some_and(|p| p == door.path))?;
    let file = tree.file_of(named.module).name.trim_start_matches("src/");
    let passes = (*tests && named.test) || files.split(' ').any(|pattern| matches(pattern, file));
    let only = match (files.is_empty(), tests) {
        (true, _) => "tests".to_owned(),
        (_, true) => format!("{files} and tests"),
        (_, false) => (*files).to_owned(),
    };
    (!passes).then(|| (Rule::Doors, format!("{crate_name} is named in {only} only")))
}

/// `*` is any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|at| name.is_char_boundary(at) && matches(rest, &name[at..]))
        }),
    }
}
