//! The origin of crafted images, as far as their file records it.

use crate::model::Identity;
use deepsleep::checkpoint::NpzReader;
use deepsleep::evaluation::{Crafted, ThreatModel, about};
use deepsleep::wording::{significant, written};
use serde::Deserialize;
use std::io::{Read, Seek};

/// What `attack --save` notes about a set; a file from elsewhere may say nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct SetOrigin {
    /// The attack with its options.
    pub specification: Option<String>,
    pub dataset: Option<String>,
    /// The network that they were made on.
    maker: Option<Identity>,
}

impl SetOrigin {
    pub fn of<R: Read + Seek>(file: &mut NpzReader<R>) -> Self {
        about(file).and_then(|about| serde_json::from_value(about).ok()).unwrap_or_default()
    }

    /// What the images' maker knew of this network: everything, if it is the one that they were made on.
    pub fn threat(&self, network: &Identity) -> ThreatModel {
        match self.maker.as_ref() == Some(network) {
            true => ThreatModel::WhiteBox,
            false => ThreatModel::Transfer,
        }
    }
}

/// What images of a set lie outside of, and by how much at most.
pub fn beyond(crafted: &Crafted) -> String {
    let budget = crafted.budget();
    let (mut of_ball, mut of_box) = (0.0, 0.0);
    for i in (0..crafted.samples().len()).filter(|&i| !crafted.is_inside(i)) {
        let (distance, overshoot) = crafted.reach(i);
        of_ball = f64::max(of_ball, distance - f64::from(budget.eps));
        of_box = f64::max(of_box, overshoot);
    }
    let mut text = "0..=1".to_owned();
    if of_box > 0.0 {
        text += &format!(" (by up to {})", significant(of_box));
    }
    if crafted.is_bounded() {
        text += &format!(" or of the ball ({}, eps {}", budget.norm, written(budget.eps));
        if of_ball > 0.0 {
            text += &format!("; by up to {}", significant(of_ball));
        }
        text += ")";
    }
    text
}
