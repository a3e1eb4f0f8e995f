//! docs/operations.md against the sources, without servers: every line that pandad can log as
//! WARN or ERROR has a row in the table under *Log lines*, and every row has such a line.
//!
//! The texts are the format strings of `log::warn!` and `log::error!`, the subjects of outages,
//! and the texts given to the methods in `METHODS`. A row shows the whole line after the name
//! of the job; what changes from line to line stands there in capitals.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test that is how a fault is shown"
)]
#![allow(dead_code, reason = "the tree and its reader are those of tests/tidy")]

#[path = "tidy/reader.rs"]
mod reader;
#[path = "tidy/tree.rs"]
mod tree;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use tree::Tree;

const TABLE: &str = "docs/operations.md";
const HEADING: &str = "## Log lines";
/// What is said of the configuration begins with a file and a line, and is shown by `-t` too.
const CONFIGURATION: &str = "src/config/";
/// Methods whose first text is logged as a warning or an error, or as a part of one.
const METHODS: [&str; 5] = ["down", "warn", "error", "deny", "log_flags_once"];
/// The part of a row's letters, in percent, that must stand in its source line.
const COVERED_PERCENT_MIN: usize = 50;

/// A text of the sources that becomes a log line, or a part of one.
struct Source {
    /// File and line.
    at: String,
    text: String,
}

impl Source {
    /// The parts that are the same in every line, without the job's name.
    fn fragments(&self) -> Vec<String> {
        let mut fragments = vec![String::new()];
        let mut characters = self.text.chars().peekable();
        while let Some(character) = characters.next() {
            let doubled = characters.peek() == Some(&character);
            if character == '{' && !doubled {
                characters.by_ref().find(|character| *character == '}');
                fragments.push(String::new());
                continue;
            }
            if matches!(character, '{' | '}') && doubled {
                characters.next();
            }
            fragments.last_mut().unwrap().push(character);
        }
        if fragments.len() > 1 && fragments[0].is_empty() && fragments[1].starts_with(": ") {
            fragments[1] = fragments[1].split_off(2);
        }
        fragments
    }

    fn letters(&self) -> usize {
        self.fragments().iter().map(|fragment| letters(fragment)).sum()
    }

    /// Whether the row shows this text: all its parts, in their order.
    fn is_in(&self, row: &str) -> bool {
        let mut rest = row;
        self.fragments().iter().all(|fragment| match rest.find(fragment.trim()) {
            Some(at) => {
                rest = &rest[at + fragment.trim().len()..];
                true
            }
            None => false,
        })
    }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|character| character.is_alphabetic()).count()
}

/// The letters of a row without its words in capitals, which stand for values.
fn letters_of_row(row: &str) -> usize {
    let words = row.split(|character: char| !character.is_alphanumeric());
    words.filter(|word| word.chars().any(char::is_lowercase)).map(letters).sum()
}

/// Collects the texts of one file.
struct Collector<'a> {
    file: &'a str,
    found: Vec<Source>,
    /// The texts of the function's variables, by name; the last one of a name is the nearest.
    variables: HashMap<String, String>,
}

impl Collector<'_> {
    /// Log lines inside another macro, such as `select!`, which nobody parses before that does.
    fn tokens(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            let TokenTree::Group(group) = token else { continue };
            let before: String = tokens[at.saturating_sub(5)..at].iter().map(ToString::to_string).collect();
            if before == "log::warn!" || before == "log::error!" {
                let text = first_literal(group.stream());
                self.add(group.span().start().line, text.unwrap());
            }
            self.tokens(group.stream());
        }
    }

    fn add(&mut self, line: usize, mut text: String) {
        for (name, value) in &self.variables {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        self.found.push(Source { at: format!("{}:{line}", self.file), text });
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // Unit tests.
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let outer = self.variables.clone();
        visit::visit_block(self, block);
        self.variables = outer;
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let path: Vec<String> = item.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path == ["log", "warn"] || path == ["log", "error"] {
            let text = first_literal(item.tokens.clone());
            self.add(item.path.span().start().line, text.unwrap());
        } else {
            self.tokens(item.tokens.clone());
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func
            && let [.., of, new] = &path.path.segments.iter().collect::<Vec<_>>()[..]
            && of.ident == "Outage"
            && new.ident == "new"
            && let Some(subject) = literal_in(&call.args)
        {
            self.add(call.span().start().line, format!("{subject}: {{why}}; waiting"));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(value)) = (&local.pat, &local.init)
            && let Some(text) = text_of(&value.expr)
        {
            self.variables.insert(name.ident.to_string(), text);
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if METHODS.iter().any(|method| call.method == method) {
            let variable =
                || call.args.iter().find_map(|argument| self.variables.get(&name_of(argument)?).cloned());
            if let Some(text) = literal_in(&call.args).or_else(variable) {
                self.add(call.method.span().start().line, text);
            }
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// The name of a variable, or of one that is borrowed.
fn name_of(expression: &syn::Expr) -> Option<String> {
    match expression {
        syn::Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        syn::Expr::Reference(reference) => name_of(&reference.expr),
        _ => None,
    }
}

/// A text, or what `format!` makes of one.
fn text_of(expression: &syn::Expr) -> Option<String> {
    match expression {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        syn::Expr::Macro(format) if format.mac.path.is_ident("format") => {
            first_literal(format.mac.tokens.clone())
        }
        _ => None,
    }
}

/// The first text among the arguments, which may stand inside `format!`.
fn literal_in(arguments: &syn::punctuated::Punctuated<syn::Expr, syn::Token![,]>) -> Option<String> {
    struct Finder(Option<String>);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
            self.0.get_or_insert_with(|| text.value());
        }
        fn visit_macro(&mut self, item: &'ast syn::Macro) {
            self.0 = self.0.take().or_else(|| first_literal(item.tokens.clone()));
        }
    }
    let mut finder = Finder(None);
    arguments.iter().for_each(|argument| finder.visit_expr(argument));
    finder.0
}

fn first_literal(tokens: TokenStream) -> Option<String> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Literal(literal) => {
            syn::parse_str::<syn::LitStr>(&literal.to_string()).ok().map(|text| text.value())
        }
        _ => None,
    })
}

