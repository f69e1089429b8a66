//! Data sets that are none, at every subcommand that reads one.

use crate::{Folder, read, run};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

const MODEL: &str = "tests/golden/lenet_weights.safetensors";

/// An IDX file of bytes, whether or not the dimensions are theirs.
fn idx(dimensions: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|d| file.extend(d.to_be_bytes()));
    file.extend(bytes);
    file
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Change = fn(images: Vec<u8>, labels: Vec<u8>) -> [Vec<u8>; 2];

#[test]
fn what_is_no_data_set_is_refused_by_every_subcommand() {
    let cases: [(&str, Change, &[&str]); 13] = [
        (
            "exchanged",
            |images, labels| [labels, images],
            &["labels-idx1-ubyte: labels need 1 dimension"],
        ),
        (
            "truncated",
            |images, labels| [images[..images.len() - 1].to_vec(), labels],
            &["images-idx3", "truncated"],
        ),
        (
            "truncated-gz",
            |images, labels| {
                let packed = gzipped(&images);
                [packed[..packed.len() / 2].to_vec(), labels]
            },
            &["images-idx3-ubyte: truncated"],
        ),
        (
            "count",
            |images, labels| [images, idx(&[39], &labels[8..47])],
            &["40 images, but 39 labels"],
        ),
        (
            "label",
            |images, labels| [images, [&labels[..47], &[10]].concat()],
            &["labels-idx1", "label number 39 is 10, but the classes are 0 to 9"],
        ),
        (
            "shape",
            |_, labels| [idx(&[40, 27, 28], &[9; 40 * 27 * 28]), labels],
            &["images of 1x27x28 pixels", "1x28x28"],
        ),
        (
            "colors",
            |_, labels| [idx(&[40, 3, 28, 28], &[9; 40 * 3 * 784]), labels],
            &["images of 3x28x28 pixels"],
        ),
        (
            "empty",
            |_, labels| [vec![], labels],
            &["images-idx3", "truncated within the IDX header"],
        ),
        ("longer", |images, labels| [[&images[..], &[0]].concat(), labels], &["bytes left over"]),
        ("huge", |_, labels| [idx(&[u32::MAX, 28, 28], &[0]), labels], &["3367254359280 bytes"]),
        (
            "floats",
            |images, labels| [[&[0, 0, 13], &images[3..]].concat(), labels],
            &["images-idx3-ubyte"],
        ),
        (
            "text",
            |_, labels| [b"<html>404</html>".to_vec(), labels],
            &["images-idx3-ubyte", "it is a web page (HTML)"],
        ),
        (
            "junk",
            |images, labels| [[&gzipped(&images)[..], b"junk"].concat(), labels],
            &["images-idx3-ubyte: junk after the end of the gzip data: bytes 6a 75 6e 6b"],
        ),
    ];
    for (name, change, words) in cases {
        let folder = Folder::new();
        let data = folder.small_data(40, 40);
        for half in ["train", "t10k"] {
            let [images, labels] = ["images-idx3-ubyte", "labels-idx1-ubyte"]
                .map(|kind| folder.path(&format!("{half}-{kind}")));
            let changed = change(read(&images), read(&labels));
            [images, labels]
                .iter()
                .zip(changed)
                .for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        }
        let before = folder.names("");
        let [out, results] = ["out.svg", "results"].map(|name| folder.argument(name));
        let attack = ["--attack", "fgsm", "--eps", "0.1"];
        for arguments in [
            vec!["train", "--batch-size", "8", "--out", &out],
            vec!["train", "--defense", "fast-wave", "--from", MODEL, "--out", &out],
            vec!["evaluate", "--model", MODEL],
            [&["evaluate", "--model", MODEL, "--out", &out][..], &attack].concat(),
            [&["attack", "--model", MODEL, "--save", &out][..], &attack].concat(),
            vec!["inspect", MODEL, "--raster", &out],
            vec!["reproduce", "--quick", "--table", "1", "--out", &results],
        ] {
            // They are the images of another network, which can be trained.
            let begins = arguments[0] == "reproduce" || !arguments.contains(&MODEL);
            if begins && ["shape", "colors"].contains(&name) {
                continue;
            }
            run(&[&arguments[..], &["--data-dir", &data]].concat()).assert_fails(1, words);
            assert_eq!(folder.names(""), before, "{name}: {arguments:?}");
        }
        let verified = run(&["data", "verify", "mnist", "--data-dir", &data]);
        assert_eq!(verified.code, Some(1));
        assert_eq!(verified.stdout.matches("WRONG ").count(), 4, "{}", verified.stdout);
    }
}

