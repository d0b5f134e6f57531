//! Finds which modules of a crate use which, from the source text: `use` declarations, including lists, and
//! paths in the code. Tests are left out. Using a re-export counts as using the defining module.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module's path from its crate's root.
pub(crate) type Module = Vec<String>;

/// A path, and the name by which a `use` declaration makes it known.
type Import = (Vec<String>, String);

/// Re-exports that are followed to find where something is defined.
const DEEPEST: u8 = 8;

/// The modules of one crate.
pub(crate) struct Modules {
    texts: BTreeMap<Module, String>,
    imports: BTreeMap<Module, Vec<Import>>,
    paths: BTreeMap<Module, Vec<Vec<String>>>,
}

impl Modules {
    /// Those in a crate's source files, without `main.rs`.
    pub(crate) fn read(source: &Path, files: &[PathBuf]) -> Modules {
        let texts = files.iter().filter_map(|file| {
            let path = file.strip_prefix(source).unwrap().with_extension("");
            let mut module: Module = path
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .filter(|part| part != "lib")
                .collect();
            module.retain(|part| part != "mod");
            let is_product =
                module != ["main"] && !module.iter().any(|part| part == "tests" || part == "bin");
            is_product.then(|| (module, std::fs::read_to_string(file).unwrap()))
        });
        Modules::new(texts)
    }

    fn new(texts: impl IntoIterator<Item = (Module, String)>) -> Modules {
        let mut modules =
            Modules { texts: BTreeMap::new(), imports: BTreeMap::new(), paths: BTreeMap::new() };
        for (module, text) in texts {
            let (imports, paths) = names(&tokens(&text));
            modules.imports.insert(module.clone(), imports);
            modules.paths.insert(module.clone(), paths);
            modules.texts.insert(module, text);
        }
        assert!(!modules.texts.is_empty(), "no modules");
        modules
    }

    /// Every module and its text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&Module, &String)> {
        self.texts.iter()
    }

    /// Every module and another one that it uses.
    pub(crate) fn uses(&self) -> BTreeSet<(Module, Module)> {
        let mut uses = BTreeSet::new();
        for module in self.texts.keys() {
            let imported = self.imports[module].iter().map(|(path, _)| path);
            for path in imported.chain(&self.paths[module]) {
                if let Some(used) = self.resolve(module, path, 0).filter(|used| used != module) {
                    uses.insert((module.clone(), used));
                }
            }
        }
        uses
    }

    /// Circular uses among sibling modules, as text. For others, a module and its children count as one;
    /// among themselves, the children may use what the parent defines.
    pub(crate) fn circles(&self) -> Vec<String> {
        let mut siblings: BTreeMap<(Module, Module), BTreeSet<Module>> = BTreeMap::new();
        for (user, used) in self.uses() {
            let common = user.iter().zip(&used).take_while(|(one, other)| one == other).count();
            if let (Some(one), Some(other)) = (user.get(..=common), used.get(..=common)) {
                siblings.entry((one.to_owned(), other.to_owned())).or_default().insert(user);
            }
        }
        let mut reached: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
        for (one, _) in siblings.keys() {
            let mut found = BTreeSet::new();
            let mut next = vec![one];
            while let Some(from) = next.pop() {
                let used = siblings.keys().filter(|(user, _)| user == from).map(|(_, used)| used);
                next.extend(used.filter(|used| found.insert(*used)));
            }
            reached.insert(one, found);
        }
        let is_back = |one, other| reached.get(other).is_some_and(|found| found.contains(one));
        let circles = siblings.iter().filter(|((one, other), _)| is_back(one, other));
        let words = circles.map(|((one, other), by)| {
            let by: Vec<_> = by.iter().map(|user| user.join("::")).collect();
            format!("{} uses {} (in {})", one.join("::"), other.join("::"), by.join(", "))
        });
        words.collect()
    }

    /// The module that defines what a path leads to, if that is one of this crate.
    fn resolve(&self, from: &[String], path: &[String], depth: u8) -> Option<Module> {
        let mut module = from.to_owned();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (module, rest) = (Module::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while let Some(("super", outer)) =
                    rest.split_first().map(|(first, rest)| (first.as_str(), rest))
                {
                    module.pop();
                    rest = outer;
                }
            }
            first => {
                module.push(first.to_owned());
                self.texts.get(&module)?;
                rest = &path[1..];
            }
        }
        while let Some((name, further)) = rest.split_first() {
            let mut inner = module.clone();
            inner.push(name.clone());
            if !self.texts.contains_key(&inner) {
                // A program without a library has no root here.
                let imports = self.imports.get(&module).into_iter().flatten();
                let mut known = imports.filter(|(_, known)| known == name && depth < DEEPEST);
                let elsewhere = known.find_map(|(path, _)| self.resolve(&module, path, depth + 1));
                return Some(elsewhere.unwrap_or(module));
            }
            (module, rest) = (inner, further);
        }
        Some(module)
    }
}

