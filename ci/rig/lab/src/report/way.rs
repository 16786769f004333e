//! Ways between folders.

use std::path::{Component, Path, PathBuf};

/// The way to `file` from `folder`, which leads through folders that both have. A file on another root keeps its path.
pub(super) fn path_from(folder: &Path, file: &Path) -> PathBuf {
    let absolute =
        |path: &Path| std::path::absolute(if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let (Ok(folder), Ok(file)) = (absolute(folder), absolute(file)) else { return file.to_path_buf() };
    let common = folder.components().zip(file.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(common)).collect()
}
