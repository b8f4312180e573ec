//! The gate of the contract: a change of `wit/` raises its version, breaks no built plugin, and fits every language.
//! The rules are in `wit/README.md`; what fails here says which and what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wit_parser::{PackageId, Resolve, Type, TypeDefKind, WorldKey};

/// Releases are history: what each held, so that none is changed after the fact.
const RELEASES: [(&str, &str); 3] = [
    ("0.1.0", "4af873c8a4a68ada71650236ec9af907e67599c69f7e65da7d4e8ce267255171"),
    ("0.1.1", "58f79c5aa87b9c015bf190c5e2ffb010a4ef0623d925078a3e920c39385decfa"),
    ("0.1.2", "44c00a5f621efe1bd8e441502791f98acf191635f6fad172c8a10a53c0f211e6"),
];

/// Words that one of Rust, C, C++, Zig, Go, JavaScript and Python reserves and that a WIT name could be.
/// `range`, `delete` and `error` pass as methods and cases: there a generator always prefixes or capitalises them.
const RESERVED: &str = "abstract alignas alignof and anyframe anytype as assert async auto await become bool box break case \
    catch chan char class comptime const continue crate debugger def default defer del delete do double dyn elif else enum \
    errdefer error except explicit export extends extern fallthrough false final finally float fn for from func function \
    global go goto if impl implements import in inline instanceof int interface is lambda let linksection long loop macro \
    map match mod move mut mutable namespace new noalias none nonlocal noinline not nosuspend null operator opaque or \
    orelse override package packed pass priv private protected pub public raise range ref register resume return select \
    self short signed sizeof static struct super suspend switch template test this threadlocal throw trait true try type \
    typedef typeof undefined union unreachable unsafe unsigned unsized use using var virtual void volatile while with \
    xor yield";

#[test]
fn the_contract_fits_its_releases_and_every_language() {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    assert_eq!(gate(&wit), Vec::<String>::new());
}

#[test]
fn no_release_was_changed_after_the_fact() {
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/released");
    for (version, digest) in RELEASES {
        let found = digest_of(&files(&released.join(version)));
        assert_eq!(
            found, digest,
            "wit/released/{version} is history: take the change back, and make it in wit/ under a new version"
        );
    }
    let kept = fs::read_dir(&released).unwrap().count();
    assert_eq!(kept, RELEASES.len(), "add the new release and its digest to RELEASES in {}", file!());
}

#[test]
fn each_release_takes_the_plugins_of_the_one_before() {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    for pair in RELEASES.windows(2) {
        let mut resolve = Resolve::default();
        let (later, _) = resolve.push_dir(wit.join("released").join(pair[1].0)).unwrap();
        assert_eq!(breaks(&wit, resolve, later, pair[0].0), Vec::<String>::new());
    }
}

#[test]
fn a_change_that_keeps_the_version_is_refused() {
    let changed = planted("types.wit", "count: u32,", "count: u64,");
    assert_eq!(
        gate(changed.path()),
        ["wit/types.wit differs from wit/released/0.1.2/types.wit under the same version: \
        raise the version in every `package` line of wit/*.wit and copy them to wit/released/NEW-VERSION/"]
    );
}

#[test]
fn a_raised_version_may_add_an_imported_function() {
    let grown =
        planted("context.wit", "  node: func() -> string;", "  node: func() -> string;\n  host: func() -> string;");
    raise(grown.path(), "0.1.3");
    assert_eq!(gate(grown.path()), Vec::<String>::new());
}

#[test]
fn a_raised_version_may_not_break_a_built_plugin() {
    for (file, from, to) in [
        ("types.wit", "code: string,", "code: string,\n    severity: u32,"),
        (
            "processing.wit",
            "process: func(rows: batch) -> output;",
            "process: func(rows: batch) -> output;\n    flush: func();",
        ),
        ("context.wit", "  node: func() -> string;\n", ""),
    ] {
        let broken = planted(file, from, to);
        raise(broken.path(), "0.1.3");
        let found = gate(broken.path());
        assert!(
            !found.is_empty() && found.iter().all(|line| line.contains("breaks plugins built with 0.1.2")),
            "{file}: {found:?}"
        );
    }
}

