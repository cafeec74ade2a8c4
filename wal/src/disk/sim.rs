//! A disk in memory that loses, at a crash, what was not fsynced: all of it, any part of it, and
//! pieces of single writes.
//!
//! Harsher than file systems are: a file's name, its length and each write to it reach the platter
//! independently of one another until an fsync of the file (data, length) or of its folder (names).
//! What reaches it, does so in the order in which it was asked for. Everything that changes the disk
//! is kept in a journal, so that a test can stop after any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::system::{Content, Names, Open};

/// A disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now: Platter,
    journal: Vec<Step>,
    /// Bytes that still fit.
    space: Option<u64>,
    /// How many fsyncs still succeed.
    syncs: Option<u64>,
}

/// One change of the disk, as it was asked for.
#[derive(Debug, Clone)]
pub enum Step {
    /// A new file, under no name yet.
    NewFile,
    /// A new folder, under no name yet.
    NewFolder,
    /// A change of a file.
    File(usize, FileChange),
    /// A change of the names in a folder.
    Names(usize, NameChange),
    /// A file's changes are on the platter.
    SyncFile(usize),
    /// A folder's are.
    SyncFolder(usize),
}

/// A change of a file.
#[derive(Debug, Clone)]
pub enum FileChange {
    /// Bytes at an offset.
    Write(u64, Bytes),
    /// A new length; zeros where it grows.
    Length(u64),
}

/// A change of the names in a folder, whole or not at all.
#[derive(Debug, Clone)]
pub struct NameChange {
    gone: Option<OsString>,
    put: Option<(OsString, Node)>,
}

/// What bears a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    File(usize),
    Folder(usize),
}

/// Files and folders: as programs see them, and as they lie on the platter.
#[derive(Debug, Clone)]
pub struct Platter {
    files: Vec<File>,
    /// The first is the root.
    folders: Vec<Folder>,
    steps: u64,
}

#[derive(Debug, Clone, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What the one has over the other, each with the number of its step.
    pending: Vec<(u64, FileChange)>,
}

#[derive(Debug, Clone, Default)]
struct Folder {
    now: BTreeMap<OsString, Node>,
    durable: BTreeMap<OsString, Node>,
    pending: Vec<(u64, NameChange)>,
}

/// A change that is not on the platter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Number of its step; they are listed in this order.
    pub step: u64,
    /// Bytes that it writes; 0 for other changes.
    pub bytes: usize,
    /// Overwrites bytes within one sector, which a disk does whole or not at all.
    pub whole: bool,
}

/// What a crash makes of a pending change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It had reached the platter.
    Kept,
    /// It had not.
    Lost,
    /// Of a write only so many first bytes had.
    First(usize),
    /// Of a write only what follows so many bytes had.
    Behind(usize),
}

const SECTOR: u64 = 512;

impl Default for Platter {
    fn default() -> Platter {
        Platter { files: Vec::new(), folders: vec![Folder::default()], steps: 0 }
    }
}

impl Platter {
    /// Does a step.
    pub fn apply(&mut self, step: &Step) {
        self.steps += 1;
        match step {
            Step::NewFile => self.files.push(File::default()),
            Step::NewFolder => self.folders.push(Folder::default()),
            Step::File(file, change) => {
                let file = &mut self.files[*file];
                change.apply(&mut file.now);
                file.pending.push((self.steps, change.clone()));
            }
            Step::Names(folder, change) => {
                let folder = &mut self.folders[*folder];
                change.apply(&mut folder.now);
                folder.pending.push((self.steps, change.clone()));
            }
            Step::SyncFile(file) => {
                let file = &mut self.files[*file];
                file.pending.clear();
                file.durable.clone_from(&file.now);
            }
            Step::SyncFolder(folder) => {
                let folder = &mut self.folders[*folder];
                folder.pending.clear();
                folder.durable.clone_from(&folder.now);
            }
        }
    }

