//! Every format but IDX, on small files made here, as other tools lay them out.

use deepsleep::checkpoint::Npz;
use deepsleep::data::{DataSource, Dataset, DatasetName, Format, IdxArray, SearchPath, Split};
use std::fs;
use std::io::Write;
use std::path::Path;

fn problem(place: &Path, split: Split) -> String {
    Dataset::load(place, split).expect_err("damage").to_string()
}

fn cifar(labels: &[&[u8]]) -> Vec<u8> {
    let record = |(i, label): (usize, &&[u8])| {
        let pixels = (0..3072).map(move |p| (p / 1024 * 100 + i) as u8);
        label.iter().copied().chain(pixels).collect::<Vec<u8>>()
    };
    labels.iter().enumerate().flat_map(record).collect()
}

#[test]
fn cifar_is_found_from_its_root_and_read_a_half_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cifar-10-batches-bin");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("test_batch.bin");
    fs::write(&file, cifar(&[&[9], &[3]])).unwrap();
    let path = SearchPath { data_dir: Some(root.path().to_owned()), ..SearchPath::default() };
    for source in [
        DataSource::at(root.path(), &[Split::Test]).unwrap(),
        DataSource::named(DatasetName::Cifar10, &path, &[Split::Test]).unwrap(),
    ] {
        assert_eq!((source.name.as_str(), source.format), ("cifar-10", Format::Cifar10));
        let set = source.load(Split::Test).unwrap();
        assert_eq!((set.labels(), set.classes()), (&[9, 3][..], 10));
        assert_eq!(set.shape(), [3, 32, 32].into());
        assert_eq!(set.image(1)[1024], 101.0 / 255.0);
    }
    assert!(problem(&folder, Split::Train).contains("lacks data_batch_1.bin"));
    fs::write(&file, cifar(&[&[10]])).unwrap();
    assert!(problem(&folder, Split::Test).contains("label number 0 is 10"));
    fs::write(&file, &cifar(&[&[1]])[..3000]).unwrap();
    assert!(problem(&folder, Split::Test).contains("3000 bytes are not a whole number of records"));

    // A hundred classes: the second label of each record.
    let hundred = tempfile::tempdir().unwrap();
    fs::write(hundred.path().join("test.bin"), cifar(&[&[1, 99]])).unwrap();
    let set = Dataset::load(hundred.path(), Split::Test).unwrap();
    assert_eq!((set.label(0), set.classes(), set.image(0)[2048]), (99, 100, 200.0 / 255.0));
}

/// Gray, of this many bits a pixel.
fn gray(path: &Path, [width, height]: [u32; 2], depth: png::BitDepth, pixels: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

/// The images of a shuffled folder with their labels, sorted.
fn found(set: &Dataset) -> Vec<(usize, Vec<f32>)> {
    let mut images: Vec<_> = (0..set.len()).map(|i| (set.label(i), set.image(i))).collect();
    images.sort_by(|a, b| a.partial_cmp(b).unwrap());
    images
}

#[test]
fn png_files_of_any_depth_keep_their_values() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join("test").join(name);
    let (one, eight, sixteen) = (png::BitDepth::One, png::BitDepth::Eight, png::BitDepth::Sixteen);
    let words = |values: [u16; 2]| values.map(u16::to_be_bytes).concat();
    gray(&at("a/1.png"), [2, 1], one, &[0b0100_0000]);
    gray(&at("a/2.png"), [2, 1], eight, &[1, 254]);
    let bytes = Dataset::load(root.path(), Split::Test).unwrap();
    let gray_bytes = vec![1.0 / 255.0, 254.0 / 255.0];
    assert_eq!(found(&bytes), [(0, vec![0.0, 1.0]), (0, gray_bytes.clone())]);
    // Bytes that were widened are the same images.
    gray(&at("a/2.png"), [2, 1], sixteen, &words([257, 254 * 257]));
    assert_eq!(Dataset::load(root.path(), Split::Test).unwrap(), bytes);
    gray(&at("b/3.png"), [2, 1], sixteen, &words([300, 60000]));
    gray(&at("b/4.png"), [2, 1], eight, &[7, 8]);
    let set = Dataset::load(root.path(), Split::Test).unwrap();
    let expected = [
        (0, vec![0.0, 1.0]),
        (0, gray_bytes),
        (1, vec![300.0 / 65535.0, 60000.0 / 65535.0]),
        (1, vec![7.0 / 255.0, 8.0 / 255.0]),
    ];
    assert_eq!(found(&set), expected);
    // Colors lie beside one another.
    let color = tempfile::tempdir().unwrap();
    let path = color.path().join("test/a/1.png");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(&path).unwrap(), 2, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(sixteen);
    let pixels = [300, 1, 2, 60000, 3, 4].map(u16::to_be_bytes).concat();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    let image = Dataset::load(color.path(), Split::Test).unwrap().image(0);
    assert_eq!(image, [300.0, 60000.0, 1.0, 3.0, 2.0, 4.0].map(|v: f32| v / 65535.0));
}