#[test]
fn what_a_language_cannot_say_is_refused() {
    for (from, to, expected) in [
        ("  node: func() -> string;", "  yield: func();", "context.yield: `yield` is reserved"),
        ("  node: func() -> string;", "  node: func() -> stream<u8>;", "context.node: stream"),
        ("  node: func() -> string;", "  flags what { a }", "context.what: flags"),
        ("  node: func() -> string;", "  sources: func();", "duplicate name `sources`"),
        ("  node: func() -> string;", "  rows-of: func(); record rowsof { a: u32 }", "conflicts with previous name"),
        ("  node: func() -> string;", "  node: async func() -> string;", "context.node: async"),
    ] {
        let planted = planted("context.wit", from, to);
        raise(planted.path(), "0.1.3");
        let found = gate(planted.path());
        assert!(found.iter().any(|line| line.contains(expected)), "{to}: {found:?}");
    }
}

/// A copy of `wit/` with one change.
fn planted(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let newest = copy.path().join("released").join(RELEASES[RELEASES.len() - 1].0);
    fs::create_dir_all(&newest).unwrap();
    for (name, text) in files(&wit.join("released").join(RELEASES[RELEASES.len() - 1].0)) {
        fs::write(newest.join(&name), &text).unwrap();
        fs::write(copy.path().join(name), text).unwrap();
    }
    let path = copy.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no `{from}` to plant at");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
    copy
}

fn raise(wit: &Path, version: &str) {
    for (name, text) in files(wit) {
        let (package, rest) = text.split_once(';').unwrap();
        let name_only = package.split_once('@').unwrap().0;
        fs::write(wit.join(name), format!("{name_only}@{version};{rest}")).unwrap();
    }
}

/// What is wrong with the contract in `wit`, one line each.
fn gate(wit: &Path) -> Vec<String> {
    let mut resolve = Resolve::default();
    let current = match resolve.push_dir(wit) {
        Ok((package, _)) => package,
        Err(error) => return vec![format!("wit/ does not parse: {error:#}")],
    };
    let newest = newest_release(wit);
    let mut found = lint(&resolve, current);
    match version_of(&resolve, current).cmp(&parsed(&newest)) {
        std::cmp::Ordering::Equal => found.extend(unlike(wit, &newest)),
        std::cmp::Ordering::Greater => found.extend(breaks(wit, resolve, current, &newest)),
        std::cmp::Ordering::Less => found.push(format!("wit/ is older than wit/released/{newest}: raise its version")),
    }
    found
}

