//! Circles of files: files that name each other's items, directly or around corners. A file that is in one can't be read, or
//! tried, without the others.
//!
//! What a file names is what its `use` lines and paths lead to: the file that has the item, however many modules hand it on
//! (`pub use`). To declare a module, or to hand an item on, names nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module's path below the root of its crate.
type Module = Vec<String>;

/// A `use` of one item, which a path within the file, or others, may begin with.
struct Use {
    is_public: bool,
    path: Vec<String>,
    name: String,
}

struct File {
    path: PathBuf,
    uses: Vec<Use>,
    /// All paths of its code with two names or more.
    paths: Vec<Vec<String>>,
}

/// The files of one crate.
pub struct Files(BTreeMap<Module, File>);

impl Files {
    /// Of the crate's files below its root, with their text; comments and tests are gone.
    pub fn new<'a>(files: impl Iterator<Item = (&'a Path, String)>) -> Self {
        let file = |(path, code): (&Path, String)| {
            let (uses, rest) = uses_of(&code);
            let paths = paths_of(&rest);
            let path = path.to_owned();
            (module(&path), File { path, uses, paths })
        };
        Self(files.map(file).collect())
    }

    /// The circles, each as its files in order.
    pub fn circles(&self) -> BTreeSet<Vec<String>> {
        let named: BTreeMap<&Module, BTreeSet<&Module>> = self
            .0
            .iter()
            .map(|(module, file)| (module, self.named(module, file)))
            .collect();
        let reached: BTreeMap<&Module, BTreeSet<&Module>> = named
            .keys()
            .map(|module| (*module, reached(&named, module)))
            .collect();
        let name = |module: &Module| self.0[module].path.to_str().unwrap().to_owned();
        let circles = reached
            .iter()
            .filter(|(module, all)| all.contains(**module));
        let circle = |(module, all): (&&Module, &BTreeSet<&Module>)| {
            let others = all
                .iter()
                .filter(|other| reached[**other].contains(*module));
            let names: BTreeSet<String> = others.map(|other| name(other)).collect();
            names.into_iter().collect()
        };
        circles.map(circle).collect()
    }

    /// The modules whose files a file names an item of.
    fn named<'a>(&'a self, module: &Module, file: &File) -> BTreeSet<&'a Module> {
        let mut known: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut named = BTreeSet::new();
        for used in &file.uses {
            let Some(path) = self.absolute(module, &used.path) else {
                continue;
            };
            // To bring a module into scope names nothing yet.
            if !used.is_public && !self.0.contains_key(&path) {
                named.extend(self.home(&path));
            }
            known.insert(&used.name, path);
        }
        for path in &file.paths {
            let absolute = match known.get(&*path[0]) {
                Some(known) => Some([known, &path[1..]].concat()),
                None => self.absolute(module, path),
            };
            named.extend(absolute.and_then(|path| self.home(&path)));
        }
        named.remove(module);
        named
    }

    /// A path from the root of the crate, none where it leads out of it.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let supers = path.iter().take_while(|name| *name == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([module, &path[1..]].concat()),
            "super" => {
                let above = module.len().checked_sub(supers)?;
                Some([&module[..above], &path[supers..]].concat())
            }
            child => {
                let child = [module, &[child.to_owned()][..]].concat();
                let is_there = self.0.contains_key(&child);
                is_there.then(|| [module, path].concat())
            }
        }
    }

    /// The module that has the item of a path, for as many `pub use` as it is handed on by.
    fn home(&self, path: &[String]) -> Option<&Module> {
        let mut path = path.to_vec();
        // No item is handed on so often; a circle of `pub use` has none.
        for _ in 0..8 {
            let length = (0..=path.len()).rev();
            let (module, file) = length
                .filter_map(|length| self.0.get_key_value(&path[..length]))
                .next()?;
            let Some((item, rest)) = path[module.len()..].split_first() else {
                return Some(module);
            };
            let mut handed_on = file.uses.iter().filter(|used| used.is_public);
            let next = handed_on
                .find(|used| used.name == *item)
                .and_then(|used| self.absolute(module, &used.path));
            let Some(next) = next else {
                return Some(module);
            };
            path = [&next, rest].concat();
        }
        None
    }
}

fn reached<'a>(
    named: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
    from: &Module,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&Module> = named[from].iter().copied().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(&named[module]);
        }
    }
    reached
}

fn module(path: &Path) -> Module {
    let stem = path.with_extension("");
    let names = stem.components();
    let mut names: Module = names
        .map(|name| name.as_os_str().to_str().unwrap().to_owned())
        .collect();
    if ["mod", "lib", "main"].contains(&&*names[names.len() - 1]) {
        names.pop();
    }
    names
}

