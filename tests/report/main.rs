//! What a report says of made-up results.

mod norms;
mod replication;
mod synthetic;

use deepsleep::data::{DataIdentity, Dataset, DatasetName, Split, locate};
use deepsleep::evaluation::ThreatModel;
use deepsleep::experiment::{Observations, Printed, Results, RunInfo};
use deepsleep::method::Profile;
use deepsleep::report::{Built, build};
use roxmltree::{Document, Node, ParsingOptions};
use std::path::Path;
use synthetic::{MISSING, results, write};

fn written(folder: &Path, results: &Results) -> Built {
    write(folder, results);
    build(folder).unwrap()
}

/// A report of the published profile, and its files.
fn report(quick: bool) -> (tempfile::TempDir, [String; 3], Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let built = written(folder.path(), &results(Profile::Published, quick));
    let files = [built.html, built.markdown, built.csv];
    (folder, files.map(|path| std::fs::read_to_string(path).unwrap()), built.skipped)
}

fn parse(html: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(html, options).unwrap_or_else(|e| panic!("{e}"))
}

fn text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|n| n.text()).collect()
}

fn with_class<'a>(page: &'a Document<'_>, class: &str) -> Vec<Node<'a, 'a>> {
    let has = |n: &Node<'_, '_>| {
        n.attribute("class").is_some_and(|all| all.split(' ').any(|one| one == class))
    };
    page.descendants().filter(has).collect()
}

#[test]
fn every_printed_cell_is_there_and_a_missing_one_is_no_zero() {
    let (_folder, [html, markdown, csv], skipped) = report(false);
    assert_eq!(skipped, Vec::<String>::new());
    let page = parse(&html);
    let printed = Printed::load().unwrap();
    let printed = printed.tables.iter().flat_map(|t| &t.rows).flat_map(|row| &row.values);
    let printed: Vec<String> = printed.map(|value| format!("{value:.4}")).collect();
    let shown: Vec<String> = with_class(&page, "print").into_iter().map(text).collect();
    assert_eq!(shown.len(), 204);
    assert_eq!(shown, printed);

    // One printed cell was left out, in one table; transfer has all others.
    let transfer = with_class(&page, "transfer");
    let missing: Vec<_> = transfer.iter().filter(|n| text(**n).contains("missing")).collect();
    assert_eq!((transfer.len(), missing.len()), (204, 1));
    assert!(missing[0].attribute("class").unwrap().contains("missing"));
    assert!(markdown.contains("| 0.9697<br>**missing** |"));

    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 204);
    let at = |name: &str| head.iter().position(|other| other == name).unwrap();
    let (method, scale, column) = MISSING;
    for row in rows {
        let is_missing =
            (&row[at("method")], &row[at("scale")], &row[at("column")]) == (method, scale, column);
        assert_eq!(row[at("transfer_mean")].is_empty(), is_missing, "{row:?}");
        assert_eq!(row[at("transfer_seeds")].is_empty(), is_missing);
        let clean = &row[at("column")] == "clean";
        assert_eq!(row[at("transfer_attack")].is_empty(), clean || is_missing);
    }
}

#[test]
fn a_quick_run_is_called_quick_everywhere_and_a_full_one_nowhere() {
    let (_folder, [html, markdown, csv], _) = report(true);
    let page = parse(&html);
    assert!(text(with_class(&page, "banner")[0]).contains("The intervals are of 2 seeds"));
    for name in ["title", "h1", "h2", "figcaption"] {
        for node in page.descendants().filter(|n| n.has_tag_name(name)) {
            assert!(text(node).contains("quick run"), "{name}: {}", text(node));
        }
    }
    assert!(markdown.contains("> Quick run: all trainings are whole."));
    assert!(csv.lines().skip(1).all(|line| line.ends_with(",true")));

    let (_folder, [html, markdown, csv], _) = report(false);
    assert!(!html.contains("quick") && !markdown.contains("quick"));
    assert!(csv.lines().skip(1).all(|line| line.ends_with(",false")));
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let (_folder, [html, ..], _) = report(false);
    let page = parse(&html);
    for node in page.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(!["script", "link", "iframe", "object"].contains(&name), "{name}");
        for attribute in node.attributes() {
            let value = attribute.value();
            match attribute.name() {
                "src" => assert!(value.starts_with("data:image/png;base64,"), "{value}"),
                "href" => assert!(value.starts_with('#'), "{value}"),
                _ => assert!(!value.contains("url("), "{value}"),
            }
        }
        // What cannot be seen is described.
        if name == "img" {
            assert!(node.attribute("alt").is_some_and(|alt| !alt.is_empty()));
        }
        if name == "svg" {
            assert!(node.attribute("aria-label").is_some());
        }
    }
    assert!(!html.contains("@import") && !html.contains("url("));
    // Links go somewhere.
    let ids: Vec<_> = page.descendants().filter_map(|n| n.attribute("id")).collect();
    for link in page.descendants().filter_map(|n| n.attribute("href")) {
        assert!(ids.contains(&&link[1..]), "{link}");
    }
}

