//! Reads one crate into the [`Tree`]: from its root file along the `mod` declarations.

use std::collections::{BTreeSet, HashMap};

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, Token, UseTree, Visibility};

use crate::tree::{Declared, FileId, InlineTests, Module, ModuleId, Named, Tree};

pub fn read_crate(tree: &mut Tree, file: FileId) -> ModuleId {
    let root = add_module(tree, file, None, None, false);
    let folder = folder_of(&tree.files[file].name);
    read_file(tree, file, root, folder, false);
    root
}

/// `folder` is where the files of the module's children are.
fn read_file(tree: &mut Tree, file: FileId, module: ModuleId, folder: String, test: bool) {
    tree.reached.insert(file);
    match syn::parse_file(&tree.files[file].text) {
        Ok(parsed) => {
            let mut reader = Reader { tree, file, module, folder, test, gives_on: false };
            reader.visit_file(&parsed);
        }
        Err(error) => tree.unreadable.push((file, error.span().start().line, error.to_string())),
    }
}

fn add_module(
    tree: &mut Tree,
    file: FileId,
    parent: Option<ModuleId>,
    name: Option<&str>,
    test: bool,
) -> ModuleId {
    let mut path = parent.map_or_else(Vec::new, |parent| tree.modules[parent].path.clone());
    path.extend(name.map(str::to_owned));
    let id = tree.modules.len();
    let (children, items, uses, globs) = (HashMap::new(), BTreeSet::new(), HashMap::new(), Vec::new());
    tree.modules.push(Module { file, parent, path, test, children, items, uses, globs });
    if let (Some(parent), Some(name)) = (parent, name) {
        tree.modules[parent].children.insert(name.to_owned(), id);
    }
    id
}

fn folder_of(file: &str) -> String {
    file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned()
}

struct Reader<'a> {
    tree: &'a mut Tree,
    file: FileId,
    module: ModuleId,
    folder: String,
    test: bool,
    gives_on: bool,
}

impl Reader<'_> {
    fn named(&mut self, segments: Vec<String>, line: usize) {
        let (module, test, gives_on) = (self.module, self.test, self.gives_on);
        self.tree.named.push(Named { module, line, segments, test, gives_on });
    }

    fn declared_type(&mut self, name: &syn::Ident) {
        let (module, line, test) = (self.module, name.span().start().line, self.test);
        self.tree.types.push(Declared { module, name: name.to_string(), line, lines: 1, test });
    }

    fn function(&mut self, signature: &syn::Signature, end: usize) {
        let (module, line, test) = (self.module, signature.span().start().line, self.test);
        let name = signature.ident.to_string();
        self.tree.functions.push(Declared { module, name, line, lines: end + 1 - line, test });
    }

    /// Runs `inside` as test code if one of the attributes says so.
    fn within(&mut self, attributes: &[Attribute], inside: impl FnOnce(&mut Self)) {
        let before = self.test;
        self.test |= attributes.iter().any(is_for_tests);
        inside(self);
        self.test = before;
    }

    fn inline_module(&mut self, item: &syn::ItemMod, items: &[Item]) {
        let name = item.ident.to_string();
        let module = add_module(self.tree, self.file, Some(self.module), Some(&name), self.test);
        let (start, end) = (item.span().start().line, item.span().end().line);
        if self.test && !self.tree.modules[self.module].test {
            self.tree.inline_tests.push(InlineTests { file: self.file, line: start, lines: end + 1 - start });
        }
        let folder = format!("{}/{name}", self.folder);
        let outer = (self.module, std::mem::replace(&mut self.folder, folder));
        self.module = module;
        for item in items {
            self.visit_item(item);
        }
        (self.module, self.folder) = outer;
    }

    fn file_module(&mut self, item: &syn::ItemMod) {
        let name = item.ident.to_string();
        let candidates = match path_attribute(&item.attrs) {
            Some(path) => vec![format!("{}/{path}", folder_of(&self.tree.files[self.file].name))],
            None => vec![format!("{}/{name}.rs", self.folder), format!("{}/{name}/mod.rs", self.folder)],
        };
        let Some(file) = candidates.iter().find_map(|candidate| self.tree.find(candidate)) else { return };
        let at = self.tree.files[file].name.clone();
        let folder = match at.strip_suffix("/mod.rs") {
            Some(folder) => folder.to_owned(),
            None => at.trim_end_matches(".rs").to_owned(),
        };
        let module = add_module(self.tree, file, Some(self.module), Some(&name), self.test);
        read_file(self.tree, file, module, folder, self.test);
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String]) {
        let joined = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.use_tree(&path.tree, &joined(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(tree, prefix)),
            UseTree::Glob(glob) => {
                self.tree.modules[self.module].globs.push(prefix.to_vec());
                self.named(prefix.to_vec(), glob.span().start().line);
            }
            UseTree::Name(name) if name.ident == "self" => {
                let alias = prefix.last().cloned().unwrap_or_default();
                self.use_leaf(prefix.to_vec(), alias, name.span().start().line);
            }
            UseTree::Name(name) => {
                self.use_leaf(
                    joined(name.ident.to_string()),
                    name.ident.to_string(),
                    name.span().start().line,
                );
            }
            UseTree::Rename(rename) => {
                let path = match rename.ident == "self" {
                    true => prefix.to_vec(),
                    false => joined(rename.ident.to_string()),
                };
                self.use_leaf(path, rename.rename.to_string(), rename.span().start().line);
            }
        }
    }

    fn use_leaf(&mut self, path: Vec<String>, alias: String, line: usize) {
        self.tree.modules[self.module].uses.entry(alias).or_insert_with(|| path.clone());
        self.named(path, line);
    }

    /// Paths inside a macro's brackets, which are not parsed before the macro is expanded.
    fn tokens(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if let TokenTree::Group(group) = &tokens[at] {
                self.tokens(group.stream());
            }
            let (path, next) = path_at(&tokens, at);
            if path.len() > 1 {
                self.named(path, tokens[at].span().start().line);
            }
            at = next.max(at + 1);
        }
    }
}

