//! One PNG file per image, one folder per class: `train/CLASS/NAME.png` and `test/CLASS/NAME.png`. Classes are sorted by
//! the bytes of their names, as in torchvision's `ImageFolder`, and so are the images of a class; then all
//! are shuffled, always in the same way, so that a part of a set is of all classes.

#[cfg(feature = "png")]
use super::png_file::decode;
use super::{MOST_PIXELS, Missing, missing};
use crate::data::Dataset;
use crate::data::dataset::Pixels;
use crate::data::files::Split;
use crate::simd::random::Key;
use crate::tensor::Shape;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

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

/// The names of what `keep` keeps in a folder, sorted. Hidden ones are left out, and what archives of a Mac bring along.
fn entries(folder: &Path, keep: impl Fn(&Path) -> bool) -> Result<Vec<OsString>> {
    let fail = |error| Error::io(folder, "read", error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX";
        if !is_hidden && keep(&folder.join(&name)) {
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
    let mut found: Vec<(usize, PathBuf)> = Vec::new();
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
        let names = entries(&folder, is_png)?.into_iter();
        found.extend(names.map(|name| (label, folder.join(name))));
    }
    // Class by class, the first images were of one class; with classes in turn, so would every second one of two be.
    let (mut images, mut labels) = (Pixels::Bytes(Vec::new()), Vec::new());
    let mut first: Option<(Shape, PathBuf)> = None;
    for i in Key::new(0).named("folder").order(found.len()) {
        let (label, path) = &found[i];
        let shape = decode(path, &mut images)?;
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
        labels.push(*label as u8);
        if images.len() > MOST_PIXELS {
            let problem = format!("more than {MOST_PIXELS} pixels in all");
            return Err(Error::format(&folders[0], problem));
        }
    }
    let Some((shape, _)) = first else {
        return Err(Error::format(&folders[0], "no PNG files in its folders of classes"));
    };
    let set = match images {
        Pixels::Bytes(bytes) => Dataset::new(bytes, labels, shape, classes.len()),
        Pixels::Floats(floats) => Dataset::from_floats(floats, labels, shape, classes.len()),
    };
    set.map_err(|error| error.in_file(place))
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

/// That this build reads none.
#[cfg(not(feature = "png"))]
fn decode(path: &Path, _: &mut Pixels) -> Result<Shape> {
    Err(super::unreadable(path, "png"))
}
