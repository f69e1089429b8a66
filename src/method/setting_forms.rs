//! Error messages for a setting that was given the wrong kind of value: every form that it takes, with an example.

use super::RobustLoss;
use crate::nn::{GradientAttack, Rule, Schedule};
use crate::snn::{Encoder, Surrogate};
use crate::wording::serde_errors::Fault;
use crate::wording::{joined, short_form};
use serde_json::Value;

/// What a setting takes instead of what `error` is about; `now` is the value that it has.
pub fn takes(name: &str, now: &Value, error: &serde_json::Error) -> String {
    let error = error.to_string();
    let forms = forms(name);
    match Fault::of(&error) {
        Fault::Field { name, known } => format!("there is no {name} in it; it has {known}"),
        Fault::Kind { found, .. } if found.ends_with("eps\"") => {
            "lengths are in pixel units (0 to 1), such as 2/255; multiples of eps are not accepted"
                .into()
        }
        _ if !forms.is_empty() => {
            let forms: Vec<&str> = forms.iter().map(String::as_str).collect();
            format!("it takes {}", joined(&forms, "or"))
        }
        Fault::Missing { name } => format!("{name} is missing in it"),
        Fault::Variant { known, .. } => format!("it takes {known}"),
        // All else that serde says is about Rust's types.
        Fault::Kind { .. } | Fault::Other => kind(now),
    }
}

/// What a setting takes, from the value that it has.
fn kind(value: &Value) -> String {
    match value {
        Value::Bool(_) => "it takes true or false".into(),
        Value::Number(number) if number.is_f64() => {
            "it takes a number such as 0.5 or 64/255".into()
        }
        Value::Number(_) => "it takes a whole number, 0 or greater".into(),
        Value::Object(fields) => {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("it is a group of settings: {}", names.join(", "))
        }
        other => format!("it takes a value of another kind, as {other} is"),
    }
}

/// The setting of which `name` is an option of its form: `control.rule` for `control.rule.sgd.momentum`.
pub fn with_options(name: &str) -> Option<&str> {
    let ends = name.match_indices('.').map(|(end, _)| &name[..end]);
    ends.into_iter().find(|group| !forms(group).is_empty())
}

