//! A simulated disk. Its faults are those that [`super`] says are fair: what was written since the last sync may be there in
//! part, out of order by the sector, or as zeros; names since the last `sync_dir` may be missing. The power goes at a
//! chosen operation, and everything after it fails. A disk can be full. It never changes what was synced, but for
//! [`SimDisk::flip`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Disk, DiskFile};
use crate::log::lock;

const SECTOR_BYTES: usize = 64; // small, so that small frames span several

/// A linear congruential generator: a seed replays the run.
#[derive(Clone)]
pub(crate) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Writes and cuts since the last sync.
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

#[derive(Default)]
struct Inner {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Operations until the power goes; none: it stays.
    operations_left: Option<u64>,
    /// Bytes that can still be written.
    bytes_left: Option<u64>,
    /// Planted bug: a sync does nothing.
    sync_is_a_lie: bool,
    /// Planted bug: a sync of names does nothing.
    names_are_a_lie: bool,
    /// The operation in which the power went.
    died_in: Option<&'static str>,
}

#[derive(Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<Inner>>);

struct SimFile(SimDisk, usize);

impl Inner {
    /// Counts an operation that changes something. `Err`: the power is gone; `Ok(false)`: it goes in the middle of this one.
    fn spend(&mut self, operation: &'static str) -> io::Result<bool> {
        if self.operations_left == Some(0) {
            return power_goes();
        }
        let Some(left) = &mut self.operations_left else { return Ok(true) };
        *left -= 1;
        let stays = *left > 0;
        if !stays {
            self.died_in = Some(operation);
        }
        Ok(stays)
    }
}

fn power_goes<T>() -> io::Result<T> {
    Err(io::Error::other("power is gone"))
}

impl SimDisk {
    pub fn power_goes_after(&self, operations: u64) {
        lock(&self.0).operations_left = Some(operations);
    }

    pub fn power_stays(&self) {
        lock(&self.0).operations_left = None;
    }

    pub fn full_after(&self, bytes: Option<u64>) {
        lock(&self.0).bytes_left = bytes;
    }

    pub fn sync_is_a_lie(&self) {
        lock(&self.0).sync_is_a_lie = true;
    }

    pub fn names_are_a_lie(&self) {
        lock(&self.0).names_are_a_lie = true;
    }

