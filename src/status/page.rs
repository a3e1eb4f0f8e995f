//! The page `/`: one document that brings its style and script with it, and asks `/status.json` every two
//! seconds.

/// The document.
pub(super) const PAGE: &str = include_str!("page.html");

#[cfg(test)]
mod tests;
