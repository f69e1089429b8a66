//! What a report says of results that nobody measured.

mod synthetic;

use deepsleep::data::Dataset;
use deepsleep::experiment::{Published, Results, Run};
use deepsleep::report::{Built, build};
use deepsleep::sleep::Profile;
use deepsleep::tensor::Context;
use roxmltree::{Document, Node, ParsingOptions};
use std::path::Path;
use synthetic::{MISSING, results, test_images, write};

fn written(folder: &Path, results: &Results, test: Option<&Dataset>) -> Built {
    write(folder, results);
    build(&Context::new(1).unwrap(), folder, test).unwrap()
}

/// A report of the published profile, and its files.
fn report(quick: bool) -> (tempfile::TempDir, [String; 3], Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let built = written(folder.path(), &results(Profile::Published, quick), Some(&test_images()));
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
    let published = Published::load().unwrap();
    let printed = published.tables.iter().flat_map(|t| &t.rows).flat_map(|row| &row.values);
    let printed: Vec<String> = printed.map(|value| format!("{value:.4}")).collect();
    let shown: Vec<String> = with_class(&page, "print").into_iter().map(text).collect();
    assert_eq!(shown.len(), 204);
    assert_eq!(shown, printed);

    // One printed cell was left out, in one table; transfer has all others.
    let transfer = with_class(&page, "transfer");
    let missing: Vec<_> = transfer.iter().filter(|n| text(**n).contains("missing")).collect();
    assert_eq!((transfer.len(), missing.len()), (204, 1));
    assert!(missing[0].attribute("class").unwrap().contains("missing"));
    assert!(markdown.contains("0.9697; T missing; W missing"));

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
    assert!(text(with_class(&page, "banner")[0]).contains("say nothing about the method"));
    for name in ["title", "h1", "h2", "figcaption"] {
        for node in page.descendants().filter(|n| n.has_tag_name(name)) {
            assert!(text(node).contains("quick run"), "{name}: {}", text(node));
        }
    }
    assert!(markdown.contains("**This was a quick run**"));
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
    // And built once more in place, on more threads.
    let folder = tempfile::tempdir().unwrap();
    let built = written(folder.path(), &results(Profile::Published, false), Some(&test_images()));
    let before = std::fs::read(&built.html).unwrap();
    build(&Context::new(3).unwrap(), folder.path(), Some(&test_images())).unwrap();
    assert_eq!(before, std::fs::read(&built.html).unwrap());
}

#[test]
fn sentences_follow_the_settings() {
    let (_folder, [_, published, _], _) = report(false);
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
        "the teacher stays as it was initialised",
        "it is never trained: the published code hands its optimiser the wrong tensor",
        "those of `published`, with none of its values changed",
    ] {
        assert!(published.contains(words), "{words:?} is not in\n{published}");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut results = results(Profile::Paper, false);
    results.settings.set("fast_wave.dream.eps", "0.3").unwrap();
    let built = written(folder.path(), &results, None);
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
    std::fs::remove_file(folder.path().join(Run::FILE)).unwrap();
    std::fs::remove_file(folder.path().join("models/deepsleep-0.safetensors")).unwrap();
    std::fs::write(folder.path().join("crafted/pgd-64-255-0.safetensors"), "no").unwrap();
    let build = |test| build(&Context::new(1).unwrap(), folder.path(), test).unwrap();
    let test = test_images();
    let built = build(Some(&test));
    let [model, crafted, run] = &built.skipped[..] else { panic!("{:?}", built.skipped) };
    assert!(model.starts_with("Pictures of DeepSleep: models/deepsleep-0.safetensors"), "{model}");
    assert!(crafted.starts_with("Digits under pgd at 64/255: crafted/pgd-64-255-0"), "{crafted}");
    assert!(run.starts_with("Times and machine: run.json: cannot read"), "{run}");
    let html = std::fs::read_to_string(&built.html).unwrap();
    let page = parse(&html);
    let skipped = page.descendants().filter(|n| n.has_tag_name("li"));
    assert_eq!(skipped.filter(|n| text(*n).starts_with("Left out: ")).count(), 3);

    let without = build(None);
    assert!(without.skipped.iter().any(|line| line.contains("test images were not found")));
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
    let error = build(&Context::new(1).unwrap(), folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("no results.json in it") && error.lines().count() == 1, "{error}");
    std::fs::write(folder.path().join(Results::FILE), "{}").unwrap();
    let error = build(&Context::new(1).unwrap(), folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("results.json: missing field"), "{error}");
}

/// Writes a report to look at: `DEEPSLEEP_REPORT=DIR cargo test --test report -- --ignored`.
#[test]
#[ignore = "writes a report for people to look at, where DEEPSLEEP_REPORT says"]
fn a_report_to_look_at() {
    let folder = std::env::var_os("DEEPSLEEP_REPORT").expect("DEEPSLEEP_REPORT names a folder");
    std::fs::create_dir_all(&folder).unwrap();
    written(Path::new(&folder), &results(Profile::Published, true), Some(&test_images()));
}
