//! Fingerprints of images, which tell apart two data sets with the same name.

use super::Dataset;
use super::dataset::Pixels;
use crate::fingerprint::Fingerprint;
use crate::tensor::Shape;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Which images and labels, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSet {
    /// How many.
    pub images: usize,
    /// Of pixels and labels ([`Dataset::fingerprint`]), 32 hexadecimal digits.
    pub fingerprint: String,
}

impl ImageSet {
    /// All images of a data set.
    pub fn of(data: &Dataset) -> Self {
        Self { images: data.len(), fingerprint: data.fingerprint(0..data.len()) }
    }

    /// The first images of a data set; all of them if there are no more.
    pub fn of_first(data: &Dataset, count: usize) -> Self {
        let images = count.min(data.len());
        Self { images, fingerprint: data.fingerprint(0..images) }
    }
}

impl fmt::Display for ImageSet {
    /// The number, and as much of the fingerprint as tells two apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start: String = self.fingerprint.chars().take(12).collect();
        write!(f, "{} images with fingerprint {start}", self.images)
    }
}

/// The two halves of a data set, with the name that the user gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataIdentity {
    /// For people: files of one's own may have any name.
    pub name: String,
    /// Training images.
    pub train: ImageSet,
    /// Test images.
    pub test: ImageSet,
}

impl DataIdentity {
    /// All images of both halves.
    pub fn of(name: impl Into<String>, train: &Dataset, test: &Dataset) -> Self {
        Self { name: name.into(), train: ImageSet::of(train), test: ImageSet::of(test) }
    }

    /// How these images differ from `ours`, in words; nothing if they do not.
    pub fn differences(&self, ours: &Self) -> Vec<String> {
        let halves = [("training", &self.train, &ours.train), ("test", &self.test, &ours.test)];
        let other = halves.into_iter().filter(|(_, theirs, ours)| theirs != ours);
        let say = |(half, theirs, here): (&str, &ImageSet, &ImageSet)| {
            let named = |name: &str, set| match name {
                "" => format!("{set}"),
                name => format!("{name} {set}"),
            };
            let (theirs, here) = (named(&self.name, theirs), named(&ours.name, here));
            format!("other {half} images ({theirs}, not {here})")
        };
        let mut all: Vec<String> = other.map(say).collect();
        // Arrays that were passed in have no name.
        let named = !self.name.is_empty() && !ours.name.is_empty();
        if all.is_empty() && named && self.name != ours.name {
            all.push(format!("the data set's name {}, not {}", self.name, ours.name));
        }
        all
    }
}

impl Dataset {
    /// The fingerprint of the images of `range` and their labels: another one as soon as a pixel, a label, the order,
    /// the shape or the number of classes is another.
    ///
    /// # Panics
    /// As slicing does, if `range` is reversed or reaches beyond [`len`](Self::len).
    pub fn fingerprint(&self, range: Range<usize>) -> String {
        let labels = &self.labels()[range.clone()];
        let Shape { channels, height, width } = self.shape();
        let shape = [channels, height, width]
            .into_iter()
            .fold(Fingerprint::of("images"), |all, side| all.number(side as u64));
        let begun = shape.number(self.classes() as u64).bytes(labels);
        let pixels = range.start * self.shape().features()..range.end * self.shape().features();
        match self.pixels() {
            Pixels::Bytes(bytes) => begun.bytes(&bytes[pixels]).finish(),
            Pixels::Floats(floats) => {
                let bits: Vec<u8> =
                    floats[pixels].iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
                begun.bytes(b"f32").bytes(&bits).finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pixels: [u8; 4], labels: [u8; 2]) -> Dataset {
        Dataset::new(pixels.to_vec(), labels.to_vec(), [1, 1, 2], 10).expect("two images")
    }

    #[test]
    fn pixels_labels_order_and_number_make_another_set() {
        let ours = ImageSet::of(&set([1, 2, 3, 4], [5, 6]));
        assert_eq!(ours, ImageSet::of(&set([1, 2, 3, 4], [5, 6])));
        for other in [
            ImageSet::of(&set([1, 2, 3, 5], [5, 6])),
            ImageSet::of(&set([1, 2, 3, 4], [6, 5])),
            ImageSet::of(&set([3, 4, 1, 2], [6, 5])),
            ImageSet::of_first(&set([1, 2, 3, 4], [5, 6]), 1),
        ] {
            assert_ne!(ours.fingerprint, other.fingerprint);
        }
        let tall = Dataset::new(vec![1, 2, 3, 4], vec![5, 6], [1, 2, 1], 10).expect("two images");
        assert_ne!(ours, ImageSet::of(&tall));
        // What is not there is not read; more than there are, are all.
        let first = ImageSet::of_first(&set([1, 2, 3, 4], [5, 6]), 1);
        assert_eq!(first, ImageSet::of_first(&set([1, 2, 9, 9], [5, 9]), 1));
        assert_eq!(ours, ImageSet::of_first(&set([1, 2, 3, 4], [5, 6]), 7));
    }

    #[test]
    fn what_differs_is_named() {
        let of = |labels| {
            let set = set([1, 2, 3, 4], labels);
            DataIdentity::of("digits", &set, &set)
        };
        assert_eq!(of([5, 6]).differences(&of([5, 6])), Vec::<String>::new());
        let other = of([5, 6]).differences(&of([6, 7]));
        assert_eq!(other.len(), 2);
        assert!(other[0].starts_with("other training images (digits 2 images with"), "{other:?}");
        assert!(other[1].starts_with("other test images"), "{other:?}");
        let renamed = DataIdentity { name: "letters".into(), ..of([5, 6]) };
        assert_eq!(renamed.differences(&of([5, 6])), ["the data set's name letters, not digits"]);
        let unnamed = DataIdentity { name: String::new(), ..of([5, 6]) };
        assert_eq!(unnamed.differences(&of([5, 6])), Vec::<String>::new());
    }
}
