//! The first screen: whether the paper replicates, in a sentence, a picture, a table and three findings.

use crate::Result;
use crate::attack::Norm;
use crate::draw::scatter::{Mark, Scatter};
use crate::evaluation::ThreatModel;
use crate::experiment::{Printed, PrintedColumn, PrintedVerdict, Results};
use crate::report::compare::search::Searched;
use crate::report::compare::sweep::Swept;
use crate::report::compare::{Comparison, NEAR};
use crate::report::page::figures::Legend;
use crate::report::page::format::{listed, times};
use crate::report::page::protocol::exchanged;
use crate::report::plain::Plain;
use crate::report::tables::{ShownCell, signed};

/// The noise scale of the first table.
const AT: &str = "64/255";

const DECIDES: &str = "What settings decide.";

/// Something that matters: its name, and what was found.
type Highlight = (&'static str, String);

/// The answer.
#[derive(Clone, Debug)]
pub struct Headline {
    /// In a sentence.
    pub sentence: String,
    /// What else the seeds say.
    pub more: Vec<String>,
    /// Printed against ours, for the page, and by itself; none if nothing was measured.
    pub picture: Option<[String; 2]>,
    /// What the picture shows, and what to see in it.
    pub caption: String,
    /// The colors of the picture.
    pub legend: Vec<Legend>,
    /// The methods: clean, AutoAttack under transfer, AutoAttack white-box.
    pub rows: Vec<(String, [ShownCell; 3])>,
    /// What matters.
    pub findings: Vec<Highlight>,
    /// The printed numbers outside of the interval of one more run, the farthest first.
    pub outside: Plain,
}

impl Headline {
    /// # Errors
    /// If the drawing fails.
    pub fn new(
        results: &Results,
        printed: &Printed,
        comparisons: &[Comparison<'_>],
        searched: Option<&Searched>,
        swept: Option<&Swept>,
    ) -> Result<Self> {
        let methods = methods(comparisons);
        let (picture, legend) = picture(comparisons, &methods)?;
        let decides = settings_that_decide(searched, swept);
        let findings = [white_box(results), columns(printed, comparisons), decides];
        Ok(Self {
            sentence: sentence(comparisons),
            more: more(results, comparisons),
            picture,
            caption: caption(comparisons),
            legend,
            rows: methods.iter().filter_map(|m| row(results, comparisons, m)).collect(),
            findings: findings.into_iter().flatten().collect(),
            outside: outside(comparisons),
        })
    }
}

/// The measured methods in the order of print.
fn methods<'a>(comparisons: &[Comparison<'a>]) -> Vec<&'a str> {
    let mut methods: Vec<&str> = Vec::new();
    for cell in comparisons.iter().filter(|c| c.transfer.is_some() || c.white_box.is_some()) {
        if !methods.contains(&cell.method) {
            methods.push(cell.method);
        }
    }
    methods
}