    /// What is not on the platter, oldest first, of files that some name still leads to.
    pub fn pending(&self) -> Vec<Pending> {
        let mut all: Vec<Pending> = Vec::new();
        for folder in &self.folders {
            let names = folder.pending.iter();
            all.extend(names.map(|&(step, _)| Pending { step, bytes: 0, whole: true }));
        }
        for file in self.named_files() {
            let file = &self.files[file];
            all.extend(file.pending.iter().map(|(step, change)| match change {
                FileChange::Write(offset, bytes) => {
                    let end = offset + bytes.len() as u64;
                    let one_sector = offset / SECTOR == end.saturating_sub(1) / SECTOR;
                    let whole = one_sector && end <= file.durable.len() as u64;
                    Pending { step: *step, bytes: bytes.len(), whole }
                }
                FileChange::Length(_) => Pending { step: *step, bytes: 0, whole: true },
            }));
        }
        all.sort_by_key(|pending| pending.step);
        all
    }

    fn named_files(&self) -> BTreeSet<usize> {
        let nodes = self.folders.iter().flat_map(|folder| {
            let put = folder.pending.iter().filter_map(|(_, change)| change.put.as_ref());
            let named = folder.now.values().chain(folder.durable.values());
            named.chain(put.map(|(_, node)| node))
        });
        let file = |node: &Node| match node {
            Node::File(file) => Some(*file),
            Node::Folder(_) => None,
        };
        nodes.filter_map(file).collect()
    }

    /// What is there after the power went, where `fate` says of each pending change whether it had
    /// reached the platter. All of it is on the platter then.
    pub fn crashed(&self, mut fate: impl FnMut(u64) -> Fate) -> Platter {
        let mut left = Platter { steps: self.steps, files: Vec::new(), folders: Vec::new() };
        for file in &self.files {
            let mut bytes = file.durable.clone();
            for (step, change) in &file.pending {
                change.apply_in_part(&fate(*step), &mut bytes);
            }
            left.files.push(File { now: bytes.clone(), durable: bytes, pending: Vec::new() });
        }
        for folder in &self.folders {
            let mut names = folder.durable.clone();
            for (step, change) in &folder.pending {
                if fate(*step) == Fate::Kept {
                    change.apply(&mut names);
                }
            }
            left.folders.push(Folder { now: names.clone(), durable: names, pending: Vec::new() });
        }
        left
    }

    fn folder(&self, path: &Path) -> io::Result<usize> {
        let mut folder = 0;
        for part in path.components().filter(|part| part.as_os_str() != "/") {
            match self.folders[folder].now.get(part.as_os_str()) {
                Some(Node::Folder(inner)) => folder = *inner,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        Ok(folder)
    }

    /// The folder that a path's last name is in, and that name.
    fn place<'a>(&self, path: &'a Path) -> io::Result<(usize, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.folder(super::parent(path))?, name))
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        let (folder, name) = self.place(path)?;
        let node = self.folders[folder].now.get(name);
        node.copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.node(path)? {
            Node::File(file) => Ok(file),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

impl FileChange {
    fn apply(&self, file: &mut Vec<u8>) {
        self.apply_in_part(&Fate::Kept, file);
    }

    fn apply_in_part(&self, fate: &Fate, file: &mut Vec<u8>) {
        let (offset, bytes) = match self {
            FileChange::Length(bytes) if *fate == Fate::Kept => {
                return file.resize(index(*bytes), 0);
            }
            FileChange::Length(_) => return,
            FileChange::Write(offset, bytes) => (index(*offset), bytes),
        };
        let part = match fate {
            Fate::Kept => 0..bytes.len(),
            Fate::Lost => return,
            Fate::First(count) => 0..bytes.len().min(*count),
            Fate::Behind(count) => bytes.len().min(*count)..bytes.len(),
        };
        let (start, end) = (offset + part.start, offset + part.end);
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(&bytes[part]);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<OsString, Node>) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((name, node)) = &self.put {
            names.insert(name.clone(), *node);
        }
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// A machine that starts with what is on `platter`.
    pub fn starting_with(platter: Platter) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State { now: platter, ..State::default() })))
    }

    /// The disk as it is.
    pub fn platter(&self) -> Platter {
        self.state().now.clone()
    }

    /// How many steps were taken.
    pub fn steps(&self) -> usize {
        self.state().journal.len()
    }

    /// All steps that were taken.
    pub fn journal(&self) -> Vec<Step> {
        self.state().journal.clone()
    }

    /// After so many more bytes, written or allocated, the disk is full.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    /// After so many more fsyncs they fail, and nothing of what they were to cover is durable.
    pub fn set_syncs(&self, count: Option<u64>) {
        self.state().syncs = count;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn step(&mut self, step: Step) {
        self.now.apply(&step);
        self.journal.push(step);
    }

    /// How many of `bytes` there is room for; takes it.
    fn take_space(&mut self, bytes: u64) -> u64 {
        let granted = self.space.map_or(bytes, |space| space.min(bytes));
        self.space = self.space.map(|space| space - granted);
        granted
    }

    fn sync(&mut self, step: Step) -> io::Result<()> {
        match self.syncs {
            Some(0) => return Err(io::Error::other("planted")),
            Some(left) => self.syncs = Some(left - 1),
            None => {}
        }
        self.step(step);
        Ok(())
    }

    fn put(&mut self, path: &Path, node: Node) -> io::Result<()> {
        let (folder, name) = self.now.place(path)?;
        let put = Some((name.to_owned(), node));
        self.step(Step::Names(folder, NameChange { gone: None, put }));
        Ok(())
    }
}

