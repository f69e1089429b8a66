//! An output path: finds out before any work what is there and whether it can be written.

use super::{Lock, writing};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// How the names of temporary files begin.
pub const TEMPORARY: &str = ".deepsleep-";

/// As many links as a system follows.
const MOST_LINKS: usize = 40;

/// A place to write to.
#[derive(Debug)]
pub struct Output {
    /// As it was named.
    path: PathBuf,
    kind: OutputPlace,
    lock: Option<Lock>,
}

#[derive(Debug)]
enum OutputPlace {
    /// An ordinary file or one to be: where the links end, in a folder without links.
    File(PathBuf),
    /// A character device, or a pipe with a reader, open.
    Stream(File),
}

impl Output {
    /// Looks at a place, and refuses one that cannot be written to now, not after an hour of work. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::Argument`] for a folder, a socket, a disk; [`Error::NotFound`] if the folder is missing; [`Error::Io`] if
    /// the file system refuses: the name is too long, the folder or the file is not ours to write to, nothing reads the
    /// pipe.
    pub fn open(path: &Path) -> Result<Self> {
        let error = |source| Error::io(path, "write", source);
        let refuse = |problem: &str| {
            Err(Error::argument("cannot write", format!("{}: {problem}", path.display())))
        };
        if names_a_folder(path) {
            return refuse("this names a folder; name a file, without the slash at its end");
        }
        let kind = match fs::metadata(path) {
            Ok(there) if is_stream(&there) => {
                return Ok(Self { path: path.to_owned(), kind: stream(path)?, lock: None });
            }
            Ok(there) => Some(there),
            // A link to what is not there yet, or nothing at all.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            // A part of the path is no folder: that is said below.
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => None,
            Err(e) => return Err(error(e)),
        };
        if kind.as_ref().is_some_and(Metadata::is_dir) || path.file_name().is_none() {
            return refuse("this is a folder; name a file in it");
        }
        if kind.is_some_and(|there| !there.is_file()) {
            return refuse("this is neither a file nor a pipe nor a character device");
        }
        let Some(target) = target(path).map_err(error)? else {
            return refuse("it leads to the open file of a process; name the file itself");
        };
        let folder = folder_of(&target);
        let whole = folder.canonicalize().ok().filter(|folder| folder.is_dir());
        let (Some(folder), Some(name)) = (whole, target.file_name()) else {
            let problem = format!("{}: there is no folder {}", path.display(), folder.display());
            return Err(Error::NotFound(problem));
        };
        let target = folder.join(name);
        if target.is_dir() {
            return refuse("this is a folder; name a file in it");
        }
        // A user who may not write to a file may not replace it either.
        if target.exists() {
            OpenOptions::new().write(true).open(&target).map_err(error)?;
        }
        let output = Self { path: path.to_owned(), kind: OutputPlace::File(target), lock: None };
        output.temporary().map_err(error)?;
        Ok(output)
    }

    /// Keeps other processes away from it while it lives, if it is a file; they are told this process's number.
    ///
    /// # Errors
    /// If another process has it, or the lock's file cannot be made beside it.
    pub fn locked(mut self) -> Result<Self> {
        if let OutputPlace::File(target) = &self.kind {
            let name = target.file_name().unwrap_or_default();
            // A hash, as the name itself may be as long as a name can be.
            let hash = Sha256::digest(name.as_encoded_bytes());
            let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let file = target.with_file_name(format!(".deepsleep-{hash}.lock"));
            self.lock = Some(Lock::take(&file, &self.path)?);
        }
        Ok(self)
    }

    /// The place as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a device or a pipe, which takes what is written once and gives nothing back.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, OutputPlace::Stream(_))
    }

    /// The other names (hard links) of the file that is there: they keep what they show now.
    pub fn other_names(&self) -> u64 {
        match &self.kind {
            OutputPlace::File(target) => fs::metadata(target).map_or(0, |there| links(&there) - 1),
            OutputPlace::Stream(_) => 0,
        }
    }

    /// Lets `fill` write a temporary file, then renames it into place. (A device or a pipe is written to as it is.)
    ///
    /// Readers see the old file or the new one, never a half; a failure leaves the old one and no litter. A process that
    /// is killed in the middle leaves the old one, and the temporary file under a hidden name, `.deepsleep-` and six
    /// letters. The new file has the mode and the owner of the old one.
    ///
    /// # Errors
    /// Those of the file system; the place is named.
    pub fn write(&self, fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> Result<()> {
        let error = |source| Error::io(&self.path, "write", source);
        let _writing = writing();
        let filled = |file: &File| {
            let mut writer = BufWriter::with_capacity(1 << 16, file);
            fill(&mut writer).and_then(|()| writer.flush()).map_err(error)
        };
        match &self.kind {
            OutputPlace::Stream(file) => filled(file),
            OutputPlace::File(target) => {
                let temporary = self.temporary().map_err(error)?;
                filled(temporary.as_file())?;
                temporary.as_file().sync_all().map_err(error)?;
                temporary.persist(target).map_err(|failed| error(failed.error))?;
                Ok(())
            }
        }
    }

    /// [`write`](Self::write) of these bytes.
    ///
    /// # Errors
    /// Those of the file system; the place is named.
    pub fn write_all(&self, bytes: &[u8]) -> Result<()> {
        self.write(|file| file.write_all(bytes))
    }

    /// Removes the file, if it is there; a link that led to it stays.
    ///
    /// # Errors
    /// Those of the file system; the place is named.
    pub fn remove(&self) -> Result<()> {
        let OutputPlace::File(target) = &self.kind else { return Ok(()) };
        match fs::remove_file(target) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(&self.path, "remove", e))
            }
            _ => Ok(()),
        }
    }

    /// An empty file beside the target, of the mode and owner that the target has or would get.
    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        let OutputPlace::File(target) = &self.kind else {
            return Err(io::Error::other("a device or pipe has no temporary file"));
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY);
        #[cfg(unix)]
        {
            // Temporary files are private by default; this one becomes an ordinary file (the umask still applies).
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(folder_of(target))?;
        match fs::symlink_metadata(target) {
            Ok(old) if old.is_file() => make_alike(temporary.as_file(), &old)?,
            // It was something else when it was looked at.
            Ok(_) => return Err(io::Error::other("it is not an ordinary file any more")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            // A name that is too long, for one.
            Err(e) => return Err(e),
        }
        Ok(temporary)
    }
}