#[test]
fn bytes_that_mean_one_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("bits.npz");
    let save = |pixels: &[u8]| {
        let images = ("images", "|u1", "(1, 2, 2)", pixels);
        numpy(&path, &[images, ("labels", "|u1", "(1,)", &[0])]);
    };
    save(&[0, 1, 1, 0]);
    let found = problem(&path, Split::Test);
    assert!(found.contains("bits.npz: `images`: its largest byte is 1"), "{found}");
    assert!(found.contains("write floats from 0 to 1, or bytes from 0 to 255"), "{found}");
    for (pixels, first) in [([2, 1, 1, 0], 2.0 / 255.0), ([0; 4], 0.0)] {
        save(&pixels);
        assert_eq!(Dataset::load(&path, Split::Test).unwrap().image(0)[0], first);
    }
    for (name, dims, data) in [
        ("t10k-images-idx3-ubyte", vec![1, 2, 2], vec![0, 1, 0, 1]),
        ("t10k-labels-idx1-ubyte", vec![1], vec![0]),
    ] {
        IdxArray::new(dims, data).unwrap().save(root.path().join(name)).unwrap();
    }
    let found = problem(root.path(), Split::Test);
    assert!(found.contains("idx3-ubyte: its largest byte is 1"), "{found}");
}

#[test]
fn the_python_version_of_cifar_is_recognized() {
    for (folder, files, name) in [
        ("cifar-10-batches-py", &["test_batch", "data_batch_1"][..], DatasetName::Cifar10),
        ("cifar-100-python", &["test", "train", "meta"], DatasetName::Cifar100),
    ] {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join(folder);
        fs::create_dir(&inner).unwrap();
        files.iter().for_each(|file| fs::write(inner.join(file), b"\x80\x02}").unwrap());
        let path = SearchPath { data_dir: Some(root.path().to_owned()), ..SearchPath::default() };
        for found in [
            problem(root.path(), Split::Test),
            problem(&inner, Split::Train),
            DataSource::named(name, &path, &[Split::Test]).unwrap_err().to_string(),
        ] {
            let words = " holds the Python version of CIFAR-";
            let fetch = format!("`deepsleep-cli data fetch {name}` gets");
            assert!(
                found.contains(folder) && found.contains(words) && found.contains(&fetch),
                "{found}"
            );
        }
    }
}

