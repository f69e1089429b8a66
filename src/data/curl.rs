//! Runs the system's `curl`, which speaks HTTP and TLS for us.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

/// What every transfer is told. Timeouts bound each phase but not the whole: slow lines may take their time as long as
/// bytes keep coming.
const OPTIONS: [&str; 20] = [
    // First, or the user's .curlrc is read.
    "-q",
    "--globoff",
    "--silent",
    "--show-error",
    "--no-buffer",
    // Finding the server and connecting to it take well under a second where they work at all.
    "--connect-timeout",
    "15",
    "--speed-limit",
    "1",
    "--location",
    "--proto",
    "=http,https",
    "--proto-redir",
    "=http,https",
    "--include",
    "--suppress-connect-headers",
    "--user-agent",
    concat!("deepsleep/", env!("CARGO_PKG_VERSION")),
    // The files are gzip themselves: another coding on top would make byte ranges meaningless.
    "--header",
    "Accept-Encoding: identity",
];

/// More than the 100 KiB that curl takes for a line of a head.
const LONGEST_LINE: u64 = 1 << 17;

/// The program.
#[derive(Debug)]
pub(super) struct Curl {
    program: &'static str,
    /// No byte for this many seconds: the server is given up.
    patience: u32,
}

impl Default for Curl {
    fn default() -> Self {
        Self { program: "curl", patience: 30 }
    }
}

impl Curl {
    /// Whether this system has it.
    pub(super) fn is_installed(&self) -> bool {
        let mut version = Command::new(self.program);
        version.args(["-q", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
        !matches!(version.status(), Err(error) if error.kind() == ErrorKind::NotFound)
    }

    /// Asks for what is at `url`, from byte `from` on; returns when the answer has begun.
    ///
    /// Describes in words why there is none. A status that says so is an answer.
    pub(super) fn get(&self, url: &str, from: u64) -> Result<(ResponseHead, Body), String> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err("the URL must start with http:// or https://".to_owned());
        }
        let mut command = Command::new(self.program);
        command.args(OPTIONS).args(["--speed-time", &self.patience.to_string()]);
        if from > 0 {
            command.args(["--range", &format!("{from}-")]);
        }
        command.args(["--url", url]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What to do at Ctrl-C is for us to decide: curl, ended by it, would look like a broken connection. If we end
        // without ending it, it ends at its next byte, or when it runs out of patience.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let cannot_run = |error: io::Error| format!("cannot run {}: {error}", self.program);
        let mut curl = command.spawn().map_err(cannot_run)?;
        let output = curl.stdout.take().expect("it is piped");
        let mut body = Body { curl, output: BufReader::with_capacity(1 << 16, output) };
        let head = read_head(&mut body.output).map_err(|error| error.to_string())?;
        // With no byte to follow, curl may have failed. Then its word counts, not that of a redirect before.
        body.fill()?;
        head.map(|head| (head, body)).ok_or_else(|| "the server does not speak HTTP".to_owned())
    }
}

/// The bytes of an answer as they come. Dropping it ends the transfer.
#[derive(Debug)]
pub(super) struct Body {
    curl: Child,
    output: BufReader<ChildStdout>,
}

impl Body {
    /// The next bytes, at least one except at the end; if that came too early, says why.
    pub(super) fn fill(&mut self) -> Result<&[u8], String> {
        let interrupted = |error: io::Error| error.kind() == ErrorKind::Interrupted;
        while self.output.fill_buf().is_err_and(interrupted) {}
        if self.output.fill_buf().map_err(|error| error.to_string())?.is_empty() {
            self.finish()?;
        }
        Ok(self.output.buffer())
    }

    /// Goes on to the byte after the first `count` of these.
    pub(super) fn consume(&mut self, count: usize) {
        self.output.consume(count);
    }

    /// Waits for curl's end. If it failed, that is its first line about it.
    fn finish(&mut self) -> Result<(), String> {
        let status = self.curl.wait().map_err(|error| error.to_string())?;
        if status.success() {
            return Ok(());
        }
        let mut said = Vec::new();
        if let Some(stderr) = self.curl.stderr.take() {
            let _ = stderr.take(1 << 12).read_to_end(&mut said);
        }
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().map(str::trim).find(|line| !line.is_empty());
        Err(line.map_or_else(|| format!("curl ended with {status}"), str::to_owned))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // One that has ended already is not there to be killed: no harm.
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}

/// What stands before a body, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResponseHead {
    pub(super) status: u16,
    /// Bytes of the body.
    pub(super) length: Option<u64>,
    /// Where the body begins in the whole, and the length of that.
    pub(super) range: Option<(Option<u64>, Option<u64>)>,
}

/// Reads up to the body. Other heads may stand before its own: those of redirects and of interim answers. None of them
/// has a body, unless it is the last one, a redirect to nowhere.
///
/// (Trailers of a body without a length would seem to belong to it. Servers of files have none, and the hash would tell.)
fn read_head(output: &mut impl BufRead) -> io::Result<Option<ResponseHead>> {
    let mut last = None;
    loop {
        let Some(status) = status(&read_line(output)?) else { return Ok(last) };
        let mut head = ResponseHead { status, length: None, range: None };
        loop {
            let line = read_line(output)?;
            if line.is_empty() {
                break;
            }
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    head.length = value.trim().parse().ok();
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-range") => {
                    head.range = content_range(value);
                }
                _ => {}
            }
        }
        last = Some(head);
        if !matches!(status, 100..200 | 300..400) {
            return Ok(last);
        }
    }
}

