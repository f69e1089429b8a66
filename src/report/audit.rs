//! An audit as a page: its verdict, the checks, who found what, and the curves behind them.

use crate::Result;
use crate::audit::{Attacked, AuditReport, AuditVerdict, Check, Finding};
use crate::draw::chart::{Across, Chart, Series};
use crate::draw::failed;
use crate::report::page::escape::one_line;
use crate::wording::written;
use askama::Template;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditHtml<'a> {
    p: &'a AuditPage<'a>,
}

struct AuditPage<'a> {
    model: String,
    dataset: String,
    report: &'a AuditReport,
    meaning: &'static str,
    radius: String,
    robust: String,
    interval: String,
    gradients: String,
    claim: String,
    doubts: Vec<&'a Check>,
    figures: Vec<AuditCurve>,
    rows: Vec<AuditRow>,
    attacks: Vec<(String, &'a Attacked)>,
}

struct AuditCurve {
    title: &'static str,
    svg: String,
    numbers: String,
}

struct AuditRow {
    name: String,
    finding: &'static str,
    statistic: String,
    interval: String,
    measures: String,
    threshold: String,
    catches: String,
}

/// The page of an audit of this model on this data set, HTML that needs nothing else.
///
/// # Errors
/// If a drawing fails.
pub fn audit_page(model: &str, dataset: &str, report: &AuditReport) -> Result<String> {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let [low, high] = report.interval.map(percent);
    let radii =
        (0.0..=f64::from(report.eps) * 2.0, "radius", "Images that withstand PGD, by the radius");
    let along = (
        0.0..=1.0,
        "share of the radius",
        "Loss along the gradient's sign, each image from its lowest to its highest",
    );
    let figures = [("radius curve", radii), ("loss along the gradient", along)];
    let figures = figures.into_iter().filter_map(|(check, (range, across, title))| {
        let check = report.check(check).filter(|check| !check.curve.is_empty())?;
        Some(curve(check, *range.end(), across, title))
    });
    let page = AuditPage {
        model: one_line(model).into_owned(),
        dataset: one_line(dataset).into_owned(),
        report,
        meaning: meaning(report.verdict),
        radius: written(report.eps),
        robust: percent(report.robust_accuracy),
        interval: format!("{low} to {high}"),
        gradients: percent(report.gradient_accuracy),
        claim: report.claim.map_or(String::new(), percent),
        doubts: report.checks.iter().filter(|check| check.finding != Finding::Pass).collect(),
        figures: figures.collect::<Result<_>>()?,
        rows: report.checks.iter().map(row).collect(),
        attacks: report.attacks.iter().map(|attack| (written(attack.eps), attack)).collect(),
    };
    AuditHtml { p: &page }.render().map_err(failed)
}

fn meaning(verdict: AuditVerdict) -> &'static str {
    match verdict {
        AuditVerdict::NotTrusted => {
            "A check failed: the robust accuracy that attacks along gradients leave is not what it seems."
        }
        AuditVerdict::Doubtful => {
            "No check failed, and some warn: read them before the number is used."
        }
        AuditVerdict::NoReasonToDoubt => {
            "No check fails or warns. That proves no robustness: nothing does."
        }
        AuditVerdict::Undecided => "No check failed, and there are too few images to say more.",
    }
}

fn curve(
    check: &Check,
    most: f64,
    across: &'static str,
    title: &'static str,
) -> Result<AuditCurve> {
    let points: Vec<(f64, f64)> = check.curve.iter().map(|&[x, y]| (x, y)).collect();
    let numbers = points.iter().map(|(x, y)| format!("{x:.4}: {y:.3}")).collect::<Vec<_>>();
    let series = vec![Series {
        name: check.name.clone(),
        color: 0,
        printed: false,
        points,
        band: Vec::new(),
    }];
    let across = Across::Length { most, title: across };
    let chart = Chart { title: title.into(), across, series, limit: None, marks: Vec::new() };
    Ok(AuditCurve { title, svg: chart.svg()?, numbers: numbers.join(", ") })
}

fn row(check: &Check) -> AuditRow {
    let number = |value: f64| format!("{value:.4}");
    AuditRow {
        name: check.name.clone(),
        finding: check.finding.word(),
        statistic: number(check.statistic),
        interval: check
            .interval
            .map_or(String::new(), |[low, high]| format!("{} to {}", number(low), number(high))),
        measures: check.measures.clone(),
        threshold: check.threshold.clone(),
        catches: check.catches.clone(),
    }
}