fn png(path: &Path, [width, height]: [u32; 2], color: png::ColorType, pixels: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

/// The first images of a folder are of all classes, in proportion; those of a file that is sorted by class are not.
#[test]
fn images_of_a_folder_are_shuffled() {
    let root = tempfile::tempdir().unwrap();
    for (class, count) in [("ant", 20), ("bee", 40)] {
        for i in 0..count {
            let path = root.path().join(format!("test/{class}/{i:02}.png"));
            png(&path, [1, 1], png::ColorType::Grayscale, &[i]);
        }
    }
    let set = Dataset::load(root.path(), Split::Test).unwrap();
    let of = |class: usize| {
        let pixels =
            (0..60).filter(|&i| set.label(i) == class).map(|i| (set.image(i)[0] * 255.0) as u8);
        let mut pixels: Vec<u8> = pixels.collect();
        pixels.sort_unstable();
        pixels
    };
    // Every image once, with its own label.
    assert_eq!(of(0), (0..20).collect::<Vec<u8>>());
    assert_eq!(of(1), (0..40).collect::<Vec<u8>>());
    // Of the first ones and of every second one, some of both.
    let bees = |images: &[usize]| images.iter().filter(|&&i| set.label(i) == 1).count();
    let (first, second): (Vec<usize>, Vec<usize>) =
        ((0..15).collect(), (0..60).step_by(2).collect());
    assert!((6..=14).contains(&bees(&first)) && (12..=28).contains(&bees(&second)));
    assert_eq!(Dataset::load(root.path(), Split::Test).unwrap(), set);
    assert!(!set.is_sorted_by_class());
    let sorted = |labels: Vec<u8>| {
        let count = labels.len();
        Dataset::new(vec![0; count], labels, [1, 1, 1], 2).unwrap().is_sorted_by_class()
    };
    assert!(sorted((0..20).map(|i| u8::from(i >= 10)).collect()));
    assert!(!sorted((0..20).map(|i| i % 2).collect()) && !sorted(vec![1; 20]));
}

#[test]
fn a_folder_a_class_of_png_files_is_a_data_set() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    png(&at("test/dog/a.png"), [2, 1], png::ColorType::Rgb, &[1, 2, 3, 4, 5, 6]);
    png(&at("test/cat/b.PNG"), [2, 1], png::ColorType::Rgb, &[7, 8, 9, 10, 11, 12]);
    // A class of the other half alone counts too.
    png(&at("train/ant/c.png"), [2, 1], png::ColorType::Rgb, &[0; 6]);
    let set = Dataset::load(root.path(), Split::Test).unwrap();
    let images = found(&set);
    assert_eq!((images[0].0, images[1].0, set.classes()), (1, 2, 3));
    let bytes: Vec<f32> = images[1].1.iter().map(|p| p * 255.0).collect();
    assert_eq!(bytes, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    fs::rename(at("train/ant"), at("test/ant")).unwrap();
    fs::create_dir_all(at("train/dog")).unwrap();
    assert!(problem(root.path(), Split::Train).contains("no PNG files"));

    // What an archive brings along is no class, and would move the labels of others.
    fs::create_dir_all(at("test/__MACOSX/dog")).unwrap();
    assert_eq!(Dataset::load(root.path(), Split::Test).unwrap().classes(), 3);
    // Nothing is left out in silence.
    for (name, said) in [
        ("test/stray.png", "stray.png: an image outside of the folders of classes"),
        ("test/dog/more/d.png", "more: a folder within a class"),
    ] {
        let path = at(name);
        png(&path, [2, 1], png::ColorType::Rgb, &[0; 6]);
        let said_of = problem(root.path(), Split::Test);
        assert!(said_of.contains(said), "{name}: {said_of}");
        fs::remove_file(&path).unwrap();
        let _ = fs::remove_dir(path.parent().unwrap());
    }

    let other = at("test/dog/z.png");
    png(&other, [1, 1], png::ColorType::Rgb, &[1, 2, 3]);
    assert!(problem(root.path(), Split::Test).contains("z.png: an image of 3x1x1, but"));
    png(&other, [2, 1], png::ColorType::Rgba, &[0; 8]);
    assert!(problem(root.path(), Split::Test).contains("without transparency"));
    let mut bomb = fs::read(at("test/dog/a.png")).unwrap();
    bomb.truncate(40);
    fs::write(&other, bomb).unwrap();
    assert!(problem(root.path(), Split::Test).contains("z.png: no readable PNG file"));
}

#[test]
fn npz_files_are_read_in_both_layouts() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("mine.npz");
    let save = |dims: &[usize], pixels: Vec<f32>, labels: Vec<i64>| {
        let mut npz = Npz::default();
        npz.floats("images", dims, pixels).unwrap();
        npz.integers("labels", labels);
        npz.save(&path).unwrap();
    };
    let ramp = |count: usize| (0..count).map(|i| i as f32 / 100.0).collect::<Vec<f32>>();
    save(&[1, 4, 5, 3], ramp(60), vec![7]);
    let last = Dataset::load(&path, Split::Test).unwrap();
    assert_eq!((last.shape(), last.classes()), ([3, 4, 5].into(), 8));
    assert_eq!(last.image(0)[..3], [0.0, 0.03, 0.06]);
    save(&[1, 3, 4, 5], ramp(60), vec![7]);
    assert_eq!(Dataset::load(&path, Split::Test).unwrap().image(0), ramp(60));
    assert_ne!(last, Dataset::load(&path, Split::Test).unwrap());
    // One set of images is no training and test set.
    assert!(problem(&path, Split::Train).contains("taken for the test images"));
    for (dims, pixels, labels, words) in [
        (&[1, 8, 8, 8][..], vec![0.5; 512], vec![0], "does not say which axis"),
        (&[1, 2, 2], vec![1.5; 4], vec![0], "has a pixel of 1.5"),
        (&[2, 2, 2], vec![0.5; 8], vec![0], "2 images, but 1 labels"),
        (&[1, 2, 2], vec![0.5; 4], vec![-1], "number 0 is -1"),
        (&[1, 2, 2], vec![0.5; 4], vec![256], "number 0 is 256"),
    ] {
        save(dims, pixels, labels);
        let found = problem(&path, Split::Test);
        assert!(found.contains(words) && found.contains("mine.npz"), "{found}");
    }
}

