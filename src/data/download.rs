//! Downloads one file over HTTP, resuming an earlier attempt.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use ureq::http::header::{CONTENT_RANGE, HeaderMap, RANGE};
use ureq::{Agent, Body};

/// No answer for this long: the server is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Name resolution and connecting take well under a second where they work at all.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// An HTTP client with timeouts for every phase but none for the whole: slow lines may take their time as long as
/// bytes keep coming.
pub(super) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_resolve(Some(CONNECT_PATIENCE))
        .timeout_connect(Some(CONNECT_PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .user_agent(concat!("deepsleep/", env!("CARGO_PKG_VERSION")))
        // The files are gzip themselves: another coding on top would make byte ranges meaningless.
        .accept_encoding("identity")
        .build()
        .into()
}

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
    agent: &Agent,
    url: &str,
    file: &mut File,
    most: u64,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<DownloadStart, String> {
    let on_disk = |error: std::io::Error| format!("cannot write the partial file: {error}");
    let held = file.seek(SeekFrom::End(0)).map_err(on_disk)?;
    if held > 0 {
        let response = agent
            .get(url)
            .header(RANGE, format!("bytes={held}-"))
            .call()
            .map_err(|error| error.to_string())?;
        let range = content_range(response.headers());
        match (response.status().as_u16(), range) {
            (206, Some((Some(start), total))) if start == held => {
                copy(response.into_body(), file, held, total, most, progress)?;
                return Ok(DownloadStart::Resumed);
            }
            // Nothing after what is held: the file was complete when an earlier run was stopped.
            (416, Some((None, Some(total)))) if total == held => {
                progress(held, Some(held));
                return Ok(DownloadStart::Resumed);
            }
            (200, _) => return restart(response.into_body(), file, most, progress),
            // A range that was not asked for, or one beyond the end of the file: ask for everything.
            (206 | 416, _) => {}
            (status, _) => return Err(refusal(status)),
        }
    }
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    match response.status().as_u16() {
        200 => restart(response.into_body(), file, most, progress),
        status => Err(refusal(status)),
    }
}

/// Replaces what `file` holds by `body`.
fn restart(
    body: Body,
    file: &mut File,
    most: u64,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<DownloadStart, String> {
    file.set_len(0)
        .and_then(|()| file.rewind())
        .map_err(|error| format!("cannot empty the partial file: {error}"))?;
    let total = body.content_length();
    copy(body, file, 0, total, most, progress)?;
    Ok(DownloadStart::Fresh)
}

/// Appends `body` to `file`, which holds `held` bytes.
fn copy(
    body: Body,
    file: &mut File,
    mut held: u64,
    total: Option<u64>,
    most: u64,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), String> {
    let mut reader = body.into_reader();
    let mut buffer = vec![0; 1 << 16];
    progress(held, total);
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(format!("interrupted after {held} bytes: {error}")),
        };
        if count == 0 {
            break;
        }
        held += count as u64;
        if held > most {
            // What came is not the file; nothing of it is worth continuing.
            let emptied = file.set_len(0).and_then(|()| file.rewind());
            let also = emptied.err().map_or(String::new(), |error| format!(" ({error})"));
            return Err(format!("more than the {most} bytes the file can have{also}"));
        }
        file.write_all(&buffer[..count])
            .map_err(|error| format!("cannot write the partial file: {error}"))?;
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

/// Start and total of a `Content-Range`: `bytes 5-9/10` or `bytes */10`.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let value = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim();
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let start = match range.trim() {
        "*" => None,
        range => Some(range.split_once('-')?.0.trim().parse().ok()?),
    };
    Some((start, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_understood() {
        let parse = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, value.parse().unwrap());
            content_range(&headers)
        };
        assert_eq!(parse("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(parse("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(parse("bytes */10"), Some((None, Some(10))));
        for nonsense in ["bytes", "bytes 5/10", "lines 5-9/10", "bytes x-9/10"] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