#[test]
fn the_same_folder_gives_the_same_bytes_wherever_it_is() {
    let (_one, first, _) = report(false);
    let (_two, second, _) = report(false);
    assert_eq!(first, second);
    // And built once more in place.
    let (folder, [before, ..], _) = report(false);
    assert_eq!(before, std::fs::read_to_string(build(folder.path()).unwrap().html).unwrap());
}

#[test]
fn sentences_follow_the_settings() {
    let (_folder, [_, markdown, _], _) = report(false);
    for words in [
        "crafted once, on the undefended control",
        "the column printed as FGSM holds PGD and the column printed as PGD holds FGSM",
        "`autoattack:version=published,loss=ce-f32,return=latest`: AutoAttack with 10 iterations",
        "forgets them, as in the published code",
        "DeepSleep (depth=3): sub-sleeps of 200, 400, 800, 400, 200 time steps, 1 pass each",
        "DeepSleep (length=2): sub-sleeps of 200, 400, 200 time steps, 2 passes each",
        "DeepSleep (without noise): no dreams",
        "the published code's hybrid",
        "examples of eps 128/255",
        "the teacher stays as it was initialized",
        "as the published code hands its optimizer the wrong tensor",
        "those of `published`, with none of its values changed",
    ] {
        assert!(markdown.contains(words), "{words:?} is not in\n{markdown}");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut results = results(Profile::Paper, false);
    results.settings.set("fast_wave.dream.eps", "0.3").unwrap();
    let built = written(folder.path(), &results);
    let paper = std::fs::read_to_string(built.markdown).unwrap();
    for words in [
        "keeps the running statistics",
        "pair-based plasticity with traces and soft bounds",
        "Poisson spike trains (rate 1)",
        "the undefended control, which is the paper's picture",
        "(Papernot et al.); the published code's teacher is never trained",
        "those of `paper`, but for `fast_wave.dream.eps` = 0.3.",
    ] {
        assert!(paper.contains(words), "{words:?} is not in\n{paper}");
    }
}

#[test]
fn what_cannot_be_drawn_is_left_out_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let results = results(Profile::Published, false);
    write(folder.path(), &results);
    std::fs::remove_file(folder.path().join(RunInfo::FILE)).unwrap();
    let mut seen = synthetic::observations(&results);
    seen.filters.retain(|filters| filters.method != "DeepSleep");
    seen.skipped.push("Filters of DeepSleep: there is no convolution.".into());
    seen.save(folder.path()).unwrap();
    let built = build(folder.path()).unwrap();
    let [model, run] = &built.skipped[..] else { panic!("{:?}", built.skipped) };
    assert_eq!(model, "Filters of DeepSleep: there is no convolution.");
    assert!(run.starts_with("Times and machine: run.json: cannot read"), "{run}");
    let html = std::fs::read_to_string(&built.html).unwrap();
    let page = parse(&html);
    let skipped = page.descendants().filter(|n| n.has_tag_name("li"));
    assert_eq!(skipped.filter(|n| text(*n).starts_with("Left out: ")).count(), 2);

    std::fs::remove_file(folder.path().join(Observations::FILE)).unwrap();
    let without = build(folder.path()).unwrap();
    assert!(
        without.skipped.iter().any(|line| line.contains("observations.json: cannot read")),
        "{:?}",
        without.skipped
    );
}

#[test]
fn an_accuracy_that_cannot_be_is_called_a_failed_attack() {
    let (_folder, [html, markdown, _], _) = report(false);
    // DeepSleep at 255/255 under BIM: printed 0.9124, so 0.4562 in the synthetic white-box cells. Of the first 500 test
    // images 67 are ones.
    assert!(markdown.contains("0.4562 is above 0.1340; this attack failed"), "{markdown}");
    let page = parse(&html);
    let limits = with_class(&page, "limit");
    assert_eq!(limits.len(), 2, "one a method with white-box cells");
}

