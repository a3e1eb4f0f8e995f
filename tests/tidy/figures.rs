//! Figures of a tree, printed by scripts/measure.

use std::path::{Path, PathBuf};

use crate::graph;
use crate::judge::{NO_ROW, judge, types_by_name};
use crate::rules::Rule;
use crate::tree::Tree;

/// The figures, each with its name.
pub fn figures(top: &Path) -> Vec<(String, String)> {
    let tree = Tree::read(top);
    let mut rows = Vec::new();
    let mut row = |what: &str, figure: String| rows.push((what.to_owned(), figure));

    let (tests, code): (Vec<_>, Vec<_>) = tree.source_files().into_iter().partition(|(_, test)| *test);
    let mut lines: Vec<usize> = code.iter().map(|(file, _)| tree.files[*file].text.lines().count()).collect();
    lines.sort_unstable();
    row("files of src, without those of tests", code.len().to_string());
    row("files of tests in src", tests.len().to_string());
    row("lines of the median file", lines.get(lines.len() / 2).copied().unwrap_or(0).to_string());
    row("lines of the largest file", lines.last().copied().unwrap_or(0).to_string());

    let functions: Vec<usize> = tree
        .functions
        .iter()
        .filter(|function| !function.test && tree.is_in_src(function.module))
        .map(|function| function.lines)
        .collect();
    row("functions", functions.len().to_string());
    for most in [50, 70] {
        let over = functions.iter().filter(|lines| **lines > most).count();
        row(&format!("functions over {most} lines"), over.to_string());
    }

    let breaches = judge(&tree);
    let count = |rule| breaches.iter().filter(|breach| breach.rule == rule).count().to_string();
    row("imports that run up between modules of src", count(Rule::Modules));
    // A tree that is older than the floors has no such rule.
    let no_floors =
        breaches.iter().any(|breach| breach.rule == Rule::Floors && breach.text.ends_with(NO_ROW));
    row("imports that run up between floors", if no_floors { "-".to_owned() } else { count(Rule::Floors) });
    let circles = graph::circles(&tree);
    row("circles of files", circles.len().to_string());
    row("files in circles", circles.iter().map(Vec::len).sum::<usize>().to_string());

    let types = types_by_name(&tree);
    row("type names", types.len().to_string());
    let shared = types.values().filter(|places| places.len() > 1).count();
    row("type names with two meanings", shared.to_string());

    let (all, comments) = code
        .iter()
        .map(|(file, _)| tree.files[*file].code_and_comment_lines())
        .fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    row("comment lines among those of src", format!("{:.1} %", 100.0 * comments as f64 / all.max(1) as f64));
    documents(top, &mut row);
    rows
}

/// Words of the Markdown files at the top and in docs.
fn documents(top: &Path, row: &mut impl FnMut(&str, String)) {
    let mut files = Vec::new();
    markdown(top, &mut files);
    markdown_below(&top.join("docs"), &mut files);
    let words = |file: &Path| std::fs::read_to_string(file).unwrap().split_whitespace().count();
    let is_report = |file: &Path| file.file_name().is_some_and(|name| name.eq_ignore_ascii_case("tested.md"));
    let written: Vec<usize> = files.iter().filter(|file| !is_report(file)).map(|file| words(file)).collect();
    row("words of README.md", words(&top.join("README.md")).to_string());
    row("documents, without that of what was tested", written.len().to_string());
    row("words of them all", written.iter().sum::<usize>().to_string());
    row("words of the longest", written.iter().max().copied().unwrap_or(0).to_string());
}

fn markdown_below(folder: &Path, files: &mut Vec<PathBuf>) {
    if folder.is_dir() {
        markdown(folder, files);
        for entry in folder.read_dir().unwrap() {
            markdown_below(&entry.unwrap().path(), files);
        }
    }
}

fn markdown(folder: &Path, files: &mut Vec<PathBuf>) {
    let found = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    files.extend(found.filter(|path| path.extension().is_some_and(|end| end == "md")));
}