/// The `use` lines, and the code without them.
fn uses_of(code: &str) -> (Vec<Use>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let words = line.trim_start();
        let visible = words.strip_prefix("pub").map(|words| {
            let words = words.trim_start();
            let inner = words.strip_prefix('(');
            inner.map_or(words, |inner| inner.split_once(')').unwrap().1.trim_start())
        });
        let Some(tree) = visible.unwrap_or(words).strip_prefix("use ") else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().unwrap());
        }
        let tree = tree.split(';').next().unwrap();
        expand(tree, &[], visible.is_some(), &mut uses);
    }
    (uses, rest)
}

/// Each item of a tree of `use`.
fn expand(tree: &str, prefix: &[String], is_public: bool, uses: &mut Vec<Use>) {
    let names = |path: &str| -> Vec<String> {
        let names = path.split("::").map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    for item in super::top_level(&format!("{tree}}}")) {
        if let Some((head, inner)) = item.split_once('{') {
            let inner = inner.trim_end().strip_suffix('}').unwrap();
            let prefix = [prefix, &names(head)].concat();
            expand(inner, &prefix, is_public, uses);
            continue;
        }
        let (path, alias) = item.split_once(" as ").unwrap_or((item, ""));
        let mut path = [prefix, &names(path)].concat();
        if path.len() > 1 && path.ends_with(&["self".to_owned()]) {
            path.pop();
        }
        let Some(last) = path.last().cloned() else {
            continue;
        };
        let alias = alias.trim();
        uses.push(Use {
            is_public,
            name: if alias.is_empty() {
                last
            } else {
                alias.to_owned()
            },
            path,
        });
    }
}

/// The paths of two names or more that code has, outside of quotes.
fn paths_of(code: &str) -> Vec<Vec<String>> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut paths = Vec::new();
    for line in code.lines() {
        let mut is_quoted = false;
        let outside: String = line
            .split('"')
            .filter(|_| {
                is_quoted = !is_quoted;
                is_quoted
            })
            .collect::<Vec<_>>()
            .join(" ");
        for run in outside.split(|character| !is_word(character) && character != ':') {
            let names: Vec<String> = run.split("::").map(str::to_owned).collect();
            if names.len() > 1 && names.iter().all(|name| name.chars().all(is_word)) {
                let names = names.into_iter().filter(|name| !name.is_empty());
                paths.push(names.collect());
            }
        }
    }
    paths.retain(|path: &Vec<String>| path.len() > 1);
    paths
}

#[test]
fn a_circle_is_found_around_corners_and_through_what_is_handed_on() {
    let check = |files: &[(&str, &str)], expected: &[&[&str]]| {
        let given = files
            .iter()
            .map(|(path, text)| (Path::new(*path), (*text).to_owned()));
        let circles = Files::new(given).circles();
        let expected: BTreeSet<Vec<String>> = expected
            .iter()
            .map(|circle| circle.iter().map(|path| (*path).to_owned()).collect())
            .collect();
        assert_eq!(circles, expected, "{files:?}");
    };
    let shared = (
        "a/mod.rs",
        "mod b;\nmod c;\npub use b::B;\npub use c::{C, D as E};\n",
    );
    // Handed on by the module above is not in it.
    check(&[shared, ("a/b.rs", ""), ("a/c.rs", "use super::B;")], &[]);
    check(
        &[
            shared,
            ("a/b.rs", "use super::{E,\n    other};"),
            ("a/c.rs", "fn f() { super::b::new(); }"),
        ],
        &[&["a/b.rs", "a/c.rs"]],
    );
    // The module above says something itself, and uses what is below it.
    check(
        &[
            ("a/mod.rs", "mod b;\nuse b::B;\nstruct Own;"),
            ("a/b.rs", "use crate::a::Own;"),
        ],
        &[&["a/b.rs", "a/mod.rs"]],
    );
    check(
        &[
            ("a/mod.rs", "mod b;\nfn f() { b::B::new() }"),
            ("a/b.rs", "use super::super::d;\nconst X: d::D;"),
            ("d.rs", "use crate::a;\nfn g() { a::f() }"),
        ],
        &[&["a/b.rs", "a/mod.rs", "d.rs"]],
    );
    // Nobody's path, a text, and a module that is only brought into scope.
    check(
        &[
            (
                "x.rs",
                "use std::y;\nconst T: &str = \"crate::y::Y\";\nuse crate::y;",
            ),
            ("y.rs", "use crate::x::X;"),
        ],
        &[],
    );
}