impl Names for SimDisk {
    type File = SimFile;
    type Lock = ();

    fn open(&self, path: &Path, how: Open) -> io::Result<SimFile> {
        let mut state = self.state();
        let file = match state.now.file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if matches!(how, Open::Read | Open::Write) {
                    return Err(error);
                }
                let file = state.now.files.len();
                state.step(Step::NewFile);
                state.put(path, Node::File(file))?;
                file
            }
            Err(error) => return Err(error),
        };
        if how == Open::Anew && !state.now.files[file].now.is_empty() {
            state.step(Step::File(file, FileChange::Length(0)));
        }
        drop(state);
        Ok(SimFile { disk: self.clone(), file })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        let file = state.now.file(path)?;
        Ok(state.now.files[file].now.clone())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        let inner = state.now.folder(folder)?;
        Ok(state.now.folders[inner].now.keys().map(|name| folder.join(name)).collect())
    }

    fn look(&self, path: &Path) -> io::Result<(u64, u64)> {
        let state = self.state();
        Ok(match state.now.node(path)? {
            Node::File(file) => (file as u64, state.now.files[file].now.len() as u64),
            Node::Folder(folder) => (folder as u64, 0),
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.now.node(from)?;
        let ((folder, gone), (same, name)) = (state.now.place(from)?, state.now.place(to)?);
        assert_eq!(folder, same, "a log renames within a folder only");
        let (gone, put) = (Some(gone.to_owned()), Some((name.to_owned(), node)));
        state.step(Step::Names(folder, NameChange { gone, put }));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.now.file(path)?;
        let (folder, name) = state.now.place(path)?;
        state.step(Step::Names(folder, NameChange { gone: Some(name.to_owned()), put: None }));
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.now.node(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let folder = state.now.folders.len();
        state.step(Step::NewFolder);
        state.put(path, Node::Folder(folder))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        for inner in self.list(path)? {
            self.remove(&inner)?;
        }
        let mut state = self.state();
        let (folder, name) = state.now.place(path)?;
        state.step(Step::Names(folder, NameChange { gone: Some(name.to_owned()), put: None }));
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let folder = state.now.folder(path)?;
        state.sync(Step::SyncFolder(folder))
    }

    /// One process uses this disk at a time.
    fn lock(&self, _path: &Path) -> io::Result<Option<()>> {
        Ok(Some(()))
    }
}

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl Content for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().now.files[self.file].now.len() as u64)
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.disk.state().step(Step::File(self.file, FileChange::Length(bytes)));
        Ok(())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        let file = &state.now.files[self.file].now;
        let found = file.get(index(offset)..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let granted = state.take_space(bytes.len() as u64);
        if granted > 0 {
            let written = Bytes::copy_from_slice(&bytes[..index(granted)]);
            state.step(Step::File(self.file, FileChange::Write(offset, written)));
        }
        if granted < bytes.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let length = state.now.files[self.file].now.len() as u64;
        if bytes <= length {
            return Ok(());
        }
        if state.take_space(bytes - length) < bytes - length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.step(Step::File(self.file, FileChange::Length(bytes)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().sync(Step::SyncFile(self.file))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn map(&self, length: usize) -> io::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.disk.state().now.files[self.file].now[..length]))
    }
}