fn newest_release(wit: &Path) -> String {
    let names =
        fs::read_dir(wit.join("released")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.max_by_key(|name| parsed(name)).expect("there is a release")
}

fn unlike(wit: &Path, newest: &str) -> Option<String> {
    let (now, then) = (files(wit), files(&wit.join("released").join(newest)));
    let name = now.keys().chain(then.keys()).find(|name| now.get(*name) != then.get(*name))?;
    Some(format!(
        "wit/{name} differs from wit/released/{newest}/{name} under the same version: raise the version in every `package` \
         line of wit/*.wit and copy them to wit/released/NEW-VERSION/"
    ))
}

/// A release of the same line (0.1) is held against each world that it had; another line may break.
fn breaks(wit: &Path, mut resolve: Resolve, current: PackageId, newest: &str) -> Vec<String> {
    let (now, then) = (version_of(&resolve, current), parsed(newest));
    if now.0 != then.0 || now.1 != then.1 {
        return Vec::new();
    }
    let (release, _) = resolve.push_dir(wit.join("released").join(newest)).expect("a release parses");
    let worlds: Vec<_> = resolve.packages[release].worlds.iter().map(|(name, id)| (name.clone(), *id)).collect();
    let broken = |(name, then): (String, _)| {
        let advice = "take it back; imports may grow, exports and types may not (wit/README.md)";
        let Some(&now) = resolve.packages[current].worlds.get(&name) else {
            return Some(format!("world {name} is gone, which breaks plugins built with {newest}: {advice}"));
        };
        let error = wit_component::semver_check(resolve.clone(), then, now).err()?;
        Some(format!("world {name} breaks plugins built with {newest}: {advice}\n{error:#}"))
    };
    worlds.into_iter().filter_map(broken).collect()
}

/// Names and kinds that some language cannot say. Two names that are one in CamelCase the parser refuses itself.
fn lint(resolve: &Resolve, package: PackageId) -> Vec<String> {
    let mut found = Vec::new();
    for (world, &id) in &resolve.packages[package].worlds {
        let world_items = &resolve.worlds[id];
        for key in world_items.imports.keys().chain(world_items.exports.keys()) {
            if let WorldKey::Name(item) = key {
                found.push(format!("world {world}: `{item}` lies in the world itself; put it into an interface"));
            }
        }
    }
    for (name, &id) in &resolve.packages[package].interfaces {
        let interface = &resolve.interfaces[id];
        for (item, &ty) in &interface.types {
            found.extend(reserved(name, item, item));
            lint_type(resolve, &format!("{name}.{item}"), &Type::Id(ty), &mut found);
            for part in parts(&resolve.types[ty].kind) {
                found.extend(reserved(name, item, part));
            }
        }
        for (item, function) in &interface.functions {
            let called = item.rsplit('.').next().unwrap_or(item);
            found.extend(
                reserved(name, item, called).filter(|_| !item.starts_with('[') || !MAY_BE_METHODS.contains(&called)),
            );
            if function.kind.is_async() {
                found.push(format!("{name}.{item}: async is not for this contract: a call waits for nothing"));
            }
            for parameter in &function.params {
                found.extend(reserved(name, item, &parameter.name).filter(|_| parameter.name != "self"));
                lint_type(resolve, &format!("{name}.{item}"), &parameter.ty, &mut found);
            }
            function.result.iter().for_each(|ty| lint_type(resolve, &format!("{name}.{item}"), ty, &mut found));
        }
    }
    found
}

/// Reserved words that every generator makes safe in a method.
const MAY_BE_METHODS: [&str; 2] = ["delete", "range"];

/// The names of fields and cases; the case `error` is always prefixed or capitalised.
fn parts(kind: &TypeDefKind) -> Vec<&str> {
    match kind {
        TypeDefKind::Record(record) => record.fields.iter().map(|field| field.name.as_str()).collect(),
        TypeDefKind::Variant(variant) => variant.cases.iter().map(|case| case.name.as_str()).collect(),
        TypeDefKind::Enum(cases) => {
            cases.cases.iter().map(|case| case.name.as_str()).filter(|case| *case != "error").collect()
        }
        _ => Vec::new(),
    }
}

fn reserved(interface: &str, item: &str, word: &str) -> Option<String> {
    let line = || {
        format!(
            "{interface}.{item}: `{word}` is reserved in one of Rust, C, C++, Zig, Go, JavaScript, Python; rename it"
        )
    };
    RESERVED.split_whitespace().any(|reserved| reserved == word).then(line)
}

fn lint_type(resolve: &Resolve, of: &str, ty: &Type, found: &mut Vec<String>) {
    let Type::Id(id) = ty else { return };
    match &resolve.types[*id].kind {
        kind @ (TypeDefKind::Flags(_)
        | TypeDefKind::Future(_)
        | TypeDefKind::Stream(_)
        | TypeDefKind::Map(..)
        | TypeDefKind::FixedLengthList(..)) => {
            found.push(format!("{of}: {} is not for this contract: not every generator has it", kind.as_str()));
        }
        TypeDefKind::Option(inner) | TypeDefKind::List(inner) | TypeDefKind::Type(inner) => {
            lint_type(resolve, of, inner, found);
        }
        TypeDefKind::Result(result) => {
            result.ok.iter().chain(&result.err).for_each(|inner| lint_type(resolve, of, inner, found));
        }
        TypeDefKind::Tuple(tuple) => tuple.types.iter().for_each(|inner| lint_type(resolve, of, inner, found)),
        TypeDefKind::Record(record) => record.fields.iter().for_each(|field| lint_type(resolve, of, &field.ty, found)),
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().flat_map(|case| &case.ty).for_each(|inner| lint_type(resolve, of, inner, found));
        }
        _ => {}
    }
}

fn version_of(resolve: &Resolve, package: PackageId) -> (u64, u64, u64) {
    let version = resolve.packages[package].name.version.as_ref().expect("the package has a version");
    (version.major, version.minor, version.patch)
}

fn parsed(version: &str) -> (u64, u64, u64) {
    let mut numbers = version.split('.').map(|number| number.parse().expect("a release is MAJOR.MINOR.PATCH"));
    let mut next = || numbers.next().expect("a release is MAJOR.MINOR.PATCH");
    (next(), next(), next())
}

/// The .wit files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let wit = entries.filter(|path: &PathBuf| path.extension().is_some_and(|extension| extension == "wit"));
    wit.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

fn digest_of(files: &BTreeMap<String, String>) -> String {
    let mut digest = Sha256::new();
    for (name, text) in files {
        digest.update(format!("{name} {}\n{text}", text.len()));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