/// The path that begins at a token, and where it ends.
fn path_at(tokens: &[TokenTree], mut at: usize) -> (Vec<String>, usize) {
    let is_colon = |at: usize, spacing: Option<Spacing>| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) => {
            punct.as_char() == ':' && spacing.is_none_or(|s| s == punct.spacing())
        }
        _ => false,
    };
    let is_separator = |at: usize| is_colon(at, Some(Spacing::Joint)) && is_colon(at + 1, None);
    let mut path = Vec::new();
    if is_separator(at) {
        path.push(String::new());
        at += 2;
    }
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        path.push(name.to_string());
        at += 1;
        if !is_separator(at) {
            break;
        }
        at += 2;
    }
    (path, at)
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = described(item);
        self.within(attributes, |reader| {
            if let Some(name) = name {
                reader.tree.modules[reader.module].items.insert(name.to_string());
            }
            if let (Some(name), Item::Enum(_) | Item::Struct(_) | Item::Trait(_)) = (name, item) {
                reader.declared_type(name);
            }
            visit::visit_item(reader, item);
        });
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        match &item.content {
            Some((_, items)) => self.inline_module(item, items),
            None => self.file_module(item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.gives_on = !matches!(item.vis, Visibility::Inherited);
        let prefix = item.leading_colon.map(|_| String::new());
        self.use_tree(&item.tree, prefix.as_slice());
        self.gives_on = false;
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.named(vec![String::new(), item.ident.to_string()], item.span().start().line);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, item.block.span().end().line);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.within(&item.attrs, |reader| {
            reader.function(&item.sig, item.block.span().end().line);
            visit::visit_impl_item_fn(reader, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block.span().end().line);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments: Vec<String> = path.leading_colon.map(|_| String::new()).into_iter().collect();
        segments.extend(path.segments.iter().map(|segment| segment.ident.to_string()));
        if segments.len() > 1 {
            self.named(segments, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(in path)` says where the item is visible; the item needs nothing from the path.
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        self.tokens(item.tokens.clone());
    }
}

/// Whether the attribute is `#[test]`, `#[cfg(test)]` or `#[cfg(all(test, …))]`: the item is only for
/// tests.
fn is_for_tests(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.parse_args().is_ok_and(|meta| demands_test(&meta))
        }
        meta => demands_test(meta),
    }
}

fn demands_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .is_ok_and(|all| all.iter().any(demands_test)),
        _ => false,
    }
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find(|attribute| attribute.path().is_ident("path")).and_then(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &pair.value else { return None };
        Some(path.value())
    })
}

/// An item's attributes, and its name in the module. Items with neither are left out.
fn described(item: &Item) -> (&[Attribute], Option<&syn::Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, None),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}
