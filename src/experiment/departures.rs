//! What of some results is not the paper's: another network or other images have nothing to replicate.

use super::{ExperimentSpec, Results};
use crate::data::DataIdentity;
use crate::nn::architecture::Architecture;

/// MNIST, all of its images.
const TEST: &str = "f0b45b3456b13167c01f265a44ba1f94";
const TRAIN: &str = "360f8d9f1c4cbab7b6244ca935988b54";
/// How engines before version 9 of the numerics described the paper's network.
const FORMER_LENET: &str = "input 1x28x28; conv1 1>10 5x5 stride [1, 1] padding [0, 0] groups 1 without bias; bn1 batch-norm 10 eps 1e-5; relu, max-pool 2x2; conv2 10>20 5x5 stride [1, 1] padding [0, 0] groups 1 without bias; bn2 batch-norm 20 eps 1e-5; relu, max-pool 2x2; fc 320>10 without bias";

/// Whether this is the paper's network; results of an engine that did not note theirs are of it.
fn is_lenet(network: &str) -> bool {
    ["", FORMER_LENET, &Architecture::default().to_string()].contains(&network)
}

fn is_mnist(data: &DataIdentity) -> bool {
    [&data.train.fingerprint, &data.test.fingerprint] == [TRAIN, TEST]
}

impl ExperimentSpec {
    /// Whether the network and its images are the paper's, so that its printed numbers can be expected.
    pub fn is_of_the_paper(&self) -> bool {
        is_lenet(&self.architecture.to_string()) && is_mnist(&self.data)
    }
}

impl Results {
    /// The network, if it is not the paper's.
    pub fn other_network(&self) -> Option<&str> {
        (!is_lenet(&self.network)).then_some(&self.network)
    }

    /// The name of the data set, if it is not the paper's.
    pub fn other_data(&self) -> Option<&str> {
        self.data.as_ref().filter(|data| !is_mnist(data)).map(|data| data.name.as_str())
    }

    /// Whether the network and its images are the paper's, so that its printed numbers can be expected.
    pub fn is_of_the_paper(&self) -> bool {
        self.other_network().is_none() && self.other_data().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Profile, Settings};

    #[test]
    fn only_lenet_on_mnist_is_the_paper_s() {
        let mut results = Results::new(Settings::new(Profile::Published));
        assert!(results.is_of_the_paper());
        for (network, paper) in
            [(Architecture::default().to_string(), true), ("12 nodes, 1x28x28".to_owned(), false)]
        {
            results.network = network;
            assert_eq!(results.is_of_the_paper(), paper);
        }
    }
}