/// A line without its end; an empty one at the end.
fn read_line(output: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    output.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}

/// The number in a line such as `HTTP/1.1 200 OK`.
fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()
}

/// Start and total of a `Content-Range`: `bytes 5-9/10` or `bytes */10`.
fn content_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let start = match range.trim() {
        "*" => None,
        range => Some(range.split_once('-')?.0.trim().parse().ok()?),
    };
    Some((start, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};

    #[test]
    fn content_ranges_are_understood() {
        assert_eq!(content_range(" bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(content_range("bytes */10"), Some((None, Some(10))));
        for nonsense in ["bytes", "bytes 5/10", "lines 5-9/10", "bytes x-9/10"] {
            assert_eq!(content_range(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_head_of_the_body_is_found() {
        let head = |status, length, range| Some(ResponseHead { status, length, range });
        let moved = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 5\r\n\r\n";
        for (output, expected, rest) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nHTTP/1.",
                head(200, Some(7), None),
                "HTTP/1.",
            ),
            ("HTTP/2 404 \r\n\r\n", head(404, None, None), ""),
            (
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200\r\n\r\nabc",
                head(200, None, None),
                "abc",
            ),
            (
                &format!(
                    "{moved}{moved}HTTP/1.1 206 X\r\nno colon\r\nCONTENT-RANGE:bytes 2-3/4\r\n\r\n\ncd"
                ),
                head(206, None, Some((Some(2), Some(4)))),
                "\ncd",
            ),
            // To nowhere; what follows is not looked at.
            (&format!("{moved}moved\n"), head(302, Some(5), None), ""),
            (moved, head(302, Some(5), None), ""),
            ("220 smtp\r\n", None, ""),
            ("", None, ""),
        ] {
            let mut output = output.as_bytes();
            assert_eq!(read_head(&mut output).unwrap(), expected);
            assert_eq!(output, rest.as_bytes());
        }
        let endless = [moved.as_bytes(), &vec![b'x'; 1 << 20]].concat();
        let mut endless = endless.as_slice();
        assert_eq!(read_head(&mut endless).unwrap(), head(302, Some(5), None));
        assert!(!endless.is_empty());
    }

    /// Sends `begin` to the first who asks, then nothing; ends when the other side hangs up, and says what it was asked.
    fn stalling(begin: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let mut stream: TcpStream = listener.accept().unwrap().0;
            stream.write_all(begin.as_bytes()).unwrap();
            let mut asked = Vec::new();
            // Hung up one way or the other.
            let _ = stream.read_to_end(&mut asked);
            String::from_utf8(asked).unwrap()
        });
        (url, server)
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let impatient = Curl { patience: 1, ..Curl::default() };
        let (url, server) = stalling("");
        let reason = impatient.get(&url, 0).unwrap_err();
        assert!(reason.starts_with("curl: (28) "), "{reason}");
        let asked = server.join().unwrap().to_ascii_lowercase();
        let agent = format!("user-agent: deepsleep/{}\r\n", env!("CARGO_PKG_VERSION"));
        assert!(
            asked.contains(&agent) && asked.contains("accept-encoding: identity\r\n"),
            "{asked}"
        );
        assert!(!asked.contains("range:"), "{asked}");

        let (url, server) = stalling("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        let (head, mut body) = impatient.get(&url, 4).unwrap();
        assert_eq!((head.status, head.length), (200, Some(9)));
        assert_eq!(body.fill(), Ok(&b"abc"[..]));
        body.consume(3);
        let reason = body.fill().unwrap_err();
        assert!(reason.starts_with("curl: (28) ") && !reason.contains('\n'), "{reason}");
        assert!(server.join().unwrap().to_ascii_lowercase().contains("range: bytes=4-\r\n"));
    }

    #[test]
    fn what_is_not_wanted_any_more_ends_at_once() {
        let (url, server) = stalling("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        let answer = Curl::default().get(&url, 0).unwrap();
        let start = Instant::now();
        drop(answer);
        server.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn what_cannot_be_run_or_asked_is_said() {
        let missing = Curl { program: "deepsleep-no-such-curl", ..Curl::default() };
        assert!(!missing.is_installed());
        assert!(missing.get("http://127.0.0.1:1", 0).unwrap_err().contains("cannot run"));
        assert!(Curl::default().is_installed(), "these tests need the program curl: install it");
        for url in
            ["", "/etc/passwd", "file:///etc/passwd", "-o/tmp/x", "-o://x", "ftp://127.0.0.1:1/"]
        {
            let reason = Curl::default().get(url, 0).unwrap_err();
            assert!(reason.contains("http:// or https://"), "{url}: {reason}");
        }
        let reason = Curl::default().get("HTTP://127.0.0.1:1/", 0).unwrap_err();
        assert!(reason.starts_with("curl: (7) "), "{reason}");
    }
}
