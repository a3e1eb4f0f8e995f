//! What is known of a file that lines are routed to.

use std::path::Path;

use crate::logfile::journal::RouteScope;
use crate::logfile::writer::Piece;

/// A file that lines are routed to.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoutedFile<'a> {
    pub(super) path: &'a Path,
    /// When the period of the file ends, if its path shows a time.
    pub(super) until: Option<i64>,
    pub(super) scope: &'a RouteScope,
}

/// The lines of a range that go to one file.
#[derive(Debug, Clone)]
pub struct RoutedPieces<'a> {
    /// The file.
    pub path: &'a Path,
    /// When the period of the file ends, if its path shows a time.
    pub until: Option<i64>,
    /// Whose records can go there.
    pub scope: &'a RouteScope,
    /// The lines, in order.
    pub pieces: Vec<Piece<'a>>,
}

impl<'a> RoutedPieces<'a> {
    pub(super) fn file(&self) -> RoutedFile<'a> {
        RoutedFile { path: self.path, until: self.until, scope: self.scope }
    }
}
