//! Changing options with `with`: their structs may grow, so code outside the crate cannot write one out in full.

/// Gives a struct of options its `with`.
macro_rules! with {
    ($options:ident) => {
        impl $options {
            /// These options, changed: fields are public, and more of them may come.
            #[must_use]
            pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
                change(&mut self);
                self
            }
        }
    };
}

pub(crate) use with;