/// scikit-learn's digits as numpy wrote them.
#[test]
fn the_digits_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/digits");
    let source = DataSource::at(&folder, &[Split::Train, Split::Test]).unwrap();
    assert_eq!((source.name.as_str(), source.format, source.classes), ("digits", Format::Npz, 10));
    let [train, test] = [Split::Train, Split::Test].map(|split| source.load(split).unwrap());
    assert_eq!((train.len(), test.len(), test.shape()), (1500, 297, [1, 8, 8].into()));
    assert_eq!(
        (&train.labels()[..5], &test.labels()[..5]),
        (&[0, 1, 2, 3, 4][..], &[1, 7, 4, 6, 3][..])
    );
    assert_eq!(test.image(0)[3..7], [0.1875, 0.75, 0.75, 0.125]);
    let sum: f32 = test.images_f32(0..297).iter().sum();
    assert_eq!(sum, 5817.0625);
}

/// An element of MATLAB's: type, length, data, filled to a multiple of 8.
fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

#[test]
fn svhn_is_read_column_by_column() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("test_32x32.mat");
    let matrix = |name: &[u8], dims: &[u32], data: &[u8]| {
        let dims: Vec<u8> = dims.iter().flat_map(|side| side.to_le_bytes()).collect();
        let parts = [element(6, &[0; 8]), element(5, &dims), element(1, name), element(2, data)];
        element(14, &parts.concat())
    };
    let pixels: Vec<u8> = (0..12).collect();
    let mut file = vec![b' '; 124];
    file.extend([0, 1, b'I', b'M']);
    // Two images of two rows and one column, three channels.
    file.extend(matrix(b"X", &[2, 1, 3, 2], &pixels));
    file.extend(matrix(b"y", &[2, 1], &[10, 3]));
    fs::write(&path, &file).unwrap();
    let set = Dataset::load(root.path(), Split::Test).unwrap();
    assert_eq!((set.labels(), set.shape()), (&[0, 3][..], [3, 2, 1].into()));
    assert_eq!(set.image(1)[0], 6.0 / 255.0);
    let doubles =
        [element(6, &[0; 8]), element(5, &[0; 16]), element(1, b"X"), element(9, &[0; 8])];
    let bits = [matrix(b"X", &[2, 1, 3, 1], &[0, 1, 0, 1, 0, 1]), matrix(b"y", &[1, 1], &[1])];
    let labels = [element(6, &[0; 8]), element(5, &[0; 8]), element(1, b"y"), element(7, &[0; 4])];
    for (arrays, words) in [
        (
            element(14, &doubles.concat()),
            "`X` holds 64-bit floats (double); expected bytes (uint8)",
        ),
        (element(14, &labels.concat()), "`y` holds 32-bit floats (single); expected bytes"),
        (bits.concat(), "`X`: its largest byte is 1"),
    ] {
        fs::write(&path, [&file[..128], &arrays].concat()).unwrap();
        let found = problem(root.path(), Split::Test);
        assert!(found.contains(words), "{found}");
    }
    fs::write(&path, b"MATLAB 7.3 MAT-file, Platform: GLNXA64").unwrap();
    let found = problem(root.path(), Split::Test);
    assert!(found.contains("version 7.3, which is HDF5") && found.contains("savemat"), "{found}");
    for cut in [0, 100, 127, 129, 150, 200, file.len() - 9] {
        fs::write(&path, &file[..cut]).unwrap();
        assert!(problem(root.path(), Split::Test).contains("test_32x32.mat: "));
    }
}

