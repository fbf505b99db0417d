//! Where the files of a configuration come from: a directory, or the shipped ones embedded in the program.

use std::fs::Metadata;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::problem::{Problem, allowed, nearest};
use super::shipped;
use crate::domain::text::{Said, said};

/// A configuration file larger than this is something else.
const FILE_MAX: u64 = 1024 * 1024;
/// Folders below `templates/`; links that lead round in a circle end here.
const DEPTH_MAX: usize = 4;

const FILES: [&str; 10] = [
    "xixin.toml",
    "schedule.toml",
    "ladders.toml",
    "periods.toml",
    "agencies.toml",
    "people.toml",
    "rota.toml",
    "benefits.toml",
    "policies.toml",
    "knowledge.toml",
];
const FOLDERS: [&str; 5] = ["matters", "calendar", "templates", "conf.d", "examples"];

#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Directory(&'a Path),
    /// A directory as it would be with one file of it replaced or added.
    Edited {
        dir: &'a Path,
        file: &'a str,
        text: &'a str,
    },
    Shipped,
}

impl Source<'_> {
    /// Whether there is such a file or folder.
    pub(super) fn has(self, name: &str) -> bool {
        match self {
            Self::Edited { file, .. } if file == name => true,
            Self::Directory(dir) | Self::Edited { dir, .. } => dir.join(name).exists(),
            Self::Shipped => {
                let folder = format!("{name}/");
                shipped::FILES
                    .iter()
                    .any(|(path, _)| *path == name || path.starts_with(&folder))
            }
        }
    }

    /// The text of a file: UTF-8, with or without a byte order mark, any line ends, nothing hidden.
    pub(super) fn text(self, name: &str, heard: &mut Vec<Problem>) -> Option<String> {
        let bytes = match self {
            Self::Edited { file, text, .. } if file == name => text.as_bytes().to_vec(),
            Self::Directory(dir) | Self::Edited { dir, .. } => match bytes(&dir.join(name)) {
                Ok(bytes) => bytes,
                Err((what, fix)) => {
                    heard.push(problem(name, "", what, fix));
                    return None;
                }
            },
            Self::Shipped => {
                let found = shipped::FILES.iter().find(|(path, _)| *path == name);
                found.map(|(_, text)| text.as_bytes().to_vec())?
            }
        };
        match readable(bytes) {
            Ok(text) => Some(text),
            Err((before, what, fix)) => {
                heard.push(problem(name, &before, what, fix));
                None
            }
        }
    }

    /// The names of the `.toml` files in a folder, without their ending, in order.
    pub(super) fn list(self, folder: &str, heard: &mut Vec<Problem>) -> Vec<String> {
        let mut names: Vec<String> = match self {
            Self::Directory(dir) | Self::Edited { dir, .. } => match std::fs::read_dir(dir.join(folder)) {
                Ok(entries) => entries
                    .flatten()
                    .filter_map(|entry| entry.file_name().into_string().ok())
                    .collect(),
                Err(error) => {
                    let what = said!("文件夹无法读取({})", "the folder cannot be read ({})", error.kind());
                    heard.push(problem(
                        folder,
                        "",
                        what,
                        said!(
                            "随附 config/ 中的文件夹都要有",
                            "every folder of the shipped config/ is needed"
                        ),
                    ));
                    Vec::new()
                }
            },
            Self::Shipped => shipped::FILES
                .iter()
                .filter_map(|(path, _)| path.strip_prefix(folder)?.strip_prefix('/'))
                .map(str::to_owned)
                .collect(),
        };
        if let Self::Edited { file, .. } = self
            && let Some(name) = file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'))
        {
            names.push(name.to_owned());
        }
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names.dedup();
        names
            .into_iter()
            .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
            .collect()
    }

    /// Files that nobody would ever read, most likely misspelt.
    pub(super) fn strays(self, heard: &mut Vec<Problem>) {
        let (Self::Directory(dir) | Self::Edited { dir, .. }) = self else {
            return;
        };
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let is_folder = entry.path().is_dir();
            let known = if is_folder { &FOLDERS[..] } else { &FILES[..] };
            if known.contains(&name.as_str()) {
                continue;
            }
            let is_near = nearest(&name, known.iter().copied()).is_some();
            // Other folders may serve other programs; a `.toml` file here can only be meant for this one.
            if is_folder && is_near || !is_folder && name.ends_with(".toml") {
                let what = if is_folder {
                    said!("没有谁读这个文件夹", "nothing reads this folder")
                } else {
                    said!("没有谁读这个文件", "nothing reads this file")
                };
                heard.push(problem(&name, "", what, allowed(&name, known.iter().copied())));
            }
        }
    }

    /// The texts belong to the fingerprint as well, but are read in another room.
    pub(super) fn hash_texts(self, hash: &mut Sha256) {
        match self {
            Self::Directory(dir) | Self::Edited { dir, .. } => {
                hash_folder(&dir.join("templates"), "templates", DEPTH_MAX, hash)
            }
            Self::Shipped => {
                for (path, text) in shipped::FILES.iter().filter(|(path, _)| path.starts_with("templates/")) {
                    note(path, text.as_bytes(), hash);
                }
            }
        }
    }
}