/// Names, `::`, and every other character that is no space, without comments and literals.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_name = |char: char| char.is_alphanumeric() || char == '_';
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = hashes + 2;
            rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
        } else if first == '"' {
            string(rest)
        } else if first == '\'' {
            // A character's literal, or else a lifetime.
            let mut chars = rest[1..].char_indices();
            let (begin, char) = chars.next().unwrap_or_default();
            let end = if char == '\\' {
                rest[3..].find('\'').map(|at| at + 3)
            } else {
                Some(begin + 1 + char.len_utf8())
            };
            end.filter(|end| rest[*end..].starts_with('\'')).map_or(1, |end| end + 1)
        } else if is_name(first) {
            let length = rest.find(|char| !is_name(char)).unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The number of hashes of a raw string that begins here.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// What `use` declarations make known, and the paths elsewhere.
fn names(tokens: &[String]) -> (Vec<Import>, Vec<Vec<String>>) {
    let (mut imports, mut paths) = (Vec::new(), Vec::new());
    let mut rest = tokens;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        // Not `use<'a>`, which says what an opaque type captures.
        if first == "use" && behind.first().is_some_and(|next| next != "<") {
            rest = tree(behind, &[], &mut imports);
        } else if first.starts_with(|char: char| char.is_alphabetic()) {
            let mut path = vec![first.clone()];
            while let [colons, name, behind @ ..] = rest
                && colons == "::"
                && name.starts_with(|char: char| char.is_alphabetic())
            {
                path.push(name.clone());
                rest = behind;
            }
            if path.len() > 1 {
                paths.push(path);
            }
        } else if first == "::" {
            // The rest of a path that begins with a type or with another crate.
            rest = behind.get(1..).unwrap_or_default();
        }
    }
    (imports, paths)
}

/// Takes one tree of a `use` declaration; returns what is behind it.
fn tree<'t>(tokens: &'t [String], prefix: &[String], imports: &mut Vec<Import>) -> &'t [String] {
    let mut path = prefix.to_owned();
    let mut rest = tokens;
    while let Some((first, behind)) = rest.split_first() {
        match first.as_str() {
            "::" => rest = behind,
            "{" => {
                rest = behind;
                while let Some(next) = rest.first().filter(|next| *next != "}") {
                    rest = if next == "," { &rest[1..] } else { tree(rest, &path, imports) };
                }
                return rest.get(1..).unwrap_or_default();
            }
            "as" => {
                let name = behind.first().cloned().unwrap_or_default();
                imports.push((path, name));
                return behind.get(1..).unwrap_or_default();
            }
            "," | "}" | ";" => break,
            // A list's own module.
            "self" if !path.is_empty() && path.iter().any(|part| part != "super") => rest = behind,
            _ => {
                path.push(first.clone());
                rest = behind;
            }
        }
    }
    let name = path.last().cloned().unwrap_or_default();
    imports.push((path, name));
    rest
}

/// A crate of these modules.
fn made(texts: &[(&str, &str)]) -> Modules {
    let module = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    Modules::new(texts.iter().map(|(name, text)| (module(name), (*text).to_owned())))
}

#[test]
fn circles_are_found_however_they_are_written() {
    let root = ("", "pub mod a; pub mod b; pub use b::inner::Thing;");
    for one in [
        "use crate::b;",
        "use crate::b::Other;",
        "use crate::{\n    c, // with a comment\n    b::{self, Other as Another},\n};",
        "use crate::Thing;",
        "use super::{c::X, b::inner::{Thing}};",
        "fn f() -> crate::b::Other { \"//\"; 'x'; todo() }",
        "fn f<'a>(x: &'a str) -> impl Sized + use<'a> { super::b::g(); }",
    ] {
        for back in ["use crate::a::A;", "use super::super::a::{self};", "fn g() { crate::a::f() }"] {
            let crates = made(&[root, ("a", one), ("b", "pub mod inner;"), ("b::inner", back), ("c", "")]);
            assert_eq!(crates.circles().len(), 2, "{one} and {back}: {:?}", crates.circles());
        }
        let one_way = made(&[root, ("a", one), ("b", "pub mod inner;"), ("b::inner", ""), ("c", "")]);
        assert_eq!(one_way.circles(), Vec::<String>::new(), "{one}");
    }
}

#[test]
fn longer_circles_are_found_and_comments_texts_and_nested_modules_are_none() {
    let long = made(&[("", ""), ("a", "use super::b;"), ("b", "use super::c;"), ("c", "use super::a;")]);
    assert_eq!(long.circles().len(), 3);
    let none = [
        ("", ""),
        (
            "a",
            "//! use crate::b;\nuse self::part::X; const T: &str = \"crate::b\"; const R: &str = r#\"\"crate::b\"#;",
        ),
        ("a::part", "use super::Y;"),
        ("b", "use crate::a;"),
    ];
    assert_eq!(made(&none).circles(), Vec::<String>::new());
}