/// An example of every form of a setting that may be more than a name, by the last part of its own name.
fn forms(name: &str) -> Vec<String> {
    match name.rsplit('.').next().unwrap_or(name) {
        "schedule" => vec![
            short_form::of(&Schedule::Constant),
            short_form::of(&Schedule::Linear),
            short_form::of(&Schedule::Cosine),
            short_form::of(&Schedule::Step { epochs: 5, factor: 0.1 }),
            short_form::of(&Schedule::Triangle { peak: 0.3 }),
        ],
        "rule" => vec![
            short_form::of(&Rule::Sgd { momentum: 0.9, weight_decay: 0.0 }),
            short_form::of(&Rule::ADAM),
        ],
        "encoder" => {
            vec![short_form::of(&Encoder::Direct), short_form::of(&Encoder::Poisson { rate: 1.0 })]
        }
        "attack" => {
            vec![
                short_form::of(&GradientAttack::Fgsm),
                short_form::of(&GradientAttack::Pgd { steps: 10, step: 0.01 }),
            ]
        }
        "loss" => vec![
            short_form::of(&RobustLoss::Ce),
            short_form::of(&RobustLoss::Margin),
            short_form::of(&RobustLoss::Mix),
            short_form::of(&RobustLoss::Trades { beta: 6.0 }),
            short_form::of(&RobustLoss::Ibp { kappa: 0.5 }),
            short_form::of(&RobustLoss::Mart { beta: 5.0 }),
        ],
        "surrogate" => Surrogate::ALL.iter().map(short_form::of).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Profile, Settings};

    #[test]
    fn every_form_of_a_setting_is_named_and_taken() {
        let mut settings = Settings::new(Profile::Published);
        for name in [
            "control.schedule",
            "control.rule",
            "fast_wave.schedule",
            "fast_wave.dream.attack",
            "fast_wave.spiking.encoder",
            "fast_wave.spiking.surrogate",
            "adversarial_training.attack",
            "adversarial_training.loss",
        ] {
            let forms = forms(name);
            assert!(!forms.is_empty(), "{name}");
            for form in &forms {
                settings.set(name, form).unwrap_or_else(|error| panic!("{name}={form}: {error}"));
            }
            // As many as there are: serde names them all.
            let error = settings.set(name, "none-such").expect_err("no such form").to_string();
            assert!(forms.iter().all(|form| error.contains(form)), "{error}");
            let mut all = serde_json::to_value(&settings).expect("JSON");
            let place = name.split('.').fold(&mut all, |place, part| &mut place[part]);
            *place = Value::from("none-such");
            let error = serde_json::from_value::<Settings>(all).expect_err("no form").to_string();
            assert_eq!(error.matches('`').count(), 2 * (forms.len() + 1), "{error}");
        }
    }

    #[test]
    fn a_form_is_a_name_with_options_or_json() {
        let rule = |text: &str| {
            let mut settings = Settings::new(Profile::Published);
            settings.set("control.rule", text).map(|()| settings.control.recipe.rule)
        };
        let momentum = Rule::Sgd { momentum: 0.9, weight_decay: 5e-4 };
        for (text, expected) in [
            ("adam", Rule::ADAM),
            ("sgd", Rule::SGD),
            ("sgd:weight_decay=5e-4, momentum = 9/10", momentum),
            (r#"{"sgd":{"momentum":0.9,"weight_decay":5e-4}}"#, momentum),
            (
                "adam:eps=1e-6",
                Rule::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-6, weight_decay: 0.0 },
            ),
        ] {
            assert_eq!(rule(text).expect("a rule"), expected, "{text}");
            assert_eq!(rule(&expected.to_string()).expect("as it is written"), expected);
        }
        let mut settings = Settings::new(Profile::Published);
        settings.set("fast_wave.spiking.surrogate", "arctan:3/2").expect("a form of one number");
        assert_eq!(settings.fast_wave.spiking.surrogate, Surrogate::Arctan(1.5));
        assert_eq!(short_form::of(&Surrogate::Arctan(1.5)), "arctan:1.5");
    }

    #[test]
    fn nothing_in_a_value_is_lost() {
        for (name, value, words) in [
            ("fast_wave.schedule", "step", "step:epochs=5,factor=0.1"),
            ("fast_wave.schedule", r#"{"step":{}}"#, "step:epochs=5,factor=0.1"),
            ("fast_wave.schedule", "step:epochs=5", "step:epochs=5,factor=0.1"),
            ("fast_wave.schedule", "triangle:peak=0.1,peak=0.2", "triangle:peak=0.3"),
            (
                "fast_wave.schedule",
                r#"{"step":{"epochs":1,"factor":1,"peak":1}}"#,
                "there is no `peak` in it; it has `epochs`, `factor`",
            ),
            ("fast_wave.dream.attack", "pgd", "fgsm or pgd:step=0.01,steps=10"),
            ("adversarial_training.attack", "pgd:steps=10,step=0.25eps", "such as 2/255"),
            ("fast_wave.spiking.encoder", r#"{"poisson":{"rate":1,"x":2}}"#, "no `x` in it"),
            ("fast_wave.spiking.encoder", r#"{"poisson":{}}"#, "poisson:rate=1"),
            ("control.rule", "adam:momentum=0.9", "there is no `momentum` in it; it has `beta1`"),
            ("control.rule", r#"{"sgd":{"momentum":0,"weight_decay":0,"x":1}}"#, "no `x`"),
            ("control.augmentation", r#"{"shift":1,"x":1}"#, "no `x` in it"),
            ("slow_wave.pair", r#"{"x":1}"#, "no `x` in it"),
            ("sleep.replay", r#"{"x":1}"#, "no `x` in it"),
            ("fast_wave.dream", r#"{"eps":0.1}"#, "is missing in it"),
        ] {
            let mut settings = Settings::new(Profile::Published);
            let error = settings.set(name, value).expect_err("lost").to_string();
            assert!(error.contains(words), "{name}={value}: {error}");
        }
        let settings = Settings::new(Profile::Published);
        for group in ["fast_wave.spiking", "fast_wave.spiking.neuron", "slow_wave.pair.neuron"] {
            let mut all = serde_json::to_value(&settings).expect("JSON");
            let place = group.split('.').fold(&mut all, |place, part| &mut place[part]);
            place["x"] = Value::from(1);
            let value = place.to_string();
            let error = settings.clone().set(group, &value).expect_err("lost").to_string();
            assert!(error.contains("there is no `x` in it"), "{error}");
        }
    }
}