/// The text of a file below a configuration directory, for the rooms that read their own files.
pub(crate) fn text_of(dir: &Path, name: &str, heard: &mut Vec<Problem>) -> Option<String> {
    Source::Directory(dir).text(name, heard)
}

/// Adds a file to a fingerprint. The lengths keep neighbours apart.
pub(super) fn note(path: &str, bytes: &[u8], hash: &mut Sha256) {
    for part in [path.as_bytes(), bytes] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
}

fn hash_folder(dir: &Path, path: &str, depth: usize, hash: &mut Sha256) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).into_iter().flatten().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        match std::fs::metadata(entry.path()) {
            Ok(meta) if meta.is_dir() && depth > 0 => hash_folder(&entry.path(), &path, depth - 1, hash),
            Ok(meta) if is_readable(&meta) => {
                if let Ok(bytes) = std::fs::read(entry.path()) {
                    note(&path, &bytes, hash);
                }
            }
            _ => {}
        }
    }
}

fn is_readable(meta: &Metadata) -> bool {
    meta.is_file() && meta.len() <= FILE_MAX
}

fn bytes(path: &Path) -> Result<Vec<u8>, (Said, Said)> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            return Err((
                said!("这是一个目录", "it is a directory"),
                said!("这里应是一个文件", "a file is needed here"),
            ));
        }
        // A pipe or a device would block or never end.
        Ok(meta) if !meta.is_file() => {
            return Err((
                said!("这不是普通文件", "it is no ordinary file"),
                said!("这里应是一个文件", "a file is needed here"),
            ));
        }
        Ok(meta) if !is_readable(&meta) => {
            return Err((
                said!("它长达{}字节", "it is {} bytes long", meta.len()),
                said!("可用: 最多 1 MiB", "allowed: up to 1 MiB"),
            ));
        }
        _ => {}
    }
    std::fs::read(path).map_err(|error| {
        let fix = said!(
            "随附 config/ 中的文件都要有,并能被服务账户读取",
            "every file of the shipped config/ is needed, readable for the account that xixin runs as"
        );
        (said!("无法读取({})", "it cannot be read ({})", error.kind()), fix)
    })
}

/// The text, or what stands before the place where it cannot be read, and why.
fn readable(bytes: Vec<u8>) -> Result<String, (String, Said, Said)> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        (
            before,
            said!("从这里起不是 UTF-8", "it is not UTF-8 from here on"),
            said!("请另存为 UTF-8", "save the file as UTF-8"),
        )
    })?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    // Embeddings, overrides and isolates make a text read other than it is (Unicode Standard Annex 9).
    let hidden = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\0');
    match text.find(hidden) {
        Some(at) => {
            let what = said!(
                "这里有看不见的字符(NUL,或改变文字方向的字符)",
                "a hidden character stands here (NUL, or one that turns the direction of writing)"
            );
            Err((text[..at].to_owned(), what, said!("请删去", "delete it")))
        }
        None => Ok(text),
    }
}

fn problem(file: &str, before: &str, what: Said, fix: Said) -> Problem {
    let (line, col) = super::place::line_and_column(before, before.len());
    Problem {
        line,
        col,
        ..Problem::of_file(file, what, fix)
    }
}
