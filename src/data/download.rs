//! Downloads one file over HTTP, resuming an earlier attempt.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use super::curl::{Body, Curl};

/// How a download that came to its end began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DownloadStart {
    /// Every byte is of this download.
    Fresh,
    /// The first bytes were there already.
    Resumed,
}

/// Brings `file` to the content of `url`: asks for the bytes after those it holds, and starts over where the server
/// does not do ranges.
///
/// `progress` gets the bytes in the file and, if known, how many it will have; `most` bounds them.
/// On failure, described in words, `file` keeps what came, for the next attempt.
pub(super) fn download(
    curl: &Curl,
    url: &str,
    file: &mut File,
    most: u64,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<DownloadStart, String> {
    let on_disk = |error: std::io::Error| format!("cannot write the partial file: {error}");
    let held = file.seek(SeekFrom::End(0)).map_err(on_disk)?;
    if held > 0 {
        let (head, body) = curl.get(url, held)?;
        match (head.status, head.range) {
            (206, Some((Some(start), total))) if start == held => {
                copy(body, file, held, total, most, progress)?;
                return Ok(DownloadStart::Resumed);
            }
            // Nothing after what is held: the file was complete when an earlier run was stopped.
            (416, Some((None, Some(total)))) if total == held => {
                progress(held, Some(held));
                return Ok(DownloadStart::Resumed);
            }
            (200, _) => return restart(body, file, head.length, most, progress),
            // A range that was not asked for, or one beyond the end of the file: ask for everything.
            (206 | 416, _) => {}
            (status, _) => return Err(refusal(status)),
        }
    }
    let (head, body) = curl.get(url, 0)?;
    match head.status {
        200 => restart(body, file, head.length, most, progress),
        status => Err(refusal(status)),
    }
}

/// Replaces what `file` holds by `body`, whose length is `total` if the server says it.
fn restart(
    body: Body,
    file: &mut File,
    total: Option<u64>,
    most: u64,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<DownloadStart, String> {
    file.set_len(0)
        .and_then(|()| file.rewind())
        .map_err(|error| format!("cannot empty the partial file: {error}"))?;
    copy(body, file, 0, total, most, progress)?;
    Ok(DownloadStart::Fresh)
}

/// Appends `body` to `file`, which holds `held` bytes and is to have `total`.
fn copy(
    mut body: Body,
    file: &mut File,
    mut held: u64,
    total: Option<u64>,
    most: u64,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), String> {
    progress(held, total);
    loop {
        let bytes =
            body.fill().map_err(|reason| format!("interrupted after {held} bytes: {reason}"))?;
        if bytes.is_empty() {
            break;
        }
        let count = bytes.len();
        held += count as u64;
        if held > most {
            // What came is not the file; nothing of it is worth continuing.
            let emptied = file.set_len(0).and_then(|()| file.rewind());
            let also = emptied.err().map_or(String::new(), |error| format!(" ({error})"));
            return Err(format!("more than the {most} bytes the file can have{also}"));
        }
        file.write_all(bytes).map_err(|error| format!("cannot write the partial file: {error}"))?;
        body.consume(count);
        progress(held, total);
    }
    match total {
        Some(total) if held < total => Err(format!("interrupted after {held} of {total} bytes")),
        _ => Ok(()),
    }
}

/// A status that is no answer to the request.
fn refusal(status: u16) -> String {
    format!("the server answered with HTTP status {status}")
}