    /// The operation in which the power went; none: it is there.
    pub fn died_in(&self) -> Option<&'static str> {
        lock(&self.0).died_in
    }

    /// What is there once the power is back.
    pub fn power_cycle(&self, random: &mut Random) -> Self {
        let inner = lock(&self.0);
        let Inner { sync_is_a_lie, names_are_a_lie, .. } = *inner;
        let mut after = Inner { sync_is_a_lie, names_are_a_lie, ..Inner::default() };
        // A journal keeps changes of names in order: either all since the last sync, or none.
        after.names = if random.below(2) == 0 { inner.names.clone() } else { inner.durable_names.clone() };
        after.durable_names = after.names.clone();
        for inode in &inner.inodes {
            let bytes = survive(inode, random);
            after.inodes.push(Inode { now: bytes.clone(), durable: bytes, pending: Vec::new() });
        }
        Self(Arc::new(Mutex::new(after)))
    }

    /// As a SIGKILL leaves it: all that was written is there.
    pub fn process_kill(&self) -> Self {
        let inner = lock(&self.0);
        let Inner { sync_is_a_lie, names_are_a_lie, .. } = *inner;
        let mut after = Inner { sync_is_a_lie, names_are_a_lie, names: inner.names.clone(), ..Inner::default() };
        after.durable_names = after.names.clone();
        for inode in &inner.inodes {
            after.inodes.push(Inode { now: inode.now.clone(), durable: inode.now.clone(), pending: Vec::new() });
        }
        Self(Arc::new(Mutex::new(after)))
    }

    pub fn names(&self) -> Vec<PathBuf> {
        lock(&self.0).names.keys().cloned().collect()
    }

    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        let inner = lock(&self.0);
        inner.inodes[inner.names[path]].now.clone()
    }

    pub fn flip(&self, path: &Path, position: usize, mask: u8) {
        let mut inner = lock(&self.0);
        let inode = inner.names[path];
        inner.inodes[inode].now[position] ^= mask;
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        lock(&self.0).names.get(path).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

/// The bytes of a file after a power failure.
fn survive(inode: &Inode, random: &mut Random) -> Vec<u8> {
    let mut bytes = inode.durable.clone();
    // Some prefix of what was done is there, and of the rest any sector may be.
    let whole = random.below(inode.pending.len() as u64 + 1) as usize;
    for (index, pending) in inode.pending.iter().enumerate() {
        match pending {
            Pending::SetLen(len) if index < whole => bytes.resize(*len, 0),
            Pending::SetLen(_) => break, // what comes after a cut was never there without it
            Pending::Write(position, data) => {
                let lasts = |random: &mut Random| index < whole || random.below(3) == 0;
                for (sector, part) in data.chunks(SECTOR_BYTES).enumerate() {
                    let start = position + sector * SECTOR_BYTES;
                    if lasts(random) {
                        let torn =
                            if index < whole { part.len() } else { random.below(part.len() as u64 + 1) as usize };
                        bytes.resize(bytes.len().max(start + torn), 0);
                        bytes[start..start + torn].copy_from_slice(&part[..torn]);
                    } else if random.below(3) == 0 {
                        // The length has grown, the bytes have not come.
                        bytes.resize(bytes.len().max(start + part.len()), 0);
                    }
                }
            }
        }
    }
    bytes
}

impl Disk for SimDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = self.names().into_iter().filter(|path| path.parent() == Some(dir));
        Ok(names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SimFile(self.clone(), self.inode(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = lock(&self.0);
        inner.spend("create")?;
        inner.inodes.push(Inode::default());
        let inode = inner.inodes.len() - 1;
        inner.names.insert(path.to_path_buf(), inode);
        Ok(Arc::new(SimFile(self.clone(), inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = lock(&self.0);
        inner.spend("rename")?;
        let inode = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.names.insert(to.to_path_buf(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = lock(&self.0);
        inner.spend("remove")?;
        inner.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut inner = lock(&self.0);
        if !inner.spend("sync names")? {
            return power_goes();
        }
        if !inner.names_are_a_lie {
            inner.durable_names = inner.names.clone();
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0.0).inodes[self.1].now.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let inner = lock(&self.0.0);
        let from = position as usize;
        let bytes = inner.inodes[self.1].now.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut inner = lock(&self.0.0);
        let stays = inner.spend("write")?;
        let fits = inner.bytes_left.map_or(bytes.len(), |left| (left as usize).min(bytes.len()));
        if let Some(left) = &mut inner.bytes_left {
            *left -= fits as u64;
        }
        let inode = &mut inner.inodes[self.1];
        let (start, part) = (position as usize, &bytes[..fits]);
        inode.now.resize(inode.now.len().max(start + fits), 0);
        inode.now[start..start + fits].copy_from_slice(part);
        inode.pending.push(Pending::Write(start, part.to_vec()));
        if !stays {
            return power_goes();
        }
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut inner = lock(&self.0.0);
        let stays = inner.spend("truncate")?;
        let inode = &mut inner.inodes[self.1];
        inode.now.resize(bytes as usize, 0);
        inode.pending.push(Pending::SetLen(bytes as usize));
        if stays { Ok(()) } else { power_goes() }
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = lock(&self.0.0);
        if !inner.spend("sync")? {
            return power_goes();
        }
        if !inner.sync_is_a_lie {
            let inode = &mut inner.inodes[self.1];
            inode.durable = inode.now.clone();
            inode.pending.clear();
        }
        Ok(())
    }
}