/// An npz file of arrays that are only announced: type, shape, and no elements.
fn announced(path: &Path, arrays: &[(&str, &str, &str)]) {
    let empty = arrays.iter().map(|&(name, kind, shape)| (name, kind, shape, &[][..]));
    numpy(path, &empty.collect::<Vec<_>>());
}

/// An npz file of arrays: name, type, shape, elements.
fn numpy(path: &Path, arrays: &[(&str, &str, &str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, kind, shape, elements) in arrays {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"\x93NUMPY\x01\0").unwrap();
        zip.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        zip.write_all(header.as_bytes()).unwrap();
        zip.write_all(elements).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn huge_claims_are_refused_before_memory_is_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("huge.npz");
    for (images, labels, words) in [
        (("<f4", "(2, 99999, 99999)"), ("|u1", "(2,)"), "`labels`: truncated"),
        (("<f4", "(1, 1, 1)"), ("|u1", "(200000000,)"), "more than 1073741824 bytes"),
        (
            ("<f4", "(0, 99999999, 99999999)"),
            ("|u1", "(0,)"),
            "1 x 99999999 x 99999999 pixels are too large",
        ),
        (("<f4", "(0, 20000, 20000)"), ("|u1", "(0,)"), "1 x 20000 x 20000 pixels are too large"),
        (("|u1", "(18446744073709551615, 2)"), ("|u1", "(0,)"), "has more than"),
        (("|b1", "(0, 2, 2)"), ("|u1", "(0,)"), "`images`: it is of type |b1; expected bytes"),
        (("|u1", "(0, 2, 2)"), ("<f4", "(0,)"), "`labels`: it is of type <f4; expected whole"),
    ] {
        announced(&path, &[("images", images.0, images.1), ("labels", labels.0, labels.1)]);
        let found = problem(&path, Split::Test);
        assert!(found.contains("huge.npz: ") && found.contains(words), "{images:?}: {found}");
    }
    let bomb = root.path().join("bombs/test/a/bomb.png");
    fs::create_dir_all(bomb.parent().unwrap()).unwrap();
    let encoder = png::Encoder::new(fs::File::create(&bomb).unwrap(), 60_000, 60_000);
    encoder.write_header().unwrap().write_chunk(png::chunk::IDAT, b"nothing").unwrap();
    let found = problem(&root.path().join("bombs"), Split::Test);
    assert!(found.contains("bomb.png: an image of 60000x60000 pixels is too large"), "{found}");
}

/// Which of two sets of images is meant, the file does not say.
#[test]
fn an_npz_file_with_two_kinds_of_names_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("both.npz");
    for (images, labels, words) in [
        (&["", "test_", "train_"][..], &["", "test_", "train_"][..], "`images` and `train_images`"),
        (&["", "train_"], &["", "train_"], "`images` and `train_images`"),
        (&[""], &["", "test_"], "`images` and `test_labels`"),
        (&["test_"], &["", "test_"], "`labels` and `test_images`"),
    ] {
        let mut npz = Npz::default();
        for prefix in images {
            npz.floats(&format!("{prefix}images"), &[2, 1, 4, 4], vec![0.5; 32]).unwrap();
        }
        for prefix in labels {
            npz.integers(&format!("{prefix}labels"), vec![0, 1]);
        }
        npz.save(&path).unwrap();
        for split in [Split::Test, Split::Train] {
            let found = problem(&path, split);
            assert!(found.contains(words), "{found}");
        }
    }
}

#[test]
fn a_file_that_is_no_npz_file_is_called_what_it_is() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("mine");
    for (content, words) in [
        (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "it is a PNG picture; a data set is one npz file"),
        (b"", "it is empty; a data set is one npz file"),
        (b"PK\x03\x04 and no more", "not a readable npz file"),
        (b"\x01\x02\x03\x04", "not a readable npz file"),
    ] {
        fs::write(&path, content).unwrap();
        let found = problem(&path, Split::Test);
        assert!(found.contains("mine: ") && found.contains(words), "{found}");
    }
}
