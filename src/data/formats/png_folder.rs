//! One PNG file per image, one folder per class: `train/CLASS/NAME.png` and `test/CLASS/NAME.png`. Classes are sorted by
//! the bytes of their names, as in torchvision's `ImageFolder`.

use super::{MOST_PIXELS, Missing, missing};
use crate::data::Dataset;
use crate::data::files::Split;
use crate::files::open_regular;
use crate::tensor::Shape;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The largest file and the largest image, in bytes.
const MOST: u64 = 1 << 26;

/// Classes that labels have room for.
const MOST_CLASSES: usize = 256;

/// The folder first, then what is read in it: its classes, and images that lie elsewhere.
pub(super) fn files(place: &Path, split: Split) -> Result<Vec<PathBuf>, Missing> {
    let folder = place.join(split.to_string());
    // Any folder may be called so: that of a data set has classes in it.
    if let Ok(classes) = entries(&folder, Path::is_dir)
        && !classes.is_empty()
    {
        let classes: Vec<PathBuf> = classes.iter().map(|class| folder.join(class)).collect();
        let links: Vec<PathBuf> = classes.iter().flat_map(|class| links(class)).collect();
        return Ok([vec![folder], classes, links].concat());
    }
    Err(Missing { names: vec![format!("{split}/CLASS/*.png")], partly: false })
}

/// The images in a folder that lie elsewhere.
fn links(folder: &Path) -> Vec<PathBuf> {
    let names = entries(folder, Path::is_symlink).unwrap_or_default();
    names.iter().map(|name| folder.join(name)).collect()
}

/// The names of what `keep` keeps in a folder, sorted; hidden ones are left out.
fn entries(folder: &Path, keep: impl Fn(&Path) -> bool) -> Result<Vec<OsString>> {
    let fail = |error| Error::io(folder, "read", error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && keep(&folder.join(&name)) {
            names.push(name);
        }
    }
    names.sort_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
    Ok(names)
}

/// The classes of both halves, as far as these are there.
pub(super) fn class_names(place: &Path) -> Result<Vec<OsString>> {
    let mut names = BTreeSet::new();
    for split in [Split::Train, Split::Test] {
        let folder = place.join(split.to_string());
        if folder.is_dir() {
            names.extend(entries(&folder, Path::is_dir)?);
        }
    }
    let mut names: Vec<OsString> = names.into_iter().collect();
    names.sort_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
    // It would be a class all the same, and those after it would get other labels.
    let is_empty = |name: &&OsString| {
        [Split::Train, Split::Test].iter().all(|split| {
            let folder = place.join(split.to_string()).join(name);
            !folder.is_dir() || entries(&folder, is_image).is_ok_and(|images| images.is_empty())
        })
    };
    if let Some(empty) = names.iter().find(is_empty) {
        let problem = "a class without an image, in train and in test; remove its folder";
        return Err(Error::format(place.join(empty), problem));
    }
    if names.is_empty() || names.len() > MOST_CLASSES {
        let problem =
            format!("{} folders of classes in it; there may be 1 to {MOST_CLASSES}", names.len());
        return Err(Error::format(place, problem));
    }
    Ok(names)
}

pub(super) fn read(place: &Path, split: Split) -> Result<Dataset> {
    let folders = files(place, split).map_err(|m| missing(place, &m))?;
    let classes = class_names(place)?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    let mut first: Option<(Shape, PathBuf)> = None;
    if let Some(stray) = entries(&folders[0], is_image)?.first() {
        let problem = "an image outside of the folders of classes: move it to one";
        return Err(Error::format(folders[0].join(stray), problem));
    }
    for (label, class) in classes.iter().enumerate() {
        let folder = folders[0].join(class);
        if !folder.is_dir() {
            continue;
        }
        if let Some(other) = entries(&folder, is_other_image)?.first() {
            let problem = "an image that is no PNG file, as all have to be here: convert it first";
            return Err(Error::format(folder.join(other), problem));
        }
        if let Some(inner) = entries(&folder, Path::is_dir)?.first() {
            let problem = "a folder within a class, whose images would be left out: move them up";
            return Err(Error::format(folder.join(inner), problem));
        }
        for name in entries(&folder, is_png)? {
            let path = folder.join(name);
            let shape = decode(&path, &mut images)?;
            match &first {
                Some((expected, other)) if *expected != shape => {
                    let problem = format!(
                        "an image of {shape}, but {} has {expected}; all have to be alike",
                        other.display()
                    );
                    return Err(Error::format(path, problem));
                }
                Some(_) => {}
                None => first = Some((shape, path.clone())),
            }
            labels.push(label as u8);
            if images.len() > MOST_PIXELS {
                let problem = format!("more than {MOST_PIXELS} pixels in all");
                return Err(Error::format(&folders[0], problem));
            }
        }
    }
    let Some((shape, _)) = first else {
        return Err(Error::format(&folders[0], "no PNG files in its folders of classes"));
    };
    Dataset::new(images, labels, shape, classes.len()).map_err(|error| error.in_file(place))
}

fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png"))
}

/// Whether its name is that of an image, which may be in another format than PNG.
fn is_image(path: &Path) -> bool {
    is_png(path) || is_other_image(path)
}

/// Whether its name is that of an image in another format than PNG.
fn is_other_image(path: &Path) -> bool {
    let others = ["jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm"];
    path.extension().is_some_and(|end| others.iter().any(|other| end.eq_ignore_ascii_case(other)))
}

/// Appends the pixels of a file, channel by channel.
fn decode(path: &Path, images: &mut Vec<u8>) -> Result<Shape> {
    let fail = |error: png::DecodingError| {
        Error::format(path, format!("no readable PNG file: {error}; obtain it again"))
    };
    let file = BufReader::new(open_regular(path, MOST)?);
    let limits = png::Limits { bytes: MOST as usize };
    let mut decoder = png::Decoder::new_with_limits(file, limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(fail)?;
    let size = reader.output_buffer_size().filter(|&size| size as u64 <= MOST);
    let Some(size) = size else {
        let info = reader.info();
        let problem = format!("an image of {}x{} pixels is too large", info.height, info.width);
        return Err(Error::format(path, problem));
    };
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(fail)?;
    let channels = match frame.color_type {
        png::ColorType::Grayscale => 1,
        png::ColorType::Rgb => 3,
        other => {
            let problem = format!(
                "its pixels are {other:?}; only gray and RGB are read, without transparency: convert it first"
            );
            return Err(Error::format(path, problem));
        }
    };
    let pixels = &pixels[..frame.buffer_size()];
    for c in 0..channels {
        images.extend(pixels.iter().skip(c).step_by(channels));
    }
    Ok(Shape::new(channels, frame.height as usize, frame.width as usize))
}
