//! The figures that are curves: Figure 3, the same for the other defenses, white-box accuracy, training.

use crate::Result;
use crate::draw::chart::{Across, Chart, Series};
use crate::evaluation::ThreatModel;
use crate::experiment::{ModelResult, Printed, PrintedColumn, Results, Spread};
use crate::report::noise;

/// A drawing with what is to be said about it.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// The drawing, SVG.
    pub svg: String,
    /// What the curves are.
    pub legend: Vec<Legend>,
}

/// A line of a legend.
#[derive(Clone, Debug)]
pub struct Legend {
    /// What it is.
    pub name: String,
    /// The number of its color.
    pub color: usize,
    /// Dashed, with open points.
    pub printed: bool,
    /// Its points as text, for readers who want numbers.
    pub numbers: String,
}

fn figure(chart: &Chart) -> Result<Figure> {
    let at = |x: f64| match chart.across {
        Across::Noise => format!("{}/255", (x * 255.0).round()),
        Across::Passes(_) | Across::Length { .. } => x.to_string(),
    };
    let key = |series: &Series| Legend {
        name: series.name.clone(),
        color: series.color,
        printed: series.printed,
        numbers: series
            .points
            .iter()
            .map(|&(x, y)| format!("{}: {y:.3}", at(x)))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let legend = chart.series.iter().map(key).collect();
    Ok(Figure { title: chart.title.clone(), svg: chart.svg()?, legend })
}

/// What we measured of a method against noise scale; none if that is nothing.
fn ours(
    results: &Results,
    method: &str,
    column: &str,
    threat_model: ThreatModel,
    name: String,
    color: usize,
) -> Option<Series> {
    let mut found: Vec<(f64, Spread)> = Vec::new();
    for cell in results.cells.iter().filter(|c| c.method == method && c.column == column) {
        let Some(x) = noise(&cell.scale) else { continue };
        if found.iter().all(|(other, _)| *other != x) {
            let spread = results.spread(method, &cell.scale, column, threat_model);
            found.extend(spread.map(|spread| (x, spread)));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = results.test_images();
    let band: Option<Vec<[f64; 2]>> =
        found.iter().map(|(_, spread)| Some(spread.prediction(all)?.interval)).collect();
    (!found.is_empty()).then(|| Series {
        name,
        color,
        printed: false,
        points: found.iter().map(|(x, spread)| (*x, spread.mean)).collect(),
        band: band.unwrap_or_default(),
    })
}

/// What is printed of a method against noise scale: in the tables, or else read off the figure.
fn theirs(printed: &Printed, method: &str, key: &str, color: usize) -> Option<Series> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let at = printed.columns.iter().position(|column| column.key == key)?;
    let label = &printed.columns[at].label;
    let curve = printed.curves.iter().find(|c| c.method == method && c.column == *label);
    if let Some(curve) = curve {
        let all = curve.scales.iter().zip(&curve.values);
        points.extend(all.filter_map(|(scale, value)| Some((noise(scale)?, *value))));
    } else {
        for row in printed.tables.iter().flat_map(|t| &t.rows).filter(|r| r.method == method) {
            let (Some(x), Some(&y)) = (noise(&row.scale), row.values.get(at)) else { continue };
            if points.iter().all(|(other, _)| *other != x) {
                points.push((x, y));
            }
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let name = format!("{method}, printed");
    let band = Vec::new();
    (!points.is_empty()).then_some(Series { name, color, printed: true, points, band })
}

/// The two columns of Figure 3, and what their panels are called.
const PANELS: [(&str, &str); 2] = [("a", "fgsm"), ("b", "autoattack")];
/// The two methods of Figure 3, as printed.
pub const IN_FIGURE_3: [&str; 2] = ["DeepSleep", "Adversarial Train"];

/// Figure 3: both panels, ours and printed.
pub fn figure_3(results: &Results, printed: &Printed) -> Result<Vec<Figure>> {
    let panel = |(panel, key): (&str, &str)| {
        let Some(column) = printed.column(key) else { return Ok(None) };
        let mut series = Vec::new();
        for (color, method) in IN_FIGURE_3.iter().enumerate() {
            let name = format!("{method}, ours");
            series.extend(ours(results, method, key, ThreatModel::Transfer, name, color));
            series.extend(theirs(printed, method, key, color));
        }
        let title = format!("Figure 3 ({panel}): {}, transfer", column.label_with_attack());
        let chart = Chart { title, across: Across::Noise, series, limit: None, marks: Vec::new() };
        figure(&chart).map(Some)
    };
    PANELS.into_iter().filter_map(|p| panel(p).transpose()).collect()
}

/// Figure 3's columns for every other printed method, ours and printed.
pub fn other_defenses(results: &Results, printed: &Printed) -> Result<Vec<Figure>> {
    let chart = |method: &str| {
        let mut series = Vec::new();
        for (color, (_, key)) in PANELS.iter().enumerate() {
            let column = printed.column(key);
            let label = column.map_or((*key).to_owned(), PrintedColumn::label_with_attack);
            let name = format!("{label}, ours");
            series.extend(ours(results, method, key, ThreatModel::Transfer, name, color));
            let theirs = theirs(printed, method, key, color);
            series.extend(theirs.map(|s| Series { name: format!("{label}, printed"), ..s }));
        }
        if series.is_empty() {
            return Ok(None);
        }
        let (across, title) = (Across::Noise, transfer_title(results, method));
        figure(&Chart { title, across, series, limit: None, marks: Vec::new() }).map(Some)
    };
    let others = printed_methods(printed).filter(|method| !IN_FIGURE_3.contains(method));
    others.filter_map(|method| chart(method).transpose()).collect()
}

/// The methods of the printed tables, each once.
fn printed_methods(printed: &Printed) -> impl Iterator<Item = &str> {
    let mut methods: Vec<&str> = Vec::new();
    for row in printed.tables.iter().flat_map(|table| &table.rows) {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    methods.into_iter()
}

fn transfer_title(results: &Results, method: &str) -> String {
    let own = if results.is_source(method) { "images of its own" } else { "transfer" };
    format!("{method}, {own}")
}

/// Every attack under transfer on the methods of a sheet of the user's: on all, or on those without a chart beside print.
pub fn of_own_sheet(
    results: &Results,
    printed: &Printed,
    has_printed: bool,
) -> Result<Vec<Figure>> {
    let is_shown = |method: &str| has_printed && printed_methods(printed).any(|m| m == method);
    let charts = attacked_charts(results, printed, ThreatModel::Transfer, None);
    charts.into_iter().filter(|(method, _)| !is_shown(method)).map(|(_, c)| figure(&c)).collect()
}

/// Accuracy against noise scale when each model is attacked itself; `limit` is the share of the largest class.
pub fn white_box(results: &Results, printed: &Printed, limit: f64) -> Result<Vec<Figure>> {
    let charts = attacked_charts(results, printed, ThreatModel::WhiteBox, Some((0.5, limit)));
    charts.into_iter().map(|(_, chart)| figure(&chart)).collect()
}

/// One chart a method, with a curve for each attack.
fn attacked_charts(
    results: &Results,
    printed: &Printed,
    threat_model: ThreatModel,
    limit: Option<(f64, f64)>,
) -> Vec<(String, Chart)> {
    let cells = || results.cells.iter().filter(|c| c.threat_model == threat_model && !c.is_clean());
    let mut methods: Vec<&str> = Vec::new();
    for cell in cells() {
        if !methods.contains(&cell.method.as_str()) {
            methods.push(&cell.method);
        }
    }
    let chart = |method: &str| {
        let columns = printed.columns.iter().filter(|column| column.attack.is_some());
        let mut keys: Vec<&str> = columns.map(|column| column.key.as_str()).collect();
        for cell in cells().filter(|cell| cell.method == method) {
            if !keys.contains(&cell.column.as_str()) {
                keys.push(&cell.column);
            }
        }
        let curves = keys.into_iter().enumerate().filter_map(|(color, key)| {
            ours(results, method, key, threat_model, key.to_owned(), color)
        });
        let series = curves.collect();
        let title = match threat_model {
            ThreatModel::Transfer => transfer_title(results, method),
            ThreatModel::WhiteBox => format!("{method}, white-box"),
        };
        (
            method.to_owned(),
            Chart { title, across: Across::Noise, series, limit, marks: Vec::new() },
        )
    };
    methods.into_iter().map(chart).collect()
}

/// How each method's models came to be.
pub fn training(results: &Results) -> Result<Vec<Figure>> {
    let mut methods: Vec<&str> = Vec::new();
    for model in results.models.iter().filter(|model| !model.history.is_empty()) {
        if !methods.contains(&model.method.as_str()) {
            methods.push(&model.method);
        }
    }
    methods.into_iter().map(|method| figure(&training_of(results, method))).collect()
}

fn training_of(results: &Results, method: &str) -> Chart {
    let models: Vec<&ModelResult> =
        results.models.iter().filter(|m| m.method == method && !m.history.is_empty()).collect();
    let several_ids = models.iter().any(|model| model.id != models[0].id);
    let mut series = Vec::new();
    for (color, model) in models.iter().enumerate() {
        let id = if several_ids { format!("{}, ", model.id) } else { String::new() };
        let curve = |name: &str, printed, points: Vec<(f64, f64)>| Series {
            name: format!("{id}seed {}{name}", model.seed),
            color,
            printed,
            points,
            band: Vec::new(),
        };
        let all = || model.history.iter().enumerate().map(|(i, point)| (i as f64 + 1.0, point));
        series.push(curve("", false, all().map(|(x, p)| (x, p.test_accuracy)).collect()));
        let spiking: Vec<_> = all().filter_map(|(x, p)| Some((x, p.spiking_accuracy?))).collect();
        if !spiking.is_empty() {
            series.push(curve(", spiking network", true, spiking));
        }
    }
    let history = models.iter().map(|model| &model.history).max_by_key(|history| history.len());
    let history = history.map_or(&[][..], Vec::as_slice);
    let begins = history.windows(2).enumerate().filter(|(_, w)| w[0].stage != w[1].stage);
    let marks = begins.map(|(i, _)| i as f64 + 1.5).collect();
    let mut stages: Vec<&str> = history.iter().map(|point| point.stage.as_str()).collect();
    stages.dedup();
    Chart {
        title: format!("{method}: {}", stages.join(", then ")),
        across: Across::Passes(history.len()),
        series,
        limit: None,
        marks,
    }
}