#[test]
fn there_is_no_report_without_results() {
    let folder = tempfile::tempdir().unwrap();
    let error = build(folder.path()).unwrap_err().to_string();
    assert!(error.contains("no results.json in it") && error.lines().count() == 1, "{error}");
    std::fs::write(folder.path().join(Results::FILE), "{}").unwrap();
    let error = build(folder.path()).unwrap_err().to_string();
    assert!(error.contains("results.json: line 1, column 2: `version` is missing"), "{error}");
}

#[test]
fn counts_and_sentences_are_of_this_run() {
    let built = |change: &dyn Fn(&mut Results)| {
        let folder = tempfile::tempdir().unwrap();
        let mut results = results(Profile::Published, false);
        change(&mut results);
        let built = written(folder.path(), &results);
        let read = |path| std::fs::read_to_string(path).unwrap();
        (read(built.markdown), read(built.html))
    };
    let says = |change: &dyn Fn(&mut Results), words: &[&str]| {
        let (markdown, html) = built(change);
        for word in words {
            assert!(markdown.contains(word), "{word:?} is not in\n{markdown}");
            assert!(html.contains(word), "{word:?} is not in the page");
        }
        markdown
    };
    // To an engine that did not note the images, 0 meant all.
    let all = says(&|r| r.train_images = 0, &["all 60,000 training images"]);
    assert!(all.contains("| Training images used | 60000 |"), "{all}");
    says(&|r| r.train_images = 6000, &["6,000 of 60,000 training images"]);
    says(&|r| r.train_images = 6000, &["over the 6,000 training images of this run"]);
    let few = |r: &mut Results| {
        (r.train_images, r.settings.slow_wave.batches) = (60_000, 10);
    };
    says(&few, &["over 10 batches of 128 only, not over all training images"]);
    let enough = |r: &mut Results| {
        (r.train_images, r.settings.slow_wave.batches) = (1280, 10);
    };
    says(&enough, &["over the 1,280 training images of this run"]);
    // What was not attacked has no images.
    let transfer = |r: &mut Results| r.cells.retain(|c| c.threat_model == ThreatModel::Transfer);
    let only = says(&transfer, &["Only transfer was run here", "there were none"]);
    assert!(!only.contains("white-box attacks, all 60,000"), "{only}");
    assert!(only.contains("| Test images, white-box | none |"), "{only}");
    // A single seed is no spread.
    let one = |r: &mut Results| {
        r.seeds = vec![3];
        r.models.retain(|model| model.seed == 0);
    };
    let one = says(&one, &["So do these, with seed 3."]);
    assert!(!one.contains("each with a control"), "{one}");
    says(&|_| {}, &["Here 2 seeds (0 and 1), each with a control"]);
    // Cycles have a sleep of each kind each.
    says(&|_| {}, &["2 cycles of slow-wave sleep and 5 epochs of fast-wave sleep each."]);
    // What was crafted on a model is no transfer to it.
    let own = says(&|_| {}, &["The images were crafted on Control itself"]);
    assert!(own.contains("The control's row is of images that were crafted on that very model"));
    // The bound is that of the images that were attacked.
    says(&|r| r.largest_class = Some(0.25), &["no accuracy above 0.2500"]);
}

#[test]
fn other_images_than_those_of_the_paper_are_named() {
    let folder = locate(DatasetName::Mnist, None).unwrap();
    let [train, test] = [Split::Train, Split::Test].map(|s| Dataset::load(&folder, s).unwrap());
    let report = |data: DataIdentity| {
        let folder = tempfile::tempdir().unwrap();
        let mut results = results(Profile::Published, false);
        results.data = Some(data);
        std::fs::read_to_string(written(folder.path(), &results).markdown).unwrap()
    };
    let markdown = report(DataIdentity::of("mnist", &train, &test));
    assert!(!markdown.contains("cannot be compared with print"), "it is MNIST");
    assert!(markdown.contains("| Data set | mnist |"), "{markdown}");
    // Of the same name, number and size.
    let labels = test.labels().iter().map(|label| (label + 1) % 10).collect();
    let pixels = (0..test.len()).flat_map(|i| test.image(i)).collect();
    let other = Dataset::from_floats(pixels, labels, [1, 28, 28], 10).unwrap();
    let markdown = report(DataIdentity::of("mnist", &train, &other));
    assert!(markdown.contains("These are of images of another set, named mnist"), "{markdown}");
}