#[test]
fn a_data_set_without_images_is_wrong_use() {
    let folder = Folder::new();
    // Nothing is trained that could not be evaluated then.
    let data = folder.small_data(20, 0);
    let out = folder.argument("out");
    for arguments in [
        &["train", "--batch-size", "8", "--out", &out][..],
        &["train", "--defense", "fast-wave", "--from", MODEL, "--out", &out],
        &["reproduce", "--quick", "--out", &folder.argument("results")],
    ] {
        let run = run(&[arguments, &["--data-dir", &data]].concat());
        run.assert_fails(2, &["there are 0 test images"]);
    }
    let folder = Folder::new();
    let data = folder.small_data(0, 0);
    for arguments in [
        &["train", "--batch-size", "8", "--out", &folder.argument("out")][..],
        &["evaluate", "--model", MODEL],
        &["attack", "--model", MODEL, "--attack", "fgsm", "--eps", "0.1"],
        &["inspect", MODEL],
        &["reproduce", "--quick", "--out", &folder.argument("results")],
    ] {
        run(&[arguments, &["--data-dir", &data]].concat()).assert_fails(2, &["there are", " 0 t"]);
    }
}

/// A file and the same one packed beside it, as torchvision leaves them, have to hold the same.
#[test]
fn a_packed_file_that_differs_is_named() {
    let folder = Folder::new();
    let data = folder.small_data(20, 20);
    let evaluate = ["evaluate", "--model", MODEL, "--data-dir", &data];
    let before = run(&evaluate);
    let labels = read(folder.path("t10k-labels-idx1-ubyte"));
    let packed = folder.path("t10k-labels-idx1-ubyte.gz");
    std::fs::write(&packed, gzipped(&labels)).unwrap();
    assert_eq!((before.code, run(&evaluate).code), (Some(0), Some(0)));
    let other: Vec<u8> = [&labels[..8], &[1; 20]].concat();
    std::fs::write(&packed, gzipped(&other)).unwrap();
    run(&evaluate)
        .assert_fails(1, &["t10k-labels-idx1-ubyte", ".gz beside it holds something else"]);
    std::fs::remove_file(&packed).unwrap();
    // Another data set in the same folder, in another format.
    for half in ["train", "test"] {
        std::fs::write(folder.path(&format!("{half}.npz")), "x").unwrap();
    }
    let place = ["evaluate", "--model", MODEL, "--data", data.trim_end_matches('/')];
    run(&place).assert_fails(1, &["several data sets (IDX files, npz files)"]);
}

/// Folders are numbered in the order of their names: where one is missing, the labels behind it would be others.
#[test]
fn folders_of_fewer_classes_than_the_network_tells_are_refused() {
    let folder = Folder::new();
    let write = |name: String| {
        let path = folder.path(&name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 28, 28);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[0; 28 * 28]).unwrap();
    };
    (0..9).for_each(|class| write(format!("test/{class}/0.png")));
    let data = folder.argument("");
    let evaluate = ["evaluate", "--model", MODEL, "--data", data.trim_end_matches('/')];
    run(&evaluate).assert_fails(1, &["folders of 9 classes; the network has 10"]);
    std::fs::create_dir(folder.path("test/9")).unwrap();
    assert_eq!(run(&evaluate).code, Some(0));
    std::fs::write(folder.path("test/9/photo.JPG"), "x").unwrap();
    run(&evaluate).assert_fails(1, &["photo.JPG", "no PNG file"]);
}
