//! From what users ask for to an [`ExperimentSpec`]: what the command line and Python fill in.

use super::sheet::{Quick, Sheet};
use super::spec::ExperimentSpec;
use crate::Result;
use crate::data::{DataIdentity, Dataset, ImageSet};
use crate::evaluation::ThreatModel;
use crate::method::{Profile, Settings};
use crate::nn::architecture::Architecture;

/// Test images under white-box attacks, unless the user says how many.
const WHITE_BOX_IMAGES: usize = 1000;

/// An [`ExperimentSpec`] in the making: what is asked, before there is a network or an image.
///
/// ```
/// use deepsleep::data::{Dataset, DatasetName, Split, locate};
/// use deepsleep::experiment::{Graph, SpecBuilder};
/// use deepsleep::method::Profile;
/// use deepsleep::nn::architecture::Architecture;
///
/// let folder = locate(DatasetName::Mnist, None)?;
/// let [train, test] = [Split::Train, Split::Test].map(|split| Dataset::load(&folder, split));
/// let mut builder = SpecBuilder::new(Profile::Published, true)?;
/// builder.choose(vec![1], vec![], None);
/// builder.settings.set("control.epochs", "2")?;
/// let spec = builder.spec(Architecture::default(), "mnist", &train?, &test?);
/// assert!(Graph::new(&spec)?.jobs.len() > 10);
/// # Ok::<(), deepsleep::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpecBuilder {
    /// Settings of all models: the profile's, shortened for a quick run.
    pub settings: Settings,
    /// Seeds; 0 alone if nothing is said.
    pub seeds: Vec<u64>,
    /// Who crafts; both if nothing is said.
    pub threat_models: Vec<ThreatModel>,
    /// Test images under transfer attacks; None: all, fewer in a quick run.
    pub images: Option<usize>,
    /// Test images under white-box attacks; None: 1,000, fewer in a quick run.
    pub white_box_images: Option<usize>,
    tables: Vec<usize>,
    figures: Vec<usize>,
    sheets: Vec<Sheet>,
    quick: Option<Quick>,
    /// Whether a quick run is of its own part of the tables.
    is_part: bool,
}

impl SpecBuilder {
    /// All of the paper's tables and figures with the settings of a profile. A quick run is shorter, and of a part of them.
    ///
    /// # Errors
    /// If the built-in file of the quick run cannot be read.
    pub fn new(profile: Profile, quick: bool) -> Result<Self> {
        let mut settings = Settings::new(profile);
        let quick = quick.then(Quick::load).transpose()?;
        if let Some(quick) = &quick {
            quick.shorten(&mut settings)?;
        }
        Ok(Self {
            settings,
            seeds: vec![0],
            threat_models: vec![ThreatModel::Transfer, ThreatModel::WhiteBox],
            images: None,
            white_box_images: None,
            tables: vec![1, 2, 3],
            figures: vec![3],
            sheets: Vec::new(),
            quick,
            is_part: true,
        })
    }

    /// Tables and figures of the paper by number, and a table of the user's. Without numbers it is this one alone, or if the sheet
    /// has no rows those of the paper that it names; without either it stays all of them. What is named here is run
    /// as a whole, in a quick run too.
    pub fn choose(&mut self, tables: Vec<usize>, figures: Vec<usize>, sheet: Option<&Sheet>) {
        let of_rows = sheet.filter(|sheet| !sheet.rows.is_empty());
        let named = sheet.filter(|sheet| sheet.table.is_some() || sheet.figure.is_some());
        let are_numbers = !(tables.is_empty() && figures.is_empty());
        if are_numbers || of_rows.is_some() {
            (self.tables, self.figures, self.is_part) = (tables, figures, false);
            self.sheets = of_rows.cloned().into_iter().collect();
        } else if let Some(sheet) = named {
            self.tables = Vec::from_iter(sheet.table);
            self.figures = Vec::from_iter(sheet.figure);
            self.is_part = false;
        }
    }

    /// Rejects tables and figures that the paper does not have.
    ///
    /// # Errors
    /// If there is one.
    pub fn check_numbers(&self) -> Result<()> {
        self.tables.iter().try_for_each(|&table| Sheet::of_table(table).map(drop))?;
        self.figures.iter().try_for_each(|&figure| Sheet::of_figure(figure).map(drop))
    }

    /// What was asked, of this network and these images. By default no more images are attacked than there are; whether
    /// numbers of the user's fit is for the caller to check, who knows what the user calls them.
    pub fn spec(
        self,
        architecture: Architecture,
        name: &str,
        train: &Dataset,
        test: &Dataset,
    ) -> ExperimentSpec {
        let usual =
            self.quick.as_ref().map_or((train.len(), test.len(), WHITE_BOX_IMAGES), |quick| {
                (quick.train_images, quick.images, quick.white_box_images)
            });
        let at_most = |usual: usize| usual.min(test.len());
        let white_box_images = self.white_box_images.unwrap_or(at_most(usual.2));
        let mut threat_models: Vec<ThreatModel> = Vec::new();
        for threat_model in self.threat_models {
            if !threat_models.contains(&threat_model) {
                threat_models.push(threat_model);
            }
        }
        ExperimentSpec {
            tables: self.tables,
            figures: self.figures,
            quick: self.quick.is_some(),
            only: self.quick.filter(|_| self.is_part).map(|quick| quick.only),
            sheets: self.sheets,
            settings: self.settings,
            seeds: self.seeds,
            threat_models,
            images: self.images.unwrap_or(at_most(usual.1)),
            white_box_images,
            largest_class: test.largest_class(white_box_images),
            architecture,
            data: DataIdentity::of(name, train, test),
            trained_on: ImageSet::of_first(train, usual.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::parse;

    /// A quick run leaves methods out only where nobody names a table.
    #[test]
    fn a_table_that_a_sheet_names_is_whole() {
        let of = |text: &str| {
            let mut asked = SpecBuilder::new(Profile::Published, true).expect("built in");
            asked.choose(
                Vec::new(),
                Vec::new(),
                Some(&parse(text, "sheet.toml").expect("a sheet")),
            );
            (asked.tables, asked.figures, asked.is_part)
        };
        assert_eq!(of("table = 1"), (vec![1], vec![], false));
        assert_eq!(of("figure = 3"), (vec![], vec![3], false));
        assert_eq!(of("architecture = 'madry'"), (vec![1, 2, 3], vec![3], true));
    }
}