fn verdicts(comparisons: &[Comparison<'_>]) -> Vec<PrintedVerdict> {
    comparisons.iter().filter_map(|c| c.verdicts[0]).collect()
}

fn sentence(comparisons: &[Comparison<'_>]) -> String {
    let all = comparisons.len();
    let verdicts = verdicts(comparisons);
    if verdicts.is_empty() {
        let measured = comparisons.iter().filter(|c| c.transfer.is_some()).count();
        let near = comparisons.iter().filter(|c| c.is_near()).count();
        return format!(
            "One seed cannot say whether the paper replicates: {near} of {measured} measured numbers ({all} printed) lie within {NEAR} of print under transfer."
        );
    }
    let inside = verdicts.iter().filter(|verdict| verdict.replicated).count();
    let answer = match inside as f64 / verdicts.len() as f64 {
        share if share >= 0.7 => "The paper replicates in most of its numbers",
        share if share >= 0.3 => "The paper replicates in part",
        _ => "The paper does not replicate",
    };
    let seeds = comparisons.iter().filter_map(|c| c.transfer).map(|spread| spread.seeds).max();
    let mut halves: Vec<f64> = verdicts
        .iter()
        .map(|verdict| verdict.prediction.interval)
        .map(|[low, high]| 0.5 * (high - low))
        .collect();
    halves.sort_by(f64::total_cmp);
    let half = halves.get(halves.len() / 2).copied().unwrap_or_default();
    format!(
        "{answer}: {inside} of {} measured numbers ({all} printed) lie where one more run would in 19 of 20 cases, by {} under transfer. Half of these intervals are narrower than \u{b1} {half:.3}.",
        verdicts.len(),
        times(seeds.unwrap_or_default(), "seed", "seeds"),
    )
}

/// What is the control's luck alone.
fn more(results: &Results, comparisons: &[Comparison<'_>]) -> Vec<String> {
    let both: Vec<[PrintedVerdict; 2]> =
        comparisons.iter().filter_map(|c| Some([c.verdicts[0]?, c.verdicts[1]?])).collect();
    let mut more = Vec::new();
    if !both.is_empty() {
        let misses = both.iter().filter(|[alone, _]| !alone.replicated).count();
        let luck = both.iter().filter(|[alone, given]| !alone.replicated && given.replicated);
        let given = both.iter().filter(|[_, given]| given.replicated).count();
        more.push(format!(
            "All methods of a seed are shown images crafted on one control, so all of its numbers share that control's random variation. Given a control that withstands each attack as well as the printed one (by a straight line over the seeds), {given} of the {} numbers that can be judged so lie inside; {} of {misses} misses come from the control's variation alone.",
            both.len(),
            luck.count()
        ));
    }
    let near = comparisons.iter().filter(|c| c.is_near()).count();
    if results.seeds.len() > 1 {
        more.push(format!("{} within {NEAR} of print.", times(near, "mean lies", "means lie")));
    } else if comparisons.iter().any(|c| c.transfer.is_some()) {
        more.push("Another seed's control moves a number under transfer by up to 0.2, and those of all methods together: `--seeds 10` shows it.".to_owned());
    }
    more
}

fn picture(
    comparisons: &[Comparison<'_>],
    methods: &[&str],
) -> Result<(Option<[String; 2]>, Vec<Legend>)> {
    let color = |method: &str| methods.iter().position(|other| *other == method);
    let point = |c: &Comparison<'_>| {
        let interval = c.verdicts[0].map(|verdict| verdict.prediction.interval);
        Some(Mark { color: color(c.method)?, x: c.printed, y: c.transfer?.mean, interval })
    };
    let points: Vec<Mark> = comparisons.iter().filter_map(point).collect();
    if points.is_empty() {
        return Ok((None, Vec::new()));
    }
    let legend = methods.iter().enumerate().map(|(color, method)| Legend {
        name: (*method).to_owned(),
        color,
        printed: false,
        numbers: String::new(),
    });
    let title = format!("Printed against ours, {} cells under transfer", points.len());
    let scatter = Scatter { title, axes: ["printed accuracy", "ours, transfer"], points };
    Ok((Some([scatter.svg()?, scatter.standalone()?]), legend.collect()))
}

fn caption(comparisons: &[Comparison<'_>]) -> String {
    let bars = if verdicts(comparisons).is_empty() {
        "One seed has no intervals."
    } else {
        "Bars: where one more run of ours would end up in 19 of 20 cases; a bar that meets the diagonal is a number that replicates."
    };
    format!(
        "Every printed number under transfer against ours, colored by method. On the diagonal both are the same; below it ours is lower. {bars}"
    )
}

/// A method at 64/255.
fn row(
    results: &Results,
    comparisons: &[Comparison<'_>],
    method: &str,
) -> Option<(String, [ShownCell; 3])> {
    let cell = |column: &str, threat_model| {
        let of = comparisons
            .iter()
            .find(|c| (c.method, c.scale, c.column.key.as_str()) == (method, AT, column))?;
        Some(ShownCell::of(results, of, threat_model))
    };
    let clean = cell("clean", ThreatModel::Transfer)?;
    let [transfer, white_box] = [ThreatModel::Transfer, ThreatModel::WhiteBox]
        .map(|threat_model| cell("autoattack", threat_model));
    let cells = [clean, transfer?, white_box?];
    cells.iter().any(|cell| cell.ours.is_some()).then(|| (method.to_owned(), cells))
}

/// Transfer is not white-box.
fn white_box(results: &Results) -> Option<Highlight> {
    let results = &results.in_norm(Norm::Linf);
    let keeps = |method, threat_model| results.spread(method, AT, "autoattack", threat_model);
    let mut methods: Vec<&str> = vec!["DeepSleep"];
    methods.extend(results.models.iter().map(|model| model.method.as_str()));
    let found = methods.into_iter().find_map(|method| {
        let sides = [ThreatModel::Transfer, ThreatModel::WhiteBox].map(|t| keeps(method, t));
        let [Some(transfer), Some(white_box)] = sides else { return None };
        (!results.is_source(method)).then_some((method, transfer.mean, white_box.mean))
    });
    let (method, transfer, white_box) = found?;
    Some((
        "Transfer is not white-box.",
        format!(
            "At {AT}, {method} keeps {transfer:.3} under AutoAttack's images for the control, which is what the paper measured, and {white_box:.3} under AutoAttack on itself."
        ),
    ))
}

/// The columns are exchanged, and ours say so too.
fn columns(printed: &Printed, comparisons: &[Comparison<'_>]) -> Option<Highlight> {
    let wrong = |column: &PrintedColumn| column.label.to_lowercase() != column.key;
    let pairs: Vec<(f64, f64)> = comparisons
        .iter()
        .filter(|c| c.column.attack.is_some() && wrong(c.column))
        .filter_map(|c| {
            // What the same table prints under the name of the attack that ran.
            let label = c.column.key.to_uppercase();
            let other = comparisons.iter().find(|o| {
                (o.table, o.scale, o.method) == (c.table, c.scale, c.method)
                    && o.column.label == label
            })?;
            let ours = c.transfer?.mean;
            Some(((ours - c.printed).abs(), (ours - other.printed).abs()))
        })
        .collect();
    let sentence = exchanged(printed)?;
    if pairs.is_empty() {
        return None;
    }
    let count = pairs.len() as f64;
    let (as_run, as_named) =
        pairs.iter().fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
    Some((
        "Columns are exchanged.",
        format!(
            "By the published code {} Ours lie {:.3} from print on average if read so, and {:.3} if each column held the attack of its name.",
            sentence.replace("; this report keeps", ". This report keeps"),
            as_run / count,
            as_named / count
        ),
    ))
}

/// What settings decide, if a search has looked.
fn settings_that_decide(searched: Option<&Searched>, swept: Option<&Swept>) -> Option<Highlight> {
    if let Some(searched) = searched.filter(|searched| searched.apart.is_empty()) {
        return Some((DECIDES, searched.sentence.clone()));
    }
    let rows: Vec<String> = swept
        .filter(|swept| swept.apart.is_empty())
        .iter()
        .flat_map(|swept| &swept.rows)
        .filter_map(|row| {
            let (variant, distance) = row.variants.first()?;
            Some(format!("{} moves from {} to {distance} ({variant})", row.row, row.profile))
        })
        .take(3)
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    (!rows.is_empty()).then(|| {
        (
            DECIDES,
            format!("Mean distance from a printed row, as run and at best: {}.", listed(&rows)),
        )
    })
}

fn outside(comparisons: &[Comparison<'_>]) -> Plain {
    let mut cells: Vec<(&Comparison<'_>, PrintedVerdict)> = comparisons
        .iter()
        .filter_map(|c| Some((c, c.verdicts[0]?)))
        .filter(|(_, verdict)| !verdict.replicated)
        .collect();
    cells.sort_by(|a, b| b.1.z.abs().total_cmp(&a.1.z.abs()));
    let row = |(c, verdict): (&Comparison<'_>, PrintedVerdict)| {
        let [low, high] = verdict.prediction.interval;
        let given = c.verdicts[1].map_or(String::new(), |given| match given.replicated {
            true => "inside".to_owned(),
            false => signed(given.z, 1),
        });
        vec![
            format!("Table {}, {}", c.table, c.scale),
            c.method.to_owned(),
            c.column.label_with_attack(),
            format!("{:.4}", c.printed),
            format!("{low:.3} to {high:.3}"),
            signed(verdict.z, 1),
            given,
        ]
    };
    Plain {
        caption: "Printed numbers outside of the interval, the farthest first".to_owned(),
        head: vec![
            "Place",
            "Method",
            "Column",
            "Printed",
            "Interval",
            "z",
            "z given the printed control",
        ],
        rows: cells.into_iter().map(row).collect(),
    }
}