/// Printed numbers are of LeNet: those of another network replicate nothing, whatever their distance.
#[test]
fn another_network_than_the_paper_s_replicates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let report = |results: &Results| {
        let built = written(folder.path(), results);
        [built.html, built.markdown, built.csv].map(|path| std::fs::read_to_string(path).unwrap())
    };
    let mut results = results(Profile::Published, false);
    let [_, paper, csv] = report(&results);
    assert!(paper.contains("**The paper ") || paper.contains("replicates in"), "{paper}");
    let judged = |csv: &str| {
        let mut rows = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
        // Attacks have commas in them: the last columns are counted from the end.
        let head = rows.next().unwrap();
        let from_end = head.len() - head.iter().position(|name| *name == "replicated").unwrap();
        rows.filter(|row| !row[row.len() - from_end].is_empty()).count()
    };
    let of_paper = judged(&csv);
    results.network = "12 nodes, 1x28x28 to 10 classes".into();
    let [html, markdown, csv] = report(&results);
    for page in [&html, &markdown] {
        for word in ["they have nothing to replicate", "12 nodes, 1x28x28 to 10 classes"] {
            assert!(page.contains(word), "{word} is not in {page}");
        }
        for word in ["replicates", "does not replicate", "order of the methods", "as the paper ran"]
        {
            assert!(!page.contains(word), "{word} is in {page}");
        }
    }
    assert!(markdown.starts_with("# DeepSleep: measured"), "{markdown}");
    assert!(markdown.contains("Rows of the paper's table 1, 12 nodes"), "{markdown}");
    assert!(of_paper > 0 && judged(&csv) == 0, "{of_paper}: {csv}");
}

#[test]
fn a_folder_of_somebody_else_becomes_no_markup() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut results = results(Profile::Published, false);
    let mut seen = synthetic::observations(&results);
    let evil = "<script>alert(1)</script>\"'> | a `b` [x](javascript:alert(3))\n\n# h1\u{1b}[31m";
    results.models.iter_mut().for_each(|model| model.id += evil);
    results.models[1].method += evil;
    for cell in &mut results.cells {
        cell.warnings.push(evil.to_owned());
        let attack = cell.attack.as_ref().map_or(String::new(), ToString::to_string);
        cell.attack = Some((attack + evil).into());
    }
    results.crafted.iter_mut().for_each(|set| set.column += evil);
    seen.filters[0].method += evil;
    seen.rates[0].names[0] += evil;
    seen.spikes[0].method += evil;
    seen.digits[0].column += evil;
    seen.digits[0].scale += evil;
    seen.digits[0].answers[0].0 += evil;
    seen.skipped.push(evil.into());
    seen.save(folder).unwrap();
    results.version += evil;
    results.save(folder).unwrap();
    let mut run = synthetic::run();
    (run.processor, run.isa) = (evil.to_owned(), evil.to_owned());
    run.jobs.iter_mut().for_each(|job| (job.name, job.kind) = (evil.to_owned(), evil.to_owned()));
    run.save(folder).unwrap();

    let built = build(folder).unwrap();
    let [html, markdown, csv] = [&built.html, &built.markdown, &built.csv]
        .map(|path| std::fs::read_to_string(path).unwrap());
    let page = parse(&html);
    assert!(page.descendants().all(|node| !node.has_tag_name("script")));
    for text in [&html, &markdown, &csv, &built.skipped.join("\n")] {
        assert!(!text.contains('\u{1b}'), "a raw escape sequence");
    }
    for (line, what) in markdown.lines().flat_map(|line| {
        [("<script", "markup"), ("[x](", "a link"), ("| a `b`", "a cell")].map(|what| (line, what))
    }) {
        let mut rest = line;
        while let Some(at) = rest.find(what.0) {
            let code = line[..line.len() - rest.len() + at].matches('`').count() % 2 == 1;
            assert!(rest[..at].ends_with('\\') || code, "{}: {line}", what.1);
            rest = &rest[at + 1..];
        }
        assert!(!line.starts_with("# h1"), "{line}");
    }
    // Every row of a table has as many cells as its head.
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let rows: Vec<&str> = markdown.lines().collect();
    let heads = rows.iter().enumerate().filter(|(_, line)| line.starts_with("|---"));
    for (at, _) in heads {
        for row in rows[at + 1..].iter().take_while(|row| row.starts_with('|')) {
            assert!(bars(row) <= bars(rows[at]), "{row}");
        }
    }
}

/// Writes a report to look at: `DEEPSLEEP_REPORT=DIR cargo test --test report -- --ignored`.
#[test]
#[ignore = "writes a report for people to look at, where DEEPSLEEP_REPORT says"]
fn a_report_to_look_at() {
    let folder = std::env::var_os("DEEPSLEEP_REPORT").expect("DEEPSLEEP_REPORT names a folder");
    std::fs::create_dir_all(&folder).unwrap();
    written(Path::new(&folder), &results(Profile::Published, true));
}
