//! A driver's PDB: found beside its image, held against it, asked for places.

use super::place::{Place, Places};
use object::Object as _;
use object::read::pe::PeFile64;
use pdb_addr2line::{ContextPdbData, TypeFormatterFlags};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a linker writes into image and PDB, so that the two find each other.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    guid: [u8; 16],
    age: u32,
}

/// The places at each of these offsets of an image; none at an offset that is in no function.
///
/// # Errors
/// One line that says why there are no places at all.
pub(super) fn look_up(image: &Path, offsets: &[u32]) -> Result<Vec<Places>, String> {
    let path = find(image)?;
    let name = path.display();
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot read {name}: {error}");
    let file = File::open(&path).map_err(|error| unreadable(&error))?;
    let pdb = pdb::PDB::open(file).map_err(|error| unreadable(&error))?;
    let data = ContextPdbData::try_from_pdb(pdb).map_err(|error| unreadable(&error))?;
    let flags = TypeFormatterFlags::default() | TypeFormatterFlags::NO_ARGUMENTS;
    let context = data.make_context_with_formatter_flags(flags).map_err(|error| unreadable(&error))?;
    let places = offsets.iter().map(|offset| {
        // An offset whose record is damaged has no place; the others still have theirs.
        let found = context.find_frames(*offset).ok().flatten();
        let frames = found.map(|found| found.frames).unwrap_or_default();
        frames
            .into_iter()
            .map(|frame| Place {
                function: frame
                    .function
                    .map_or_else(|| "a function without a name".into(), |name| readable(&name)),
                file: frame.file.map(|file| shorten(&file)),
                line: frame.line.filter(|line| *line != 0),
            })
            .collect()
    });
    Ok(places.collect())
}

/// A function's name without what rustc writes into it for debuggers alone: `enum2$<T>` is the type `T`, and C++ of old
/// wanted a space between two brackets.
fn readable(name: &str) -> String {
    const ENUM: &str = "enum2$<";
    let mut name = name.replace(" >", ">");
    while let Some(begin) = name.find(ENUM) {
        let inner = begin + ENUM.len();
        let mut depth = 1;
        let end = name[inner..].find(|bracket| {
            depth += i32::from(bracket == '<') - i32::from(bracket == '>');
            depth == 0
        });
        let Some(end) = end.map(|end| inner + end) else { break };
        name = format!("{}{}{}", &name[..begin], &name[inner..end], &name[end + 1..]);
    }
    name
}

/// A source's name without the folders that every build hides ([`crate::base::workspace`]), or that are the compiler's.
pub fn shorten(file: &str) -> String {
    let file = file.replace('\\', "/");
    if let Some(ours) = file.strip_prefix("/cancelnic/") {
        return ours.into();
    }
    match file.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/')) {
        Some((_, library)) => library.into(),
        None => file,
    }
}

/// The PDB beside an image: under the image's own name, or under the one that the linker has noted in it.
fn find(image: &Path) -> Result<PathBuf, String> {
    let folder = image.parent().unwrap_or(Path::new("."));
    let bytes = fs::read(image).map_err(|error| format!("cannot read {}: {error}", image.display()))?;
    let (noted, wanted) = identity(&bytes)
        .ok_or_else(|| format!("{} names no PDB: it was linked without one", image.display()))?;
    let own = image.with_extension("pdb");
    let own = own.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.eq_ignore_ascii_case(&own) || name.eq_ignore_ascii_case(&noted)
    };
    let mut found: Vec<PathBuf> = beside.filter(named).collect();
    found.sort();
    if found.is_empty() {
        let names = if own.eq_ignore_ascii_case(&noted) { own } else { format!("{own} or {noted}") };
        return Err(format!("no {names} beside {}", image.display()));
    }
    let mut why = String::new();
    for path in found {
        match matches(&path, &wanted) {
            Ok(true) => return Ok(path),
            Ok(false) => why = format!("{} is of another build than {}", path.display(), image.display()),
            Err(error) => why = format!("cannot read {}: {error}", path.display()),
        }
    }
    Err(why)
}

/// The name that an image gives its PDB, without the folder, and the identity that both must have.
fn identity(image: &[u8]) -> Option<(String, Identity)> {
    let parsed = PeFile64::parse(image).ok()?;
    let record = parsed.pdb_info().ok()??;
    let path = String::from_utf8_lossy(record.path()).replace('\\', "/");
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    Some((name, Identity { guid: record.guid(), age: record.age() }))
}

/// Whether a PDB has that identity. A linker that adds to a PDB counts the age of its debug information up, and says
/// that one in the image; others leave both at 1.
fn matches(path: &Path, wanted: &Identity) -> pdb::Result<bool> {
    let mut pdb = pdb::PDB::open(File::open(path)?)?;
    let information = pdb.pdb_information()?;
    let ages = [Some(information.age), pdb.debug_information()?.age()];
    Ok(information.guid.to_bytes_le() == wanted.guid && ages.contains(&Some(wanted.age)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_as_its_author_sees_it() {
        for (file, short) in [
            ("/cancelnic/driver/core/src/tx.rs", "driver/core/src/tx.rs"),
            (
                "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/ptr/mod.rs",
                "library/core/src/ptr/mod.rs",
            ),
            (r"D:\nic\queue.cpp", "D:/nic/queue.cpp"),
        ] {
            assert_eq!(shorten(file), short);
        }
    }

    #[test]
    fn a_function_is_named_as_its_author_wrote_it() {
        for (written, name) in [
            ("cancelnic::queue::tx_cancel", "cancelnic::queue::tx_cancel"),
            ("q::Call<enum2$<core::tx::Transmit> >::cancel", "q::Call<core::tx::Transmit>::cancel"),
            ("f<enum2$<a::Option<enum2$<b::B> > >,u32>", "f<a::Option<b::B>,u32>"),
            ("f<enum2$<cut", "f<enum2$<cut"),
        ] {
            assert_eq!(readable(written), name);
        }
    }

    #[test]
    fn what_has_no_pdb_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("other.sys");
        let why = |image: &Path| look_up(image, &[0]).unwrap_err();
        assert!(why(&image).starts_with("cannot read "), "{}", why(&image));
        fs::write(&image, b"MZ").unwrap();
        assert!(
            why(&image).ends_with("other.sys names no PDB: it was linked without one"),
            "{}",
            why(&image)
        );
    }
}