fn collect(file: &str, text: &str) -> Vec<Source> {
    let mut collector = Collector { file, found: Vec::new(), variables: HashMap::new() };
    collector.visit_file(&syn::parse_file(text).unwrap());
    collector.found
}

/// Every text of src that is not for tests.
fn sources(top: &Path) -> Vec<Source> {
    let tree = Tree::read(top);
    let mut sources = Vec::new();
    for (id, _) in tree.source_files().into_iter().filter(|(_, test)| !test) {
        let file = &tree.files[id];
        if !file.name.starts_with(CONFIGURATION) {
            sources.append(&mut collect(&file.name, &file.text));
        }
    }
    sources
}

/// The first cells of the table's rows, without the marks of code.
fn rows(document: &str) -> Vec<String> {
    let (_, section) = document.split_once(&format!("\n{HEADING}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `"));
    cells
        .map(|line| {
            line.split_once("` |").unwrap_or_else(|| panic!("not a row: {line}")).0.replace("\\|", "|")
        })
        .collect()
}

#[test]
fn every_warning_and_error_has_its_row() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (sources, rows) = (sources(top), rows(&fs::read_to_string(top.join(TABLE)).unwrap()));
    let mut faults = Vec::new();
    for source in &sources {
        if !rows.iter().any(|row| source.is_in(row)) {
            faults.push(format!("{}: no row for: {}", source.at, source.text));
        }
    }
    for row in &rows {
        let needed = letters_of_row(row) * COVERED_PERCENT_MIN / 100;
        if !sources.iter().any(|source| source.is_in(row) && source.letters() >= needed.max(1)) {
            faults.push(format!("{TABLE}: no line of src for the row: {row}"));
        }
    }
    assert!(faults.is_empty(), "{} faults in {TABLE}, {HEADING}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_text_is_found_in_its_row() {
    let source = |text: &str| Source { at: String::new(), text: text.to_owned() };
    let row = "PARTITION: N records from offset A to B were deleted; going on at {C}";
    assert!(
        source("{NAME}: {}: {lost} records from offset {} to {} were deleted; going on at {{{}}}").is_in(row)
    );
    assert!(!source("{NAME}: {}: {lost} records from offset {} to {} were lost").is_in(row));
    assert!(!source("{NAME}: going on at {}, {lost} records from offset {}").is_in(row), "not in this order");
    assert_eq!(source("{NAME}: a {b} c {{d}}").fragments(), ["", "a ", " c {d}"]);
    assert_eq!(letters_of_row("PARTITION: N records of R2D"), "recordsof".len());
}

#[test]
fn texts_are_found_wherever_they_stand() {
    let code = r#"
        fn f() {
            log::info!("not this");
            select! { recv(a) -> _ => log::warn!("one {}", 1), default(b) => { log::error!("two"); } }
            let outage = Outage::new(format!("{job}: three"));
            let what = "four";
            let why = format!("{what} {}", 4);
            outage.down(now, &why);
            before.warn(path, Finding::Cut, "five");
        }
        fn g() { log::error!("six {what}"); }
        mod tests { fn g() { log::warn!("not this"); } }
    "#;
    let found: Vec<String> = collect("f.rs", code).into_iter().map(|source| source.text).collect();
    assert_eq!(found, ["one {}", "two", "{job}: three: {why}; waiting", "four {}", "five", "six {what}"]);
}
