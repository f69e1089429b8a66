//! The named arrays that training changes.

use crate::Result;
use crate::autodiff::{Tape, Weight};

/// One array that training changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// As in a PyTorch state dict, e.g. `conv1.weight`.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Numbers in row-major order.
    pub values: Vec<f32>,
}

/// A network's parameters, in a fixed order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(Vec<Parameter>);

impl Parameters {
    /// Adds an array; returns its place.
    ///
    /// # Panics
    /// If the shape's product is not the number of values: a mistake in the network's code.
    pub fn push(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> usize {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: {shape:?}");
        self.0.push(Parameter { name: name.to_owned(), shape: shape.to_vec(), values });
        self.0.len() - 1
    }

    /// All, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Parameter> {
        self.0.iter()
    }

    /// Mutable access to all of them, in order.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Parameter> {
        self.0.iter_mut()
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.iter().find(|parameter| parameter.name == name)
    }

    /// Mutable access to the parameter of this name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Parameter> {
        self.0.iter_mut().find(|parameter| parameter.name == name)
    }

    /// How many arrays there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers there are in all.
    pub fn count(&self) -> usize {
        self.iter().map(|parameter| parameter.values.len()).sum()
    }

    /// Puts all of them on a tape; `into` gets them in order.
    ///
    /// # Errors
    /// If one has more than four dimensions.
    pub fn record(&self, tape: &mut Tape, into: &mut Vec<Weight>) -> Result<()> {
        into.clear();
        for parameter in self.iter() {
            into.push(tape.weight(&parameter.shape, &parameter.values)?);
        }
        Ok(())
    }
}

impl std::ops::Index<usize> for Parameters {
    type Output = Parameter;

    fn index(&self, i: usize) -> &Parameter {
        &self.0[i]
    }
}

impl<'a> IntoIterator for &'a Parameters {
    type Item = &'a Parameter;
    type IntoIter = std::slice::Iter<'a, Parameter>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
