//! Fetching from a small HTTP server on this machine that misbehaves on demand.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use deepsleep::Error;
use deepsleep::data::{
    DatasetName, DownloadSource, FetchProgress, FileForm, IdxArray, IdxPart, SourceFile, Split,
    fetch,
};
use sha2::{Digest, Sha256};

/// What the server answers to one request.
#[derive(Clone)]
struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// Bytes of the body that are sent before the connection breaks.
    sent: usize,
}

impl Reply {
    fn new(status: u16, body: &[u8]) -> Self {
        Self { status, headers: String::new(), body: body.to_vec(), sent: body.len() }
    }

    /// Honors a range as a good server does.
    fn ranged(request: &Request, body: &[u8]) -> Self {
        let Some(from) = request.range_start else { return Self::new(200, body) };
        if from >= body.len() {
            let headers = format!("Content-Range: bytes */{}\r\n", body.len());
            return Self { headers, ..Self::new(416, b"") };
        }
        let headers = format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
        Self { headers, ..Self::new(206, &body[from..]) }
    }

    fn cut(self, sent: usize) -> Self {
        Self { sent, ..self }
    }
}

/// One request as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    path: String,
    range_start: Option<usize>,
}

/// A server whose `answer` decides everything; it lives as long as the test process.
struct Server {
    base: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` gets the request and how many came before it.
    fn start(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/files/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read_request(&stream) else { continue };
                let before = {
                    let mut log = log.lock().unwrap();
                    log.push(request.clone());
                    log.len() - 1
                };
                let reply = answer(&request, before);
                // The client may hang up early; that is its right.
                let _ = write!(
                    stream,
                    "HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n",
                    reply.status,
                    reply.body.len(),
                    reply.headers
                )
                .and_then(|()| stream.write_all(&reply.body[..reply.sent]));
            }
        });
        Self { base, requests }
    }

    /// The start of the range of every request so far.
    fn ranges(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().iter().map(|request| request.range_start).collect()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let range_start = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok()
    });
    Some(Request { path, range_start })
}

/// A labels file of 50,000 bytes that gzip cannot shrink much: its `.gz` content and what it must contain.
fn labels() -> (Vec<u8>, SourceFile) {
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let array = IdxArray::new(vec![50_000], noise.take(50_000).collect()).unwrap();
    let mut plain = Vec::new();
    array.write(&mut plain).unwrap();
    let sha256 = Sha256::digest(&plain).iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = plain.len() as u64;
    let form = FileForm::Unpacked(Split::Test, IdxPart::Labels);
    (gzip(&plain, 9), SourceFile { name: NAME.to_owned(), form, bytes, sha256 })
}

/// A file whose published hash is of what is served.
fn served(name: &str, body: &[u8], form: FileForm) -> SourceFile {
    let sha256 = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    SourceFile { name: name.to_owned(), form, bytes: body.len() as u64, sha256 }
}

fn gzip(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn source(file: &SourceFile, servers: &[&Server]) -> DownloadSource {
    let mirrors = servers.iter().map(|server| server.base.clone()).collect();
    DownloadSource { files: vec![file.clone()], mirrors }
}

/// Fetches; the folder's file names afterwards, sorted, come along.
fn fetched(source: &DownloadSource, dir: &Path) -> (Result<Vec<u8>, Error>, Vec<String>) {
    let result = fetch(source, dir, |_| {});
    let result = result.map(|paths| fs::read(&paths[0]).unwrap());
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    (result, names)
}

const NAME: &str = "t10k-labels-idx1-ubyte.gz";
const PART: &str = "t10k-labels-idx1-ubyte.gz.part";

#[test]
fn a_whole_download_arrives_once() {
    let (body, file) = labels();
    let content = body.clone();
    let server = Server::start(move |request, _| Reply::ranged(request, &content));
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("made/on/the/way");
    let source = source(&file, &[]).with_base(&server.base);

    let mut events = Vec::new();
    let paths = fetch(&source, &dir, |event| events.push(format!("{event:?}"))).unwrap();
    assert_eq!(paths, [dir.join(NAME)]);
    assert_eq!(fs::read(&paths[0]).unwrap(), body);
    assert!(events[0].starts_with("Started"), "{events:?}");
    let whole = format!("bytes: {0}, total: Some({0})", body.len());
    assert!(events[events.len() - 2].contains(&whole), "{events:?}");
    assert!(events[events.len() - 1].starts_with("Done"), "{events:?}");

    let mut again = Vec::new();
    fetch(&source, &dir, |event| again.push(matches!(event, FetchProgress::AlreadyThere { .. })))
        .unwrap();
    assert_eq!(again, [true]);
    let requests = server.requests.lock().unwrap();
    assert_eq!(*requests, [Request { path: format!("/files/{NAME}"), range_start: None }]);
}

#[test]
fn a_broken_connection_is_continued_where_it_broke() {
    let (body, file) = labels();
    let content = body.clone();
    let server = Server::start(move |request, before| {
        let reply = Reply::ranged(request, &content);
        if before == 0 { reply.cut(20_000) } else { reply }
    });
    let folder = tempfile::tempdir().unwrap();
    let (result, names) = fetched(&source(&file, &[&server]), folder.path());
    assert_eq!(result.unwrap(), body);
    assert_eq!(names, [NAME]);
    assert_eq!(server.ranges(), [None, Some(20_000)]);
}

#[test]
fn what_an_earlier_call_left_is_continued_by_the_next() {
    let (body, file) = labels();
    let content = body.clone();
    // Sends something, then nothing any more, then behaves.
    let server = Server::start(move |request, before| match before {
        0 => Reply::new(200, &content).cut(10_000),
        1 => Reply::new(503, b"busy"),
        _ => Reply::ranged(request, &content),
    });
    let folder = tempfile::tempdir().unwrap();
    let source = source(&file, &[&server]);
    let (result, names) = fetched(&source, folder.path());
    let problem = result.unwrap_err().to_string();
    assert!(problem.contains(NAME) && problem.contains("503"), "{problem}");
    assert_eq!(names, [PART]);
    let (result, names) = fetched(&source, folder.path());
    assert_eq!(result.unwrap(), body);
    assert_eq!(names, [NAME]);
    assert_eq!(server.ranges(), [None, Some(10_000), Some(10_000)]);
}

#[test]
fn a_complete_part_needs_no_more_bytes() {
    let (body, file) = labels();
    let content = body.clone();
    let server = Server::start(move |request, _| Reply::ranged(request, &content));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(PART), &body).unwrap();
    let (result, names) = fetched(&source(&file, &[&server]), folder.path());
    assert_eq!(result.unwrap(), body);
    assert_eq!(names, [NAME]);
    assert_eq!(server.ranges(), [Some(body.len())]);
}

#[test]
fn servers_without_ranges_and_parts_of_other_files_start_over() {
    let (body, file) = labels();
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join(PART);
    let content = body.clone();
    let ignorant = Server::start(move |_, _| Reply::new(200, &content));
    let content = body.clone();
    let able = Server::start(move |request, _| Reply::ranged(request, &content));
    // The server's whole answer, a part another mirror compressed, a part longer than the file.
    let cases = [
        (&ignorant, body[..9].to_vec(), vec![Some(9)]),
        (&able, gzip(b"something else", 1), vec![Some(34), None]),
        (&able, vec![0; body.len() + 5], vec![Some(34), None, Some(body.len() + 5), None]),
    ];
    for (server, left, ranges) in cases {
        fs::write(&part, &left).unwrap();
        let (result, names) = fetched(&source(&file, &[server]), folder.path());
        assert_eq!(result.unwrap(), body);
        assert_eq!(names, [NAME]);
        assert_eq!(server.ranges(), ranges);
        fs::remove_file(folder.path().join(NAME)).unwrap();
    }
}

#[test]
fn wrong_content_is_removed_and_both_hashes_are_named() {
    let (_, file) = labels();
    let plain = b"not the labels";
    let wrong = gzip(plain, 6);
    let server = Server::start(move |_, _| Reply::new(200, &wrong));
    let folder = tempfile::tempdir().unwrap();
    let (result, names) = fetched(&source(&file, &[&server]), folder.path());
    let problem = result.unwrap_err().to_string();
    let found: String = Sha256::digest(plain).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(problem.contains(&file.sha256) && problem.contains(&found), "{problem}");
    assert!(names.is_empty(), "{names:?}");
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn after_failures_the_next_mirror_is_asked() {
    let (body, file) = labels();
    let missing = Server::start(|_, _| Reply::new(404, b"no such file"));
    let bomb = Server::start(|_, _| Reply::new(200, &gzip(&vec![0; 1 << 20], 9)));
    let flood = Server::start(|_, _| Reply::new(200, &vec![0; 1 << 20]));
    let damaged = {
        let content = body[..30_000].to_vec();
        Server::start(move |_, _| Reply::new(200, &content))
    };
    let content = body.clone();
    let good = Server::start(move |request, _| Reply::ranged(request, &content));
    let folder = tempfile::tempdir().unwrap();
    let all = [&missing, &bomb, &flood, &damaged, &good];

    let (result, names) = fetched(&source(&file, &all[..4]), folder.path());
    let problem = result.unwrap_err().to_string();
    for expected in ["404", "expected 50008 bytes", "more than the 115544 bytes", "truncated"] {
        assert!(problem.contains(expected), "{problem:?} lacks {expected:?}");
    }
    assert!(names.is_empty(), "{names:?}");
    let (result, names) = fetched(&source(&file, &all), folder.path());
    assert_eq!(result.unwrap(), body);
    assert_eq!(names, [NAME]);
    assert_eq!(good.ranges(), [None]);
}

#[test]
fn a_server_that_unpacked_the_file_serves_as_well() {
    let (body, file) = labels();
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
    // Bytes stay as they are sent, whatever coding they are declared to have: else ranges would make no sense.
    for (headers, content) in [("", plain), ("Content-Encoding: gzip\r\n", body)] {
        let sent = content.clone();
        let server = Server::start(move |_, _| Reply {
            headers: headers.to_owned(),
            ..Reply::new(200, &sent)
        });
        let folder = tempfile::tempdir().unwrap();
        let paths = fetch(&source(&file, &[&server]), folder.path(), |_| {}).unwrap();
        assert_eq!(fs::read(&paths[0]).unwrap(), content);
        assert_eq!(IdxArray::open(&paths[0]).unwrap().dims(), [50_000]);
    }
}

#[test]
fn redirects_are_followed_but_not_to_files() {
    let (body, file) = labels();
    let content = body.clone();
    let good = Server::start(move |request, _| Reply::ranged(request, &content));
    let to = |place: &str| {
        let headers = format!("Location: {place}\r\n");
        Server::start(move |_, _| Reply { headers: headers.clone(), ..Reply::new(302, b"moved") })
    };
    let folder = tempfile::tempdir().unwrap();
    let moved = to(&format!("{}{NAME}", good.base));
    for held in [0, 9] {
        fs::write(folder.path().join(PART), &body[..held]).unwrap();
        assert_eq!(fetched(&source(&file, &[&moved]), folder.path()).0.unwrap(), body);
        fs::remove_file(folder.path().join(NAME)).unwrap();
    }
    assert_eq!(good.ranges(), [None, Some(9)]);

    let local = folder.path().join("local");
    fs::write(&local, &body).unwrap();
    let local = to(&format!("file://{}", local.display()));
    let nowhere = Server::start(|_, _| Reply::new(302, b"moved"));
    for (server, words) in [(local, "curl: (1) "), (nowhere, "HTTP status 302")] {
        let (result, names) = fetched(&source(&file, &[&server]), folder.path());
        let problem = result.unwrap_err().to_string();
        assert!(problem.contains(words), "{problem}");
        assert_eq!(names, ["local"]);
    }
}

#[test]
fn a_url_is_taken_as_it_stands() {
    let (_, file) = labels();
    let server = Server::start(|_, _| Reply::new(404, b""));
    let folder = tempfile::tempdir().unwrap();
    let source = |base: &str| source(&file, &[]).with_base(base);
    // No pattern that stands for several.
    let problem = fetched(&source(&format!("{}{{a,b}}/[1-2]", server.base)), folder.path()).0;
    assert!(problem.unwrap_err().to_string().contains("404"));
    let paths = server.requests.lock().unwrap();
    let paths: Vec<&str> = paths.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, [format!("/files/{{a,b}}/[1-2]/{NAME}")]);
    // Nor an option, or a file.
    for base in ["--version", "-o/", "@/etc", "file:///etc", "/etc"] {
        let problem = fetched(&source(base), folder.path()).0.unwrap_err().to_string();
        assert!(problem.contains(&format!(
            "{}/{NAME}: the URL must start with http",
            base.trim_end_matches('/')
        )));
    }
}

#[test]
fn wrong_files_in_place_are_replaced_or_reported() {
    let (body, file) = labels();
    let content = body.clone();
    let server = Server::start(move |request, _| Reply::ranged(request, &content));
    let folder = tempfile::tempdir().unwrap();
    let source = source(&file, &[&server]);
    fs::write(folder.path().join(NAME), "damaged in the cache").unwrap();
    assert_eq!(fetched(&source, folder.path()).0.unwrap(), body);

    // An uncompressed file would be read first and may be someone's own.
    let plain = folder.path().join("t10k-labels-idx1-ubyte");
    fs::write(&plain, "mine").unwrap();
    let problem = fetched(&source, folder.path()).0.unwrap_err().to_string();
    assert!(problem.contains("move it away"), "{problem}");
    assert_eq!(fs::read(&plain).unwrap(), b"mine");
}

#[test]
fn one_folder_is_fetched_into_by_one_process_at_a_time() {
    let (_, file) = labels();
    let server = Server::start(|_, _| Reply::new(404, b""));
    let folder = tempfile::tempdir().unwrap();
    let other = fs::File::create(folder.path().join(PART)).unwrap();
    other.lock().unwrap();
    let problem = fetched(&source(&file, &[&server]), folder.path()).0.unwrap_err().to_string();
    assert!(problem.contains("another process is fetching it"), "{problem}");
    assert!(server.ranges().is_empty());
    let nowhere = DownloadSource { files: vec![file], mirrors: vec![] };
    assert!(matches!(fetched(&nowhere, folder.path()).0, Err(Error::Argument { .. })));
}

#[test]
fn files_that_are_hashed_as_they_are_served_stay_so() {
    let body = gzip(&[7; 5000], 9);
    let file = served("test_32x32.mat", &body, FileForm::AsIs);
    let content = body.clone();
    let server = Server::start(move |request, before| {
        let reply = Reply::ranged(request, &content);
        if before == 0 { reply.cut(9) } else { reply }
    });
    let folder = tempfile::tempdir().unwrap();
    let source = source(&file, &[&server]);
    let (result, names) = fetched(&source, folder.path());
    assert_eq!((result.unwrap(), names), (body, vec!["test_32x32.mat".to_owned()]));
    assert_eq!(server.ranges(), [None, Some(9)]);
    fetched(&source, folder.path()).0.unwrap();
    assert_eq!(server.ranges().len(), 2, "it is there");
    fs::write(folder.path().join("test_32x32.mat"), [7; 5000]).unwrap();
    fetched(&source, folder.path()).0.unwrap();
    assert_eq!(server.ranges().len(), 3, "the content alone is another file");
}

#[test]
fn an_archive_is_checked_unpacked_and_does_not_stay() {
    const MEMBERS: &[(&str, u64)] = &[("data_batch_1.bin", 4), ("test_batch.bin", 3)];
    let archive = |files: &[(&str, &[u8])]| {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *content).unwrap();
        }
        gzip(&archive.into_inner().unwrap(), 9)
    };
    let (train, test) =
        (("cifar/data_batch_1.bin", &b"abcd"[..]), ("cifar/test_batch.bin", &b"efg"[..]));
    let fetch_it = |body: &[u8], folder: &Path| {
        let file = served("cifar.tar.gz", body, FileForm::Archive(MEMBERS));
        let content = body.to_vec();
        let server = Server::start(move |request, before| {
            let reply = Reply::ranged(request, &content);
            if before == 0 { reply.cut(40) } else { reply }
        });
        let (result, names) = fetched(&source(&file, &[&server]), folder);
        (result, names, server.ranges().len())
    };
    let folder = tempfile::tempdir().unwrap();
    let body = archive(&[("cifar/readme.html", b"read me"), train, test]);
    let (result, names, _) = fetch_it(&body, folder.path());
    assert_eq!(result.unwrap(), b"abcd");
    assert_eq!(names, ["data_batch_1.bin", "test_batch.bin"]);
    assert_eq!(fs::read(folder.path().join("test_batch.bin")).unwrap(), b"efg");
    assert_eq!(fetch_it(&body, folder.path()).2, 0, "they are there");
    fs::write(folder.path().join("test_batch.bin"), b"ef").unwrap();
    assert_eq!(fetch_it(&body, folder.path()).2, 2, "one is not whole");

    for (files, words) in [
        (vec![train], "not all of data_batch_1.bin, test_batch.bin are in it"),
        (
            vec![train, ("test_batch.bin", &b"efgh"[..])],
            "`test_batch.bin` in it has 4 bytes, not 3",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let problem = fetch_it(&archive(&files), folder.path()).0.unwrap_err().to_string();
        assert!(problem.contains(words), "{problem}");
    }
}

#[test]
fn every_known_data_set_is_fetched_from_where_it_is_told() {
    for name in DatasetName::ALL {
        let server = Server::start(|_, _| Reply::new(404, b""));
        let folder = tempfile::tempdir().unwrap();
        let source = DownloadSource::of(name).with_base(&server.base);
        let problem = fetched(&source, folder.path()).0.unwrap_err().to_string();
        assert!(problem.contains("404"), "{name}: {problem}");
        let paths = server.requests.lock().unwrap();
        assert_eq!(paths[0].path, format!("/files/{}", source.files[0].name), "{name}");
    }
}