/// Whether two paths lead to one file: the same path when links are followed, or two names of one file. What is not there
/// yet is compared by the path that it will have. A character device is no file: anything may be written to it.
pub fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) if is_character_device(&a) || is_character_device(&b) => false,
        (Ok(a), Ok(b)) if identity(&a).is_some() => identity(&a) == identity(&b),
        _ => whole(a).is_some() && whole(a) == whole(b),
    }
}

/// Whether a path leads into this folder or one of its subfolders when links are followed, whatever is there yet.
pub fn leads_into(path: &Path, folder: &Path) -> bool {
    let there = || path.ancestors().find_map(|path| folder_of(path).canonicalize().ok());
    let inside =
        |folder: PathBuf| whole(path).or_else(there).is_some_and(|at| at.starts_with(folder));
    folder.is_dir() && folder.canonicalize().is_ok_and(inside)
}

/// Where the links of a path end, from the root on; the file need not be there yet, its folder must.
fn whole(path: &Path) -> Option<PathBuf> {
    let target = target(path).ok()??;
    Some(folder_of(&target).canonicalize().ok()?.join(target.file_name()?))
}

/// Whether a path ends as those of folders do, which its parts do not show.
fn names_a_folder(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let end = text.trim_end_matches('.');
    let dots = text.len() - end.len();
    dots < 2 && end.len() > 1 && end.ends_with(std::path::is_separator)
}

/// The folder that a path is in. A bare file name has the empty path as its parent.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where the links end that a path begins; none if that is in /proc, where a link is the open file of a process.
fn target(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(link) = fs::read_link(&at) else { return Ok(Some(at)) };
        let folder = folder_of(&at);
        if folder.canonicalize().is_ok_and(|folder| folder.starts_with("/proc")) {
            return Ok(None);
        }
        at = folder.join(link);
    }
    Err(io::Error::other("too many links, or links in a circle"))
}

/// Opens a device or pipe. A pipe without a reader is refused, because a write to it would wait forever.
#[cfg(unix)]
fn stream(path: &Path) -> Result<OutputPlace> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true);
    // The first handle only asks whether there is a reader; the second waits, like any writer, until there is room.
    let asked = options.clone().custom_flags(libc::O_NONBLOCK).open(path);
    let opened = asked.and_then(|_reader| options.open(path));
    opened.map(OutputPlace::Stream).map_err(|e| match e.raw_os_error() {
        Some(libc::ENXIO) => {
            let problem = "nothing reads this pipe or device yet; start the reader first";
            Error::io(path, "write", io::Error::other(problem))
        }
        _ => Error::io(path, "write", e),
    })
}

#[cfg(not(unix))]
fn stream(path: &Path) -> Result<OutputPlace> {
    let file = OpenOptions::new().write(true).open(path);
    file.map(OutputPlace::Stream).map_err(|e| Error::io(path, "write", e))
}

#[cfg(unix)]
fn is_stream(there: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    is_character_device(there) || there.file_type().is_fifo()
}

#[cfg(unix)]
fn is_character_device(there: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    there.file_type().is_char_device()
}

/// Gives a new file the owner and mode of an old one.
#[cfg(unix)]
fn make_alike(new: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let ours = new.metadata()?;
    let other = |ours: u32, theirs: u32| (ours != theirs).then_some(theirs);
    let (user, group) = (other(ours.uid(), old.uid()), other(ours.gid(), old.gid()));
    if user.is_some() || group.is_some() {
        fchown(new, user, group).map_err(|e| {
            let (user, group) = (old.uid(), old.gid());
            let problem = format!(
                "the file belongs to user {user} and group {group}, and a new one cannot be given to them ({e}); \
                 remove it, or name another"
            );
            io::Error::new(e.kind(), problem)
        })?;
    }
    if old.permissions() != new.metadata()?.permissions() {
        new.set_permissions(old.permissions())?;
    }
    Ok(())
}

#[cfg(unix)]
fn links(there: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(there).max(1)
}

#[cfg(unix)]
fn identity(there: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((there.dev(), there.ino()))
}

#[cfg(not(unix))]
fn is_stream(there: &Metadata) -> bool {
    !there.is_file() && !there.is_dir()
}

#[cfg(not(unix))]
fn is_character_device(_there: &Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn make_alike(_new: &File, _old: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn links(_there: &Metadata) -> u64 {
    1
}

#[cfg(not(unix))]
fn identity(_there: &Metadata) -> Option<(u64, u64)> {
    None
}
